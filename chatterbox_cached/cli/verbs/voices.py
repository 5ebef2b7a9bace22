"""``chatterbox-cached voices``: the voices that have names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ...cache import ConditionalCache
from ...figures import counted, length, moment, span
from ...library.named_voices import Voices
from ...library.voices import plain
from ...named.record import NamedVoice
from ..common import CacheDir, Json, print_json, print_table, settings_for
from ..models import Checkpoint, Device, Model, load, quietly

_HELP = """Give voices names. Programs then speak with "voice:NAME" where they would have a path.

Example: chatterbox-cached voices add narrator.wav --as narrator
"""
command = typer.Typer(help=_HELP, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or an alias, in capitals or not.")]
Audio = Annotated[
    Path, typer.Argument(metavar="AUDIO", help="Its recording, or a voice.pt of Chatterbox's own format.")
]
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="The name. Without it, that of the file.", show_default=False)
]
Aliases = Annotated[
    list[str], typer.Option("--alias", metavar="NAME", help="Another name; may be given several times.")
]
Describe = Annotated[str | None, typer.Option("--describe", metavar="TEXT", help="What it is good for.")]
Consent = Annotated[str | None, typer.Option("--consent", metavar="TEXT", help="Who allowed what, in your words.")]
KeepAudio = Annotated[
    bool,
    typer.Option(
        "--keep-audio",
        help="Keep a copy of the recording with it, so that any other model, or a newer Chatterbox, prepares the voice"
        " by itself, wherever the file has gone. Whoever can read your files can then hear it.",
    ),
]
ForModel = Annotated[Model | None, typer.Option("--model", help="Prepare it now, with this model.")]
Replace = Annotated[bool, typer.Option("--replace", help="Take the place of the voice that has this name.")]
WriteFile = Annotated[
    bool,
    typer.Option("--file", help="Also write NAME.voice here: a small file for programs that want a path to a file."),
]


@command.command()
def add(
    audio: Audio,
    name: As = None,
    alias: Aliases = [],  # noqa: B006 - typer makes a new one
    describe: Describe = None,
    consent: Consent = None,
    keep_audio: KeepAudio = False,
    model: ForModel = None,
    device: Device = None,
    checkpoint: Checkpoint = None,
    replace: Replace = False,
    file: WriteFile = False,
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Give a voice a name. Programs then speak with "voice:NAME" where they would have a path.

    What is prepared of it already is kept for good. Else the first program that speaks with it prepares it, from where
    the recording is now; or give --model.

    Example: chatterbox-cached voices add narrator.wav --as narrator
    """
    voices = _voices(cache_dir)
    with quietly():
        loaded = None if model is None else load(model, device, checkpoint)
        voice = voices.add(
            audio.stem if name is None else name, audio, aliases=alias, description=describe or "",
            consent=consent or "", keep_audio=keep_audio, model=loaded, replace=replace,
        )  # fmt: skip
    written = voices.write_file(voice.name) if file else None
    if json:
        print_json({**_facts(voices, voice), "file": written and str(written.absolute())})
        return
    print(f'{_shown(voice)} Speak with it: audio_prompt_path="voice:{voice.name}"')
    print(_good_for(voices, voice))
    if written is not None:
        print(f"{written} stands for it where a program wants a file.")


@command.command()
def ls(cache_dir: CacheDir = None, json: Json = False) -> None:
    """List the voices that have names.

    Example: chatterbox-cached voices ls --json | jq '.voices[].name'
    """
    voices = _voices(cache_dir)
    rows = [_facts(voices, voice) for voice in voices.values()]
    if json:
        print_json({"folder": str(voices.folder), "voices": rows})
    elif rows:
        _print(rows)
        print(f"{counted(len(rows), 'voice', 'voices')} in {voices.folder}")
    else:
        print(f"No voice has a name yet in {voices.folder}. Give one: chatterbox-cached voices add narrator.wav")


@command.command()
def show(name: Name, cache_dir: CacheDir = None, json: Json = False) -> None:
    """Show all that is known of a voice.

    Example: chatterbox-cached voices show narrator
    """
    voices = _voices(cache_dir)
    facts = _facts(voices, voices[name])
    if json:
        print_json(facts)
        return
    added = f"{moment(facts['added'])} ({span(time.time() - facts['added'])} ago)"
    lines = {
        "name": facts["name"] + (" (the default)" if facts["default"] else ""),
        "aliases": ", ".join(facts["aliases"]),
        "description": facts["description"],
        "consent": facts["consent"],
        "length": "" if facts["duration"] is None else length(facts["duration"]),
        "came from": facts["source"] or "",
        "recording": facts["audio"] or "not kept",
        "good for": "; ".join(facts["models"]) or "nothing yet: it was never prepared",
        "digest": facts["digest"],
        "added": added,
    }
    for what, value in lines.items():
        if value:
            print(f"{what:<12} {plain(value)}")


@command.command()
def rename(
    old: Name, new: Annotated[str, typer.Argument(metavar="NEW")], cache_dir: CacheDir = None, json: Json = False
) -> None:
    """Give a voice another name; its aliases stay.

    Example: chatterbox-cached voices rename narrator storyteller
    """
    voices = _voices(cache_dir)
    voice = voices.rename(old, new)
    _say(f"It is called {plain(voice.name)} now.", _facts(voices, voice), json)


@command.command()
def describe(
    name: Name,
    text: Describe = None,
    consent: Consent = None,
    alias: Aliases = [],  # noqa: B006 - as above
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Change what is said of a voice; aliases that are given take the place of those that it had.

    Example: chatterbox-cached voices describe narrator --describe "calm, for chapters"
    """
    if text is None and consent is None and not alias:
        raise typer.BadParameter("give --describe, --consent or --alias")
    voices = _voices(cache_dir)
    voice = voices.describe(name, description=text, consent=consent, aliases=alias or None)
    _say(_shown(voice), _facts(voices, voice), json)


@command.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME")], cache_dir: CacheDir = None, json: Json = False
) -> None:
    """Take voices out of the library, with the recordings that were kept there. If one is not known, none goes.

    The cache keeps what it has of them; `chatterbox-cached rm` drops that.

    Example: chatterbox-cached voices rm narrator
    """
    voices = _voices(cache_dir)
    gone = [voices.remove(name) for name in dict.fromkeys(voices[name].name for name in names)]
    _say("\n".join(f"Removed {plain(voice.name)}." for voice in gone), [voice.facts() for voice in gone], json)


@command.command()
def default(
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False)] = None,
    none: Annotated[bool, typer.Option("--none", help="Have no default.")] = False,
    cache_dir: CacheDir = None,
    json: Json = False,
) -> None:
    """Choose the voice that "voice:default" stands for; without NAME, say which it is.

    Example: chatterbox-cached voices default narrator
    """
    voices = _voices(cache_dir)
    if name is not None or none:
        voices.choose(None if none else name)
    chosen = voices.default
    _say(f"{plain(chosen)} is the default." if chosen else "No voice is the default.", {"default": chosen}, json)


def _say(sentence: str, facts: Any, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print(sentence)


def _voices(cache_dir: Path | None) -> Voices:
    cache = ConditionalCache.from_settings(settings_for(cache_dir))
    return Voices(lambda: cache)


def _facts(voices: Voices, voice: NamedVoice) -> dict[str, Any]:
    return {**voice.facts(), "models": list(voices.models(voice.name))}


def _shown(voice: NamedVoice) -> str:
    also = f" (also {', '.join(voice.aliases)})" if voice.aliases else ""
    long = "" if voice.seconds is None else f", {length(voice.seconds)}"
    return plain(f"{voice.name}{also}{long}.")


def _good_for(voices: Voices, voice: NamedVoice) -> str:
    models, kept = voices.models(voice.name), "Its recording is kept, so any model can prepare it."
    if models:
        also = kept if voice.audio else "Another model prepares it from its recording, while that is where it is now."
        return f"It is prepared for {'; '.join(models)}. {also if voice.kind == 'recording' else ''}".rstrip()
    if voice.audio:
        return f"Not prepared yet: the first program that speaks with it does that. {kept}"
    return (
        f"Not prepared yet: the first program that speaks with it does that, from {plain(voice.source)}, which must"
        " stay there until then. To prepare it now: --model english; to keep a copy of the recording: --keep-audio."
    )


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("Name", "Length", "Recording", "Good for"):
        table.add_column(head, justify="right" if head == "Length" else "left", overflow="fold")
    for row in rows:
        name = Text(plain(row["name"]), "bold").append(
            "".join(f", {plain(alias)}" for alias in row["aliases"]), "default"
        )
        if row["default"]:
            name.append(" (default)", "default")
        kinds = ", ".join(dict.fromkeys(model.partition(" ")[0] for model in row["models"]))
        kept = "kept" if row["audio"] else "-"
        table.add_row(name, "-" if row["duration"] is None else length(row["duration"]), kept, kinds or "-")
    print_table(Console(highlight=False), table)
