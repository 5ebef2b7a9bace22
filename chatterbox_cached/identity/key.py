"""What decides the key of an entry: the audio, and everything else.

Everything else: the model's class, the Chatterbox distribution and version, the versions of the libraries that decide
the bits, the conditioning constants, dtypes and precision, the device type, the other arguments that matter, and the
weights that make conditionals. Not in it: the path, the exaggeration, T3's weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import Unidentifiable
from ..upstream import packages
from ..upstream.families import Family
from ..voice.key_format import digest_of, key_of
from . import setup
from .audio import Audio, AudioIndex
from .weights import Fingerprint, Fingerprints

if TYPE_CHECKING:
    pass

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

    def key(self, model: Any, family: Family, audio: object, arguments: Mapping[str, object]) -> Key:
        """The key for what ``model`` would make of ``audio`` with these arguments besides.

        Raises Unidentifiable where there is any doubt.
        """
        identified = self.audio.identify(audio)
        digest, made_by = self.made_by(model, family, arguments)
        return Key(key_of(identified.digest, digest), identified, made_by)

    def made_by(self, model: Any, family: Family, arguments: Mapping[str, object]) -> tuple[str, str]:
        """Everything but the audio, as the digest that ends the key and as text. Raises as ``key`` does."""
        setup.refuse_autocast(model)
        return _rest(model, family, self.fingerprints.of(model, family), arguments)


def _rest(model: Any, family: Family, fingerprint: Fingerprint, arguments: Mapping[str, object]) -> tuple[str, str]:
    """Everything but the audio, as digest and as text; remembered for as long as nothing of it changes."""
    constants, settings, others = _constants(model, family), setup.in_force(), _arguments(arguments)
    circumstances = (type(model), model.device, constants, settings, others)
    known = fingerprint.keys.get(circumstances)
    if known is None:
        made_by = _made_by(model, fingerprint, constants, setup.numerics(), others)
        known = digest_of(made_by), made_by
        fingerprint.keys[circumstances] = known
    return known


def _made_by(model: Any, fingerprint: Fingerprint, *rest: tuple[str, ...]) -> str:
    constants, settings, arguments = rest
    everything = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "chatterbox": packages.chatterbox_version(),
        "libraries": packages.library_versions(),
        "constants": constants,
        "numerics": settings,
        "device": setup.device_type(model.device),
        "arguments": arguments,
        "weights": fingerprint.digest,
    }
    return json.dumps(everything, sort_keys=True)


@lru_cache(maxsize=8)
def _getter(constants: tuple[str, ...]) -> attrgetter[Any]:
    return attrgetter(*constants)


def _arguments(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The arguments as text, in which True, 1 and 1.0 are three things."""
    if not arguments:
        return ()
    if not all(type(value) in _PLAIN for value in arguments.values()):
        raise Unidentifiable("an argument that can't be part of a key")
    return tuple(f"{name}={arguments[name]!r}" for name in sorted(arguments))


def _constants(model: Any, family: Family) -> tuple[str, ...]:
    try:
        return tuple(map(str, _getter(family.constants)(model)))
    except AttributeError as error:
        raise Unidentifiable("model is not built as expected") from error
