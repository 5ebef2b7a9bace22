"""``chatterbox-cached import``: voices from another machine, or from a file of upstream's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...accounting import account
from ...accounting.account import Batch, VoiceAccount
from ...cache import ConditionalCache
from ...errors import BundleError, ChatterboxCachedError, Unidentifiable
from ...identity import compatibility
from ...identity.audio import AudioIndex
from ...identity.key import Identity, Maker
from ...identity.origin import model_of, origin_of_imported
from ...library import exchange, exchange_names
from ...library.exchange import TakenIn
from ...library.named_voices import Voices
from ...library.voices import plain
from ...named.library import Library
from ...settings import Settings, folder_of
from ...upstream import pt_file, slots
from ...upstream.calls import asked_for
from ...upstream.families import FAMILIES
from ...voice import entry_format
from ...voice.bundle import VoiceEntry
from ...voice.key_format import is_sha256, key_of
from ..common import CacheDir, Json, moved_aside, print_json, print_table, settings_for
from ..models import Checkpoint, Device, Model, load, quietly

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="voices.cbv, voice.pt in Chatterbox's own format, or a folder of such .pt files.",
    ),
]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="VOICE", help="For voice.pt: the audio that it stands for, or the audio's SHA-256."),
]
ForModel = Annotated[
    Model | None,
    typer.Option("--model", help="Load this model, to be sure whether a voice is a hit for it; voice.pt needs one."),
]


def command(
    file: File,
    audio: As = None,
    model: ForModel = None,
    device: Device = None,
    checkpoint: Checkpoint = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Keep the voices of a bundle (voices.cbv), or one voice from a file that Chatterbox wrote (voice.pt).

    It says for which models each voice is a hit here. A bundle is checked as a whole before anything of it is kept;
    what is kept already stays as it is. A voice.pt is believed to be what the model makes of the audio. Each .pt file
    of a folder becomes a voice with its file's name, which any model of the kind that it is from can speak with.

    Example: chatterbox-cached import voices.cbv

    Example: chatterbox-cached import voice_conds/

    Example: chatterbox-cached import voice.pt --as anna.wav --model english
    """
    settings = settings_for(cache_dir)
    if file.is_dir():
        _folder(settings, file, as_json)
        return
    is_voice_file = file.suffix.lower() == ".pt"
    if is_voice_file and (audio is None or model is None):
        raise typer.BadParameter("a .pt file needs --as VOICE and --model, which say what it stands for")
    if not is_voice_file and audio is not None:
        raise typer.BadParameter("--as goes with a .pt file only")
    if is_voice_file and audio is not None and model is not None:
        _voice_file(settings, file, audio, (model, device, checkpoint), as_json)
        return
    _refuse_other_files(file)
    tier, newcomers = exchange.open_to_write(settings, moved_aside), exchange_names.Newcomers(Library(settings))
    try:
        taken = exchange.take_in(file, tier, settings, newcomers)
    finally:
        tier.close()
    newcomers.keep_prepared()
    makers = {} if model is None else {model.family.name: _maker(model, device, checkpoint)[0].made_by}
    _report(settings, taken, newcomers, makers, as_json)


def _folder(settings: Settings, folder: Path, as_json: bool) -> None:
    """Give each ``.pt`` file of a folder its own name, once all of them have been looked at."""
    voices = Voices(lambda: ConditionalCache.from_settings(settings))
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".pt")
    if not files:
        raise ChatterboxCachedError(f"There are no .pt files in {folder}. Recordings are for: chatterbox-cached warm")
    with quietly():
        added, known = voices.add_all(files)
    if as_json:
        print_json({"folder": str(voices.folder), "new": added, "already_there": known})
    else:
        there = f", {len(known)} there already" if known else ""
        print(f"{len(added)} new in {voices.folder}{there}. See: chatterbox-cached voices ls")


def _refuse_other_files(file: Path) -> None:
    with file.open("rb") as opened:
        if opened.read(4) != b"PK\3\4":
            raise BundleError(f"{file} is no bundle of voices. If it is audio, run: chatterbox-cached warm {file}")


def _maker(model: Model, device: str | None, checkpoint: Path | None) -> tuple[Maker, str]:
    """What decides all that this model makes, and what is told of its entries."""
    with quietly():
        loaded, family = load(model, device, checkpoint), model.family
        return Identity().maker(asked_for(loaded, family, "", 0.5)), origin_of_imported(loaded, family)


def _digest_of(audio: str) -> str:
    """The SHA-256 of an audio file, which may be given itself: the audio need not be here."""
    if is_sha256(audio.lower()):
        return audio.lower()
    try:
        return AudioIndex().identify(audio).digest
    except Unidentifiable as doubt:
        raise ChatterboxCachedError(f"{audio} is no audio file that can be read, and no SHA-256 of one.") from doubt


def _voice_file(
    settings: Settings, file: Path, audio: str, which: tuple[Model, str | None, Path | None], as_json: bool
) -> None:
    snapshot = pt_file.read(file, "cpu")  # before the model is loaded, which takes long
    if not slots.fits(snapshot, which[0].family):
        raise ChatterboxCachedError(f"{file} holds a voice of another kind than the {which[0].value} model takes.")
    tier = exchange.open_to_write(settings, moved_aside)
    try:
        voice = _digest_of(audio)
        maker, origin = _maker(*which)
        key = key_of(voice, maker.digest)
        tier.put(key, entry_format.encode(key, replace(snapshot, origin=origin), settings.keyring, maker.made_by))
    finally:
        tier.close()
    _name(settings, voice, Path(audio).absolute())
    if as_json:
        print_json({"folder": str(settings.cache_dir), "key": key, "model": which[0].value})
    else:
        print(f"{audio} is a hit for {which[0].value} from now on, with what {file} holds.")


def _name(settings: Settings, digest: str, path: Path) -> None:
    """Let the voice have its name and path, where the audio itself was given."""
    if path.is_file():
        now = time.time()
        seen = VoiceAccount(digest, path.name, str(path), duration=None, last_used=now, hits=0, saved_seconds=0.0)
        account.add(
            folder_of(settings), Batch(now, {}, [seen]), was_set_aside=lambda _: None, trusted=settings.trust_cache_dir
        )


def _report(
    settings: Settings, taken: TakenIn, newcomers: exchange_names.Newcomers, makers: Mapping[str, str], as_json: bool
) -> None:
    rows = list(_rows(taken.voices, makers))
    already = len(taken.voices) - taken.new
    if as_json:
        figures = {"new": taken.new, "already_there": already, "made_room": taken.made_room}
        print_json({"folder": str(settings.cache_dir), **figures, "voices": rows, "names": newcomers.names})
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("voice", "model", box=None, pad_edge=False)
    table.add_column("here", overflow="fold")
    for row in rows:
        verdict = f"no: {'; '.join(row['why_not'])}" if row["why_not"] else row["hit"]
        model = row["model"] + (f" ({row['device']})" if row["device"] else "")
        table.add_row(row["voice"][:12], Text(model), Text(verdict))
    print_table(Console(), table)
    there = f", {already} there already" if already else ""
    room = f", {taken.made_room} older ones made room" if taken.made_room else ""
    print(f"{taken.new} new in {settings.cache_dir}{there}{room}.")
    if newcomers.names:
        print(f"With names: {', '.join(map(plain, newcomers.names))}.")


def _rows(voices: list[VoiceEntry], makers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A row for every voice and model: whether it is a hit here, and why not."""
    here, by_audio = compatibility.here(), dict[str, list[VoiceEntry]]()
    for voice in voices:
        by_audio.setdefault(voice.audio, []).append(voice)
    for audio, entries in by_audio.items():
        for entry in entries:
            name, made_by = model_of(entry.origin), entry.made_by
            why_not = compatibility.misfits(made_by, here)
            if name in makers and not why_not:
                why_not = compatibility.misfits_of_model(made_by, makers[name])
            hit = "no" if why_not else "a hit" if name in makers else "a hit, if its weights and code are the same"
            yield {"voice": audio, "model": name, "device": made_by["device"], "hit": hit, "why_not": why_not}
        for family in FAMILIES:
            if family.name not in {model_of(entry.origin) for entry in entries}:
                yield {
                    "voice": audio, "model": family.name, "device": None, "hit": "no",
                    "why_not": ["the bundle has nothing that it made of this voice"],
                }  # fmt: skip
