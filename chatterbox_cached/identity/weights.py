"""What a model would make of reference audio: a digest of the weights that make conditionals, and watching them.

The digest reads all of the weights (528 MB in float32) at memory speed: XXH3, since weights are no hostile input. It
is taken once per model and believed only as long as the weights stand still. Two looks decide that. The quick one, at
every call, sees everything that acts on a whole encoder: ``load_state_dict``, ``.to()``, ``.half()``, another encoder
in its place. The full one compares every tensor's identity, version and address, and what else the modules have.
Writes through ``tensor.data`` leave no trace in PyTorch; no look can see those.
"""

from __future__ import annotations

import operator
import threading
import weakref
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..concurrency.forks import RenewedAfterFork
from ..concurrency.one_by_one import one_by_one
from ..errors import Unidentifiable
from ..log import logger
from ..upstream.encodings import Encoding, part_at
from ..upstream.families import Family
from .code.looks import Looked
from .code.tensors import bytes_of, is_tensor
from .standing import Attributes, Encoders, Holders, Sentinel, attributes_of, state

if TYPE_CHECKING:
    import torch

_COUNTER = "num_batches_tracked"
Named = Mapping[str, list[tuple[str, "torch.Tensor"]]]  # by encoder's path, its tensors with their names


class Fingerprint(Looked):
    """The fingerprint of one model's encoders, with what is needed to see that they have changed since.

    ``digest`` is the fingerprint in hex. ``makers`` and ``codes`` are room for what identity.key derives from it.

    Raises Unidentifiable when the weights can't be read or don't decide the result.
    """

    def __init__(self, model: Any, family: Family | Encoding) -> None:
        named = {path: list(_named_tensors(part_at(model, path))) for path in family.encoders}
        _refuse_uncertain(model, named)
        modules = [module for path in family.encoders for module in part_at(model, path).modules()]
        self._attributes = Attributes(modules)
        watched = (*family.encoders, family.caster)
        self._encoders = Encoders(model, watched)
        self._reached = (
            attrgetter(*watched) if all(watched) else lambda model: [part_at(model, path) for path in watched]
        )
        self._sentinels = [Sentinel(part_at(model, path)) for path in watched]
        self._holders = Holders(modules)
        # All but the counters of batch norms, which are for training only.
        each = [each for of_encoder in named.values() for each in of_encoder]
        tensors = [tensor for name, tensor in each if not name.endswith(_COUNTER)]
        # Tensors that were made in inference mode don't count their versions, so of these the content is compared.
        self._unversioned = [tensor for tensor in tensors if tensor.is_inference()]
        self._tensors = [tensor for tensor in tensors if not tensor.is_inference()]
        self._state, self._content = state(self._tensors), _content(self._unversioned)
        self.digest = _digest(model, family, named)
        self.makers: dict[tuple[object, ...], Any] = {}
        self.codes: dict[int, tuple[Any, Any]] = {}
        super().__init__(in_full_each_time=isinstance(family, Encoding))
        # Last: what failed on the way is let go of as well, and has nothing to let go of itself.
        self._references = [self._reference(part_at(model, path)) for path in watched]

    @property
    def is_read_each_time(self) -> bool:
        """Whether some weights can only be watched by reading them."""
        return bool(self._unversioned)

    def stands(self, model: Any) -> bool:
        """See Looked."""
        if not self._encoders.stand(model):
            return False
        for sentinel in self._sentinels:
            tensor = sentinel.holder.get(sentinel.name)
            if (
                tensor is not sentinel.tensor
                or (sentinel.counts and tensor._version != sentinel.version)
                or tensor.data_ptr() != sentinel.address
            ):
                return False
        return not self._unversioned or _content(self._unversioned) == self._content

    def stands_in_full(self, model: Any) -> bool:
        """See Looked."""
        return (
            self.stands(model)
            # What is registered can be hidden by an attribute of the same name.
            and all(map(operator.is_, self._reached(model), [reference() for reference in self._references]))
            and self._holders.stand()
            and state(self._tensors) == self._state
            and self._attributes.stand()
        )

    def encoders(self) -> list[Any]:
        """The encoders whose weights it is of, as far as they are still there."""
        return [encoder for reference in self._references if (encoder := reference()) is not None]

    def _reference(self, encoder: Any) -> weakref.ref[Any]:
        def let_go(_: object) -> None:
            # An encoder that was replaced must not live on in what is watched of it.
            self._changed = True
            self._sentinels, self._tensors, self._unversioned = [], [], []
            self._holders.let_go()
            self._attributes.let_go()

        return weakref.ref(encoder, let_go)


def _content(tensors: list[torch.Tensor]) -> str:
    """What there is to compare where no versions are counted; tens of milliseconds for all encoders."""
    import xxhash

    whole = xxhash.xxh3_128()
    for tensor in tensors:
        whole.update(bytes_of(tensor))
    return whole.hexdigest()


def _digest(model: Any, family: Family | Encoding, named: Named) -> str:
    import xxhash

    whole = xxhash.xxh3_128(f"{next(part_at(model, family.caster).parameters()).dtype}\n".encode())
    devices = {path: next(part_at(model, path).parameters()).device.type for path in family.encoders}
    for path, device in devices.items():
        # The device is a part of the key by itself, but for encoders that are on different ones.
        apart = f" on {device}" if len({*devices.values()}) > 1 else ""
        digest = _digest_of_encoder(part_at(model, path), named[path])
        whole.update(f"{path} {digest}{apart}\n".encode())
    return whole.hexdigest()


# By encoder, its tensors with their state and the digest: several fingerprints are taken of one.
_read: weakref.WeakKeyDictionary[Any, tuple[list[torch.Tensor], object, str]] = weakref.WeakKeyDictionary()


def _digest_of_encoder(encoder: Any, named: list[tuple[str, torch.Tensor]]) -> str:
    """Read once for as long as nothing has changed."""
    import xxhash

    tensors = [tensor for _, tensor in named]
    if any(tensor.is_inference() for tensor in tensors):
        now: object = None
    else:
        now, had = state(tensors), _read.get(encoder)
        if (
            had is not None
            and had[1] == now
            and len(had[0]) == len(tensors)
            and all(map(operator.is_, had[0], tensors))
        ):
            return had[2]
    _read.pop(encoder, None)  # so that what was replaced is let go of before anything is read
    whole = xxhash.xxh3_128()
    for name, tensor in named:
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(bytes_of(tensor))
    if now is not None:
        _read[encoder] = tensors, now, whole.hexdigest()
    return whole.hexdigest()


def _named_tensors(encoder: Any) -> Iterator[tuple[str, torch.Tensor]]:
    modules = list(encoder.named_modules(remove_duplicate=False))
    # Buffers that are not persistent count too: windows and mel filters decide what comes out.
    for kind in ("_parameters", "_buffers"):
        for path, module in modules:
            start = f"{path}." if path else ""
            held = getattr(module, kind)
            yield from ((f"{start}{name}", tensor) for name, tensor in held.items() if tensor is not None)
    # So do those that are simple attributes of a module, as some have their positions.
    for path, module in modules:
        yield from ((f"{path}.{name}", value) for name, value in attributes_of(module) if is_tensor(value))


def _refuse_uncertain(model: Any, named: Named) -> None:
    """Raise Unidentifiable for a model whose weights don't say what it would make."""
    for path, tensors in named.items():
        encoder = part_at(model, path)
        called = path or type(encoder).__qualname__
        if any(tensor.is_meta for _, tensor in tensors):
            raise Unidentifiable(
                "weights are not in memory",
                f"The weights of {called} are offloaded or on the meta device, so it can't be known what this model"
                " makes of a voice. Its voices are prepared by upstream every time.",
            )
        if any(_computes_itself(tensor) for _, tensor in tensors):
            raise Unidentifiable(
                "weights that compute themselves",
                f"Some weights of {called} are of a class that decides itself what is computed with them, as quantized"
                " ones do, so it can't be known what this model makes of a voice. Its voices are prepared by upstream"
                " every time.",
            )
        # Frozen TorchScript has no such attribute.
        if any(getattr(module, "training", False) for module in encoder.modules()):
            raise Unidentifiable(
                "model is in training mode",
                f"{called} is in training mode, in which every preparation changes it. Its voices are prepared by"
                " upstream every time.",
            )


def _computes_itself(tensor: torch.Tensor) -> bool:
    """Whether a class of tensors has its own say in what PyTorch computes with it, beside the elements."""
    import torch

    plain, kind = (torch.Tensor, torch.nn.Parameter), type(tensor)
    return kind not in plain and not (
        kind.__torch_function__ in [each.__torch_function__ for each in plain]
        and kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    )


class Fingerprints(RenewedAfterFork):
    """The fingerprints of all models that were seen, each dropped with its model; safe from any thread."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[weakref.ref[Any], Fingerprint]] = {}
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def of(self, model: Any, family: Family | Encoding) -> Fingerprint:
        """The model's fingerprint, taken anew when its weights have changed.

        Raises Unidentifiable when the weights can't be read or don't decide the result.
        """
        known = self._of.get(id(model))
        if known is not None and known[0]() is model and known[1].holds(model):
            return known[1]
        one_by_one.give_way()
        with self._lock:
            return self._take(model, family)

    def last_of(self, model: object) -> Fingerprint | None:
        """The fingerprint that the model had when it was last asked for, whatever has changed since."""
        known = self._of.get(id(model))
        return known[1] if known is not None and known[0]() is model else None

    def forget(self, model: object) -> None:
        """Take the model's fingerprint anew at its next call, of weights that are read anew."""
        known = self._of.pop(id(model), None)
        for encoder in known[1].encoders() if known is not None else ():
            _read.pop(encoder, None)

    def _take(self, model: Any, family: Family | Encoding) -> Fingerprint:
        known = self._of.get(id(model))
        if known is not None and known[0]() is model and known[1].holds(model):
            return known[1]  # another thread has just taken it
        self._of.pop(id(model), None)  # so that what was replaced is let go of before anything is read
        try:
            fingerprint = Fingerprint(model, family)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise Unidentifiable("model is not built as expected") from error
        if fingerprint.is_read_each_time:
            logger().info("The weights were made in inference mode, so all of them are read again at each use.")
        identity = id(model)
        self._of[identity] = weakref.ref(model, lambda _: self._of.pop(identity, None)), fingerprint
        return fingerprint
