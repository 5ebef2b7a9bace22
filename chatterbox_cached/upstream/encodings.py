"""The calls that take the time of a preparation: a part of a voice made of a waveform, whatever program asks for it.

One row per method of Chatterbox's encoders. Their classes are known by their methods and by what they are made of, not
by their names, so that copies and forks are found under any.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import Unidentifiable
from ..voice.snapshot import Snapshot
from . import results

if TYPE_CHECKING:
    import torch

_TOKENIZER = "s3tokenizer.model_v2", "S3TokenizerV2"
# Of these, a method of the same name is something else.
_LIBRARIES = ("torch", "s3tokenizer")


class Encoding(NamedTuple):
    """One such method, of an encoder or of what holds some.

    ``encoders`` and ``caster`` as in families.Family, the empty path for the module itself. ``only_with``: the argument
    without which a call is no part of a preparation. ``results``: how its results are kept and given.
    """

    name: str
    method: str
    encoders: tuple[str, ...]
    caster: str
    results: results.Results
    only_with: str | None = None
    # As in families.Family: it has none.
    slot: str = ""
    constants: tuple[str, ...] = ()

    def home(self, kind: type) -> type | None:
        """The class that the method comes from first: upstream's, a fork's or a copy's."""
        return next((base for base in reversed(kind.__mro__) if self.is_at(base)), None)

    def is_at(self, kind: type) -> bool:
        """Whether a class has the method itself, and not only from another one."""
        if self.method not in vars(kind) or kind.__module__.partition(".")[0] in _LIBRARIES:
            return False
        base: Any = sys.modules["torch"].nn.Module
        if self.method == "forward":
            base = getattr(sys.modules.get(_TOKENIZER[0]), _TOKENIZER[1], None)
        return base is not None and issubclass(kind, base)


ENCODINGS: tuple[Encoding, ...] = (
    Encoding("reference", "embed_ref", ("tokenizer", "speaker_encoder"), "flow", results.REFERENCE),
    Encoding("speaker", "embeds_from_wavs", ("",), "", results.SPEAKER),
    # Without max_len it tokenizes the whole of a clip that is to be spoken in another voice.
    Encoding("tokens", "forward", ("",), "", results.TOKENS, only_with="max_len"),
)


def is_encoding(method: str) -> bool:
    """Whether a method is an encoding's by its name."""
    return any(encoding.method == method for encoding in ENCODINGS)


class EncodingCall(NamedTuple):
    """One call of an encoding's method.

    ``model``: the module that it is called on. ``function``: as in calls.Preparation. ``waves``: its first argument,
    ``key_arguments`` all others. ``device``: where the result is to be. ``upstream`` makes that very call.
    """

    model: Any
    family: Encoding
    function: Callable[..., Any]
    waves: object
    key_arguments: Mapping[str, object]
    device: torch.device
    upstream: Callable[[], Any]


def encoding_call(
    model: Any,
    encoding: Encoding,
    function: Callable[..., Any],
    signature: inspect.Signature | None,
    upstream: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> EncodingCall | None:
    """The call ``upstream(*args, **kwargs)`` taken apart by ``signature``; None for one that is no part of a
    preparation.

    Raises Unidentifiable where it does not fit, or there is no signature.
    """
    if signature is None:
        raise Unidentifiable("arguments don't fit the method")
    try:
        bound = signature.bind(model, *args, **kwargs)
    except TypeError as error:
        raise Unidentifiable("arguments don't fit the method") from error
    bound.apply_defaults()
    arguments = _flat(bound)
    names = list(arguments)
    if encoding.only_with is not None and arguments.get(encoding.only_with) is None:
        return None
    if len(names) < 2:
        raise Unidentifiable("arguments don't fit the method")
    waves = arguments[names[1]]
    on_device = encoding.results.device is None  # else what is called so is no place for the result
    others = {name: arguments[name] for name in names[2:] if name != "device" or not on_device}
    device = _device(model, encoding, arguments.get("device", "auto"))
    return EncodingCall(model, encoding, function, waves, others, device, partial(upstream, *args, **kwargs))


def is_traced() -> bool:
    """Whether PyTorch notes down what is called, or compiles it, to do it again with any waveform: a result must come
    of this one.
    """
    torch: Any = sys.modules["torch"]
    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


def part_at(model: Any, path: str) -> Any:
    """The part of a model at a path with dots; the model itself for the empty path."""
    return functools.reduce(getattr, path.split("."), model) if path else model


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    """All arguments by name, those too that the method takes under any."""
    flat = dict[str, Any]()
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            flat.update(value)
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            flat[name] = value
        elif value:
            raise Unidentifiable("arguments don't fit the method")
    return flat


def _device(model: Any, encoding: Encoding, wanted: Any) -> torch.device:
    """Where the result is to be: the encoder's own device, unless another one is asked for."""
    import torch

    try:
        own = next(part_at(model, encoding.encoders[0]).parameters()).device
        asked_for = own if wanted in ("auto", None) else torch.device(wanted)
    except (AttributeError, StopIteration, TypeError, RuntimeError) as error:
        raise Unidentifiable("model is not built as expected") from error
    if asked_for.type != own.type:
        raise Unidentifiable("an argument that can't be part of a key")
    return own if asked_for.index is None else asked_for


def part_of(voice: Snapshot, name: str) -> Snapshot | None:
    """What the encoding called ``name`` would have made for this voice; None where that can't be told from it."""
    row = next((each for each in ENCODINGS if each.name == name), None)
    fields = None if row is None else row.results.of_voice(voice)
    return None if fields is None else Snapshot(fields, voice.prepare_seconds, voice.origin)
