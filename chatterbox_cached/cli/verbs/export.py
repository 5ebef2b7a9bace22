"""``chatterbox-cached export``: voices in one file, for another machine or for upstream."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ...accounting.stats import ENCODERS
from ...errors import BundleError, ChatterboxCachedError, EntryError, NotCachedError, VoiceFileError
from ...identity.origin import model_of
from ...library import exchange, exchange_names
from ...library.exchange_names import Kept
from ...library.voices import plain
from ...named.library import Library
from ...named.record import CONDITIONALS, NamedVoice
from ...settings import Settings
from ...upstream import pt_file
from ...voice import bundle, entry_format
from ...voice.bundle import VoiceEntry
from ...voice.key_format import parsed, voice_prefix
from ..app import AMISS
from ..common import CacheDir, Json, opened, print_json, settings_for
from ..models import Model

_BUNDLE, _VOICE_FILE = ".cbv", ".pt"
Voices = Annotated[
    list[str] | None,
    typer.Argument(metavar="VOICE", help="Audio files, names from ls, or beginnings of digests."),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to: voices.cbv, or one voice.pt.")]
Everything = Annotated[bool, typer.Option("--all", help="All voices of the folder.")]
WithAudio = Annotated[
    bool, typer.Option("--with-audio", help="Also the recordings that were kept with voices that have names.")
]
NoNames = Annotated[bool, typer.Option("--no-names", help="Leave out the names that were given to these voices.")]
OnlyModel = Annotated[Model | None, typer.Option("--model", help="Only what this model has prepared.")]


def command(
    output: Output,
    voices: Voices = None,
    everything: Everything = False,
    model: OnlyModel = None,
    with_audio: WithAudio = False,
    no_names: NoNames = False,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Write voices to a bundle (voices.cbv), or one voice to a file that Chatterbox reads (voice.pt).

    Names that were given to these voices are in it, with what is said of them; the reference audio is not, unless it is
    asked for, nor the name of its file. Anyone who has the file can speak with these voices. An earlier export of that
    name is replaced, and no other file.

    Example: chatterbox-cached export anna.wav ben.wav -o voices.cbv

    Example: chatterbox-cached export narrator --with-audio -o narrator.cbv
    """
    if everything == bool(voices):
        raise typer.BadParameter("give the voices to export, or --all")
    if with_audio and (no_names or output.suffix.lower() == _VOICE_FILE):
        raise typer.BadParameter("--with-audio goes with a bundle that has names")
    _refuse_impossible(output)
    settings = settings_for(cache_dir)
    library = Library(settings)
    with opened(cache_dir) as folder:
        kept = Kept(folder, library)
        digests = {voice: kept.digest_of(voice) for voice in voices or []}
        named = kept.named(set(digests.values()) if digests else None)
        if output.suffix.lower() == _VOICE_FILE and _is_from_a_file(named):
            shutil.copyfile(library.conditionals_of(named[0]), output)
            print(f"{output}: {plain(named[0].name)}, as it came from a file")
            return
        alone = {voice.digest for voice in named if with_audio or voice.kind == CONDITIONALS}
        found, refused = _found(kept, settings, digests, model, set() if no_names else alone)
        if output.suffix.lower() == _VOICE_FILE:
            written = [_write_voice_file(kept, settings, found, output)]
        else:
            keys = [voice.header.key for voice in found]
            names = {} if no_names else exchange_names.for_bundle(library, named, with_audio=with_audio)
            written = bundle.write(output, keys, lambda key: exchange.read_entry(kept, key, settings.keyring), names)
    _report(output, written, refused, as_json)


def _refuse_impossible(output: Path) -> None:
    """Raise what keeps this from being written, before anything else is done."""
    if output.suffix.lower() not in (_BUNDLE, _VOICE_FILE):
        raise typer.BadParameter(f"{output} must end with {_BUNDLE} for a bundle, or with {_VOICE_FILE} for one voice")
    if not output.parent.is_dir():
        raise ChatterboxCachedError(f"There is no folder {output.parent}. Make it first, or give another.")
    if output.exists() and not (output.is_file() and _is_an_export(output)):
        raise ChatterboxCachedError(
            f"{output} is there and is not such a file, so it was left alone. Give another name, or remove it first."
        )


def _is_an_export(output: Path) -> bool:
    try:
        if output.suffix.lower() == _VOICE_FILE:
            pt_file.read(output, "cpu")
        else:
            next(bundle.read(output), None)
    except (OSError, BundleError, VoiceFileError):
        return False
    return True


def _is_from_a_file(named: list[NamedVoice]) -> bool:
    return len({voice.digest for voice in named}) == 1 and named[0].kind == CONDITIONALS


def _found(
    kept: Kept, settings: Settings, digests: dict[str, str], model: Model | None, alone: set[str]
) -> tuple[list[VoiceEntry], dict[str, str]]:
    """What is kept of these voices, those stored longest ago first, and what can't be exported, by key, with why.

    ``digests``: of the audio, by what the user calls it; of none, everything. Those in ``alone`` need no entries.
    """
    found, refused = dict[str, VoiceEntry](), dict[str, str]()
    wanted: dict[str, str | None] = {**digests} or {f"the folder {settings.cache_dir}": None}
    all_keys = kept.keys()
    for name, digest in wanted.items():
        keys = [key for key in all_keys if digest is None or key.startswith(voice_prefix(digest))]
        if not keys and digest is None and not alone:
            raise NotCachedError(f"The folder {settings.cache_dir} has no voices.")
        for key in keys:
            try:
                voice = exchange.read_entry(kept, key, settings.keyring)
            except EntryError as error:
                refused[key] = str(error)
                continue
            if model is None or model_of(voice.origin) == model.family.name:
                found[key] = voice._replace(payload=b"")
        if not any(key in found for key in keys) and not (alone if digest is None else digest in alone):
            by, option = (f" by {model.value}", f" --model {model.value}") if model else ("", "")
            reason = next((f" that can be exported ({refused[key]})" for key in keys if key in refused), "")
            advice = f"Prepare it first: chatterbox-cached warm{option}"
            raise NotCachedError(f"Nothing{by} is kept of {name}{reason}. {advice}")
    return list(found.values()), refused


def _write_voice_file(kept: Kept, settings: Settings, found: list[VoiceEntry], output: Path) -> VoiceEntry:
    """Write what was stored last, where it is one voice of one model."""
    found = [voice for voice in found if model_of(voice.origin) != ENCODERS]
    if not found:
        raise ChatterboxCachedError(
            "What is kept of this voice are results of the encoders, and a .pt file holds a whole voice. Write a"
            " bundle: -o voices.cbv"
        )
    models = sorted({model_of(voice.origin) for voice in found})
    if len({voice.audio for voice in found}) > 1:
        raise ChatterboxCachedError("A .pt file holds one voice. Give one, or write a bundle: -o voices.cbv")
    if len(models) > 1:
        raise ChatterboxCachedError(f"This voice was prepared by {' and '.join(models)}. Say which with --model.")
    voice = exchange.read_entry(kept, found[-1].header.key, settings.keyring)
    snapshot = entry_format.decode(voice.header.key, entry_format.seal(voice.header, voice.payload))
    pt_file.write(output, snapshot, 0.5)  # generate() applies its own exaggeration
    return voice


def _report(output: Path, written: list[VoiceEntry], refused: dict[str, str], as_json: bool) -> None:
    if as_json:
        rows = [_row(voice) for voice in written]
        print_json({"file": str(output), "bytes": output.stat().st_size, "entries": rows, "refused": refused})
    else:
        models = ", ".join(sorted({model_of(voice.origin) for voice in written}))
        count = len({voice.audio for voice in written})
        size = output.stat().st_size / 1e6
        print(f"{output}: {count} voice{'s' * (count != 1)} for {models}, {size:.2f} MB")
    for key, reason in refused.items():
        print(f"not exported: {_audio_of(key)[:12]}: {reason}. Run: chatterbox-cached check", file=sys.stderr)
    if refused:
        raise typer.Exit(AMISS)


def _row(voice: VoiceEntry) -> dict[str, Any]:
    return {
        "voice": voice.audio,
        "model": model_of(voice.origin),
        "made_by": voice.made_by,
        "origin": voice.origin,
    }


def _audio_of(key: str) -> str:
    """The digest of the audio in a key; for one that is none, the key itself."""
    parts = parsed(key)
    return key if parts is None else parts.audio
