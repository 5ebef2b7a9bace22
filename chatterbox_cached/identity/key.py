"""What decides the key of an entry: the audio, and everything else.

Everything else: the code that the preparation would run, Python's minor version, the versions of the libraries that
decide the bits, the conditioning constants, dtypes and precision, the device type, the other arguments that matter, and
the weights that make conditionals. Not in it: the path, the exaggeration, T3's weights, the names of classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from ..concurrency.forks import ForkSafeLock
from ..errors import Unidentifiable
from ..upstream import packages
from ..upstream.calls import Preparation
from ..upstream.encodings import Encoding, EncodingCall
from ..upstream.families import Family
from ..voice.key_format import digest_of, key_of
from . import setup
from .audio import UNKNOWN_AUDIO, Audio, AudioIndex
from .code.history import History
from .code.preparing import CONDITIONALS, NOTHING
from .code.running import RunningCode
from .waveform import digest_of_waves
from .weights import Fingerprint, Fingerprints

_PLAIN = (bool, int, float, str, type(None))
Call = Preparation | EncodingCall


class Maker(NamedTuple):
    """Everything but the audio that decides an entry: ``digest`` ends its key, ``made_by`` is it all as JSON text.

    ``code`` is what the preparation would run.
    """

    digest: str
    made_by: str
    code: RunningCode


class Key(NamedTuple):
    """A call that was identified: where its entry is, what the audio was, and whose work the entry is.

    ``gives`` is what such a preparation returns, as in code.preparing. ``maker`` is None for a voice that the user
    brought in.
    """

    text: str
    audio: Audio
    gives: str | None
    maker: Maker | None = None

    @property
    def made_by(self) -> str:
        """All but the audio, as JSON text; empty for what the user brought in."""
        return "" if self.maker is None else self.maker.made_by

    @property
    def gives_conditionals(self) -> bool:
        """Whether a preparation returns the conditionals that it has set, and not nothing."""
        return self.gives == CONDITIONALS

    @property
    def uncertain(self) -> str:
        """Of what it can't be told what it does, so that the key holds for this process only; empty for nothing."""
        return "" if self.maker is None else self.maker.code.uncertain


def on_setup(key: Key, setup: Mapping[str, Any]) -> Key:
    """The key beside ``key`` for what was made on this set-up (see origin.setup_of), where another's is under it."""
    if key.maker is None:
        return key
    made_by = json.dumps({**json.loads(key.maker.made_by), "setup": setup}, sort_keys=True)
    maker = key.maker._replace(digest=digest_of(made_by), made_by=made_by)
    return key._replace(text=key_of(key.audio.digest, maker.digest), maker=maker)


def still_of(key: Key, call: EncodingCall) -> bool:
    """Whether the waveform of this call is still that of its key."""
    return bool(json.loads(key.made_by)["waveform"] == digest_of_waves(call.waves))


class Identity:
    """Makes keys; one per cache, safe from any thread."""

    def __init__(self) -> None:
        self.audio = AudioIndex()
        self.fingerprints = Fingerprints()

    def forget(self, model: object, audio: object) -> None:
        """Believe nothing that is remembered of a model or of a path; both are read again."""
        self.fingerprints.forget(model)
        self.audio.forget(audio)

    def key(self, call: Preparation) -> Key:
        """The key for what this call would make. Raises Unidentifiable where there is any doubt."""
        audio, maker = self.audio.identify(call.audio), self.maker(call)
        return Key(key_of(audio.digest, maker.digest), audio, maker.code.gives, maker)

    def key_of_encoding(self, call: EncodingCall, audio: Audio | None) -> Key:
        """The key for what this call of an encoder would make: of ``audio`` where it is known that it is of that, else
        of the waveform. Raises Unidentifiable where there is any doubt.
        """
        maker, waves = self.maker(call), digest_of_waves(call.waves)
        said = {**json.loads(maker.made_by), "part": call.family.name, "waveform": waves}
        made_by = json.dumps(said, sort_keys=True)
        maker = maker._replace(digest=digest_of(made_by), made_by=made_by)
        audio = audio or Audio(waves, "", "", lambda: digest_of_waves(call.waves) == waves)
        return Key(key_of(audio.digest, maker.digest), audio, NOTHING, maker)

    def of_what_was_brought_in(self, call: Preparation) -> Key:
        """What stands for the key of a voice that the user brought in: no code made it."""
        try:
            gives = _code_of(self.fingerprints.of(call.model, call.family), call).gives
        except Unidentifiable:
            gives = NOTHING
        return Key("", UNKNOWN_AUDIO, gives)

    def maker(self, call: Call) -> Maker:
        """Everything but the audio of this call. Raises Unidentifiable where there is any doubt."""
        model, family, device = call.model, call.family, call.device
        _refuse_again(self.fingerprints.last_of(model), call)
        fingerprint = self.fingerprints.of(model, family)
        code = _code_of(fingerprint, call)
        if _is_refused(code):
            _refuse(code)
        constants, others = _constants(model, family), _arguments(call.key_arguments)
        settings = setup.in_force(setup.device_type(device))
        circumstances = (code, device, constants, *map(type, constants), settings, others)
        known = fingerprint.makers.get(circumstances)
        if known is None:
            made_by = _made_by(device, fingerprint, code, constants, settings, others)
            known = fingerprint.makers[circumstances] = Maker(digest_of(made_by), made_by, code)
        return known


_history = History()
_lock = ForkSafeLock()


def _code_of(fingerprint: Fingerprint, call: Call) -> RunningCode:
    """What the call would run, looked at anew when it is no longer what it was."""
    known: tuple[Any, RunningCode] | None = fingerprint.codes.get(id(call.function))
    if known is not None and known[0] is call.function and known[1].holds(call.model):
        return known[1]
    with _lock:
        try:
            packages.load_libraries()  # they are looked through next
            code = RunningCode(call.model, call.family, call.function)
            if code.uncertain:  # another thread may have been in the middle of loading a library
                code = RunningCode(call.model, call.family, call.function)
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise Unidentifiable("model is not built as expected") from error
        _history.enter(code)
    fingerprint.codes[id(call.function)] = call.function, code
    return code


def _refuse_again(fingerprint: Fingerprint | None, call: Call) -> None:
    """Raise Unidentifiable for code that was refused before and still is the same: no weights have a say in that."""
    known = None if fingerprint is None else fingerprint.codes.get(id(call.function))
    if known is not None and known[0] is call.function and _is_refused(known[1]) and known[1].holds(call.model):
        _refuse(known[1])


def _is_refused(code: RunningCode) -> bool:
    return bool(code.effect) or code.gives is None


def _refuse(code: RunningCode) -> None:
    if code.effect:
        raise Unidentifiable("preparation does more than prepare", detail=code.effect)
    raise Unidentifiable("preparation returns what can't be told")


def _made_by(
    device: Any,
    fingerprint: Fingerprint,
    code: RunningCode,
    constants: tuple[Any, ...],
    settings: tuple[object, ...],
    arguments: tuple[str, ...],
) -> str:
    everything = {
        "code": code.digest,
        "python": setup.PYTHON,
        "libraries": {**packages.library_versions(), **code.libraries},
        "constants": list(map(str, constants)),
        "numerics": [str(each) for each in settings],
        "device": setup.device_type(device),
        "arguments": arguments,
        "weights": fingerprint.digest,
    }
    return json.dumps(everything, sort_keys=True)


@lru_cache(maxsize=8)
def _getter(constants: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    get: Any = attrgetter(*constants)
    return get if len(constants) > 1 else lambda model: (get(model),)


def _arguments(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The arguments as text, in which True, 1 and 1.0 are three things."""
    if not arguments:
        return ()
    if not all(type(value) in _PLAIN for value in arguments.values()):
        raise Unidentifiable("an argument that can't be part of a key")
    return tuple(f"{name}={arguments[name]!r}" for name in sorted(arguments))


def _constants(model: Any, family: Family | Encoding) -> tuple[Any, ...]:
    if not family.constants:
        return ()
    try:
        return _getter(family.constants)(model)
    except AttributeError as error:
        raise Unidentifiable("model is not built as expected") from error
