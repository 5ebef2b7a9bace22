"""What decides the key of an entry: the audio, and everything else.

Everything else: the model's class, the Chatterbox distribution and version, the versions of the libraries that decide
the bits, the conditioning constants, dtypes and precision, the device type, the other arguments that matter, and the
weights that make conditionals. Not in it: the path, the exaggeration, T3's weights.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .audio import Audio, AudioIndex
from .errors import Unidentifiable
from .families import Family
from .fingerprint import Fingerprint, Fingerprints
from .voice.key_format import digest_of, key_of

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch", "torchaudio", "librosa", "soxr", "s3tokenizer")
# The distributions that are known to install the package `chatterbox`; any other is found by a slower search.
_DISTRIBUTIONS = (
    "chatterbox-tts",
    "chatterbox-streaming",
    "chatterbox-light",
    "tts-webui-chatterbox-tts",
    "videopython-chatterbox",
    "chatterbox-ng",
)
_PLAIN = (bool, int, float, str, type(None))


class Key(NamedTuple):
    """A call that was identified: where its entry is, what the audio was, and whose work the entry is.

    ``made_by`` is everything but the audio that decided the entry, as JSON text; its digest ends the key.
    """

    text: str
    audio: Audio
    made_by: str = ""


class Identity:
    """Makes keys; one per cache, safe from any thread."""

    def __init__(self) -> None:
        self.audio = AudioIndex()
        self.fingerprints = Fingerprints()

    def forget(self, model: object, audio: object) -> None:
        """Believe nothing that is remembered of a model or of a path; both are read again."""
        self.fingerprints.forget(model)
        self.audio.forget(audio)

    def key(self, model: Any, family: Family, audio: object, others: Mapping[str, object]) -> Key:
        """The key for what ``model`` would make of ``audio`` with the ``others`` of its arguments.

        Raises Unidentifiable where there is any doubt.
        """
        identified = self.audio.identify(audio)
        digest, made_by = self.made_by(model, family, others)
        return Key(key_of(identified.digest, digest), identified, made_by)

    def made_by(self, model: Any, family: Family, others: Mapping[str, object]) -> tuple[str, str]:
        """Everything but the audio, as the digest that ends the key and as text. Raises as ``key`` does."""
        _refuse_autocast(model)
        return _rest(model, family, self.fingerprints.of(model, family), others)


def _rest(model: Any, family: Family, fingerprint: Fingerprint, others: Mapping[str, object]) -> tuple[str, str]:
    """Everything but the audio, as digest and as text; remembered for as long as nothing of it changes."""
    constants, settings, arguments = _constants(model, family), _numerics(), _arguments(others)
    circumstances = (type(model), model.device, constants, settings, arguments)
    known = fingerprint.keys.get(circumstances)
    if known is None:
        made_by = _made_by(model, fingerprint, constants, numerics(), arguments)
        known = digest_of(made_by), made_by
        fingerprint.keys[circumstances] = known
    return known


def _made_by(model: Any, fingerprint: Fingerprint, *rest: tuple[str, ...]) -> str:
    constants, settings, arguments = rest
    everything = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "chatterbox": chatterbox_version(),
        "libraries": library_versions(),
        "constants": constants,
        "numerics": settings,
        "device": _type_of(model.device),
        "arguments": arguments,
        "weights": fingerprint.digest,
    }
    return json.dumps(everything, sort_keys=True)


@lru_cache(maxsize=8)
def _getter(constants: tuple[str, ...]) -> attrgetter[Any]:
    return attrgetter(*constants)


def _arguments(others: Mapping[str, object]) -> tuple[str, ...]:
    """The arguments as text, in which True, 1 and 1.0 are three things."""
    if not others:
        return ()
    if not all(type(value) in _PLAIN for value in others.values()):
        raise Unidentifiable("an argument that can't be part of a key")
    return tuple(f"{name}={others[name]!r}" for name in sorted(others))


def _constants(model: Any, family: Family) -> tuple[str, ...]:
    try:
        return tuple(map(str, _getter(family.constants)(model)))
    except AttributeError as error:
        raise Unidentifiable("model is not built as expected") from error


def numerics() -> tuple[str, ...]:
    """Process-wide settings of PyTorch that change the bits of a result."""
    dtype, precision, tf32 = _numerics()
    return str(dtype), precision, "tf32" if tf32 else ""


def _numerics() -> tuple[torch.dtype, str, bool]:
    """The same as PyTorch has them: to write them out takes longer than to compare them."""
    import torch

    return torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def _refuse_autocast(model: Any) -> None:
    import torch

    if torch.is_autocast_enabled(_type_of(model.device)):
        raise Unidentifiable("autocast is on")


@lru_cache(maxsize=32)
def _type_of(device: str | torch.device) -> str:
    """Such as ``cuda`` for ``cuda:1``."""
    import torch

    return torch.device(device).type


@lru_cache(maxsize=1)
def chatterbox_version() -> str:
    """Distribution and version that the imported package ``chatterbox`` comes from, such as ``chatterbox-tts 0.1.7``.

    A source tree that no distribution owns is named by a digest of its code.
    """
    return version_of_package(Path(sys.modules["chatterbox"].__file__ or "").parent)


def version_of_package(package: Path) -> str:
    """The same for the package ``chatterbox`` that lies in this folder, imported or not."""
    names = [name for name in _DISTRIBUTIONS if _owns(name, package)]
    names = names or [name for name in metadata.packages_distributions().get("chatterbox", []) if _owns(name, package)]
    if len(names) == 1:
        return f"{names[0]} {metadata.version(names[0])}"
    code = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        code.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes())
    return f"source {code.hexdigest()}"


def _owns(distribution: str, package: Path) -> bool:
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return Path(str(found.locate_file("chatterbox"))).resolve() == package.resolve()


def library_versions() -> dict[str, str | None]:
    """The versions of the libraries that decide the bits, None for those that are not installed."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
