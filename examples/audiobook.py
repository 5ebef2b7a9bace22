"""An audiobook: a script with a cast is spoken chapter by chapter, and goes on where Ctrl-C has stopped it.

    python audiobook.py audiobook.md

The script is Markdown that reads well by itself, as audiobook.md beside this file: a title, a table under "## Cast"
with the voices, and a "## heading" for each chapter. "**Anna:** Did you hear that?" is spoken by Anna, and what has no
name before it by the first of the cast. A voice is an audio file, found from the script's folder, or a name: voice:anna
from your library, or voice:builtin for the model's own.

Each line is kept as soon as it is spoken, in a file that is named after what is said, how and by whom. So the same
command goes on with the next line and, after a change to the script, speaks only what is new. With the same --seed a
line always sounds the same, whether the run was stopped or not.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chatterbox_cached

MOST_CHARACTERS = 300  # in one call, which speaks 40 s at most
RATE = 24_000  # samples per second, of every Chatterbox
PAUSE = bytes(2 * round(0.3 * RATE))  # after each line

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SPOKEN = re.compile(r"\*\*(?P<name>[^*:]+)(?::\*\*|\*\*:)\s*(?P<text>.*)")
EMPHASIS = re.compile(r"[*_`]")
BETWEEN_SENTENCES = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…]\W))\s+(?![a-z])")
NUMBER = re.compile(r"\d(\.\d+)?")


@dataclass(frozen=True)
class Actor:
    """``voice`` is what ``generate`` gets, ``heard`` a digest of what is behind it."""

    name: str
    voice: str
    heard: str
    exaggeration: float


@dataclass(frozen=True)
class Line:
    """What is spoken by one call of ``generate``."""

    actor: Actor
    text: str

    def key(self, seed: int) -> str:
        """Of all that decides how it sounds: the same line, the same key."""
        said = "\n".join([str(seed), self.actor.heard, str(self.actor.exaggeration), self.text])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chapter:
    title: str
    lines: list[Line] = field(default_factory=list)


# The script


class ScriptError(Exception):
    """What is wrong with a script, and where: one line for its author."""


class Book:
    """A script that has been read, with all of its voices there. Raises ScriptError, OSError and UnicodeError."""

    def __init__(self, path: Path) -> None:
        self.path, self.number, self.title = path, 1, path.stem
        self.cast: dict[str, Actor] = {}
        self.chapters: list[Chapter] = []
        take: Callable[[str], None] = self.add_lines
        for self.number, text in paragraphs(path.read_text(encoding="utf-8-sig")):
            if text.startswith("#"):
                take = self.begin(*text.split(maxsplit=1))
            else:
                take(text)
        if not self.chapters or not all(chapter.lines for chapter in self.chapters):
            raise self.wrong("up to here there is no chapter, or one without a line")

    def wrong(self, what: str) -> ScriptError:
        return ScriptError(f"{self.path}:{self.number}: {what}")

    def begin(self, marks: str, title: str = "") -> Callable[[str], None]:
        """Take in a heading; gives what takes in that which follows."""
        if marks == "#" and title:
            self.title = title
        elif marks != "##" or not title:
            raise self.wrong("a heading is '# ' and the title, '## Cast', or '## ' and the title of a chapter")
        elif title.lower() == "cast":
            return self.add_actor
        elif not self.cast:
            raise self.wrong("before the first chapter there has to be a cast: a table under '## Cast'")
        else:
            self.chapters.append(Chapter(title))
        return self.add_lines

    def add_actor(self, row: str) -> None:
        """Take in a row of the cast; the first two are the names of the columns and a rule."""
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 3:
            raise self.wrong("the cast is a table of three columns: | Name | Voice | Exaggeration |")
        name, voice, exaggeration = cells
        if name.lower() == "name" or not set(name) - set("-:"):
            return
        if name in self.cast:
            raise self.wrong(f"{name} is in the cast twice")
        if not NUMBER.fullmatch(exaggeration) or float(exaggeration) > 2:
            raise self.wrong(f"the exaggeration of {name} is a number from 0 to 2, not '{exaggeration}'")
        self.cast[name] = Actor(name, *self.find_voice(name, voice), float(exaggeration))

    def find_voice(self, name: str, voice: str) -> tuple[str, str]:
        kind, _, known_as = voice.partition(":")
        if voice == "voice:builtin":
            return voice, voice
        try:
            if kind == "voice":
                return voice, chatterbox_cached.voices[known_as].digest
            file = self.path.parent / voice
            return str(file), hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise self.wrong(f"the voice of {name} is not there: {error}") from None

    def add_lines(self, paragraph: str) -> None:
        """Take in what is spoken, as many whole sentences at a time as one call speaks well."""
        if not self.chapters:
            raise self.wrong("this stands before the first chapter, so nobody would read it")
        spoken = SPOKEN.fullmatch(paragraph)
        name, text = (spoken["name"], spoken["text"]) if spoken else (next(iter(self.cast)), paragraph)
        if name not in self.cast:
            raise self.wrong(f"{name} is not in the cast, which is: {', '.join(self.cast)}")
        text = EMPHASIS.sub("", text)
        if any(map(str.isalnum, text)):  # else it is a rule between two scenes
            self.chapters[-1].lines.extend(Line(self.cast[name], piece) for piece in pieces(text))


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Each heading, row of a table, line with a name and paragraph, with the number of the line that it begins on."""
    text = COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    begun, gathered = 0, list[str]()
    for number, line in enumerate(map(str.strip, [*text.splitlines(), ""]), 1):
        alone = line.startswith(("#", "|"))
        if gathered and (not line or alone or SPOKEN.match(line)):
            yield begun, " ".join(gathered)
            gathered = []
        if alone:
            yield number, line
        elif line:
            begun = begun if gathered else number
            gathered.append(line)


def pieces(text: str) -> Iterator[str]:
    gathered = ""
    for sentence in BETWEEN_SENTENCES.split(text):
        if gathered and len(gathered) + len(sentence) >= MOST_CHARACTERS:
            yield gathered
            gathered = ""
        gathered = f"{gathered} {sentence}".strip()
    yield gathered


# Speaking


class Studio:
    """Speaks lines and keeps each in a file of its own, in ``folder``."""

    def __init__(self, book: Book, folder: Path, device: str | None, seed: int) -> None:
        self.folder, self.seed = folder, seed
        lines = {self.file(line): line for chapter in book.chapters for line in chapter.lines}
        self.missing = {file: line for file, line in lines.items() if not file.exists()}
        self.model: Any = load_model(device) if self.missing else None
        self.characters, self.seconds = 0, 0.0

    def file(self, line: Line) -> Path:
        return self.folder / f"{line.key(self.seed)}.wav"

    def speak(self, line: Line) -> None:
        import torch

        started = time.monotonic()
        torch.manual_seed(int(line.key(self.seed), 16))
        wav = self.model.generate(line.text, audio_prompt_path=line.actor.voice, exaggeration=line.actor.exaggeration)
        samples = (wav.squeeze(0).clamp(-1, 1) * 32767).short().numpy()
        write_wav(self.file(line), samples.tobytes())
        del self.missing[self.file(line)]
        self.seconds += time.monotonic() - started
        self.characters += len(line.text)

    def time_left(self) -> str:
        """By how long this run has taken for a character."""
        seconds = self.seconds / self.characters * sum(len(line.text) for line in self.missing.values())
        return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def load_model(device: str | None) -> Any:
    """Loads Chatterbox, too, and no earlier: that takes long, and a wrong script is to be told of at once."""
    print("Loading the model ...", flush=True)
    import torch
    from chatterbox.tts import ChatterboxTTS

    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return ChatterboxTTS.from_pretrained(device=device or best)


def speak_book(book: Book, studio: Studio, out: Path, kind: str) -> None:
    for number, chapter in enumerate(book.chapters, 1):
        for place, line in enumerate(chapter.lines, 1):
            if studio.file(line) in studio.missing:
                studio.speak(line)
                where = f"Chapter {number} of {len(book.chapters)}, line {place} of {len(chapter.lines)}"
                print(f"{where}: {line.actor.name}, {studio.time_left()} left", flush=True)
        name = re.sub(r"\W+", "-", chapter.title.lower()).strip("-")
        file = out / f"{number:02}-{name}.{kind}"
        tags = {"album": book.title, "title": chapter.title, "track": str(number)}
        write_chapter(file, [studio.file(line) for line in chapter.lines], tags)
        print(file, flush=True)


def write_chapter(chapter: Path, lines: list[Path], tags: dict[str, str]) -> None:
    """Join the lines to a wav or, by ffmpeg, an m4b, unless it is there already and of the same lines."""
    made_of, names = lines[0].with_name(f"{chapter.name}.txt"), "\n".join(line.name for line in lines)
    if chapter.exists() and made_of.exists() and made_of.read_text() == names:
        return
    made_of.unlink(missing_ok=True)
    joined = chapter if chapter.suffix == ".wav" else made_of.with_suffix(".wav")
    write_wav(joined, b"".join(frames_of(line) + PAUSE for line in lines))
    if chapter != joined:
        said = [word for name, value in tags.items() for word in ("-metadata", f"{name}={value}")]
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", joined, *said, chapter], check=True)
        joined.unlink()
    made_of.write_text(names)


def frames_of(file: Path) -> bytes:
    with wave.open(str(file)) as opened:
        return bytes(opened.readframes(opened.getnframes()))


def write_wav(file: Path, frames: bytes) -> None:
    """Write 16-bit mono. The file gets its name when it is whole, so a name that is there can be relied on."""
    part = file.with_suffix(".part")
    with wave.open(str(part), "wb") as opened:
        opened.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        opened.writeframes(frames)
    part.replace(file)


def main() -> int:
    options = parse_arguments()
    if options.format == "m4b" and not shutil.which("ffmpeg"):
        sys.exit("--format m4b needs ffmpeg, which is not there.")
    chatterbox_cached.enable()
    try:
        book = Book(options.script)
    except (ScriptError, OSError, UnicodeError) as error:
        sys.exit(str(error))
    lines = options.out / "lines"
    lines.mkdir(parents=True, exist_ok=True)
    try:
        speak_book(book, Studio(book, lines, options.device, options.seed), options.out, options.format)
    except KeyboardInterrupt:
        print(f"Stopped. What is spoken is kept in {lines}; the same command goes on from there.")
        return 130
    finally:
        did = chatterbox_cached.stats()
        hits = did["memory_hits"] + did["disk_hits"] + did["shared_hits"]
        print(f"Voices prepared: {did['misses']}, in {did['prepare_seconds']:.1f} s.", end=" ")
        print(f"Taken from the cache: {hits}, which saved {did['saved_seconds']:.1f} s.")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", type=Path, help="the book, as Markdown")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the chapters")
    parser.add_argument("--format", choices=("wav", "m4b"), default="wav", help="of the chapters; m4b needs ffmpeg")
    parser.add_argument("--seed", type=int, default=0, help="another number, another reading of every line")
    parser.add_argument("--device", help="cuda, mps or cpu; the best there is by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
