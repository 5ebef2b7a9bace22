"""The example of an audiobook on the real package: spoken, stopped by Ctrl-C, taken up again, edited.

The weights are random and a line is cut off after a quarter of a second, so what the files hold is noise: nobody can
hear from it whether the right text was read. What they show is bits, which depend on the text, the voice, the
exaggeration and the seed, and are compared with what upstream alone makes of these.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import chatterbox_cached
from tests.support.commands import REPOSITORY, process_in
from tests.support.preloaded import Preloaded

EXAMPLE = REPOSITORY / "examples" / "audiobook.py"
SAMPLE = EXAMPLE.with_suffix(".md")
CAST = """\
# A Book

## Cast

| Name     | Voice    | Exaggeration |
|----------|----------|--------------|
| Narrator | anna.wav | 0.5          |
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Spoken(NamedTuple):
    """A folder with a script and its chapters, and what the run printed."""

    folder: Path
    stdout: str


@pytest.fixture(scope="module")
def run(preloaded_chatterbox: Preloaded, hub_environment: dict[str, str]) -> Run:
    """``run(script)``: the example in a fork of a preloaded process, in the script's folder."""

    def run_example(script: Path, *arguments: str) -> Any:
        command = [sys.executable, str(EXAMPLE), str(script), *arguments]
        env = {**os.environ, **hub_environment, **own_folders(script.parent)}
        return preloaded_chatterbox.run(command, cwd=script.parent, env=env)

    return run_example


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory, voice: Path, other_voice: Path, run: Run) -> Spoken:
    """The sample in a folder with the voices that it names and the user's own, spoken from first to last."""
    folder = tmp_path_factory.mktemp("spoken")
    for source, name in ((SAMPLE, SAMPLE.name), (voice, "anna.wav"), (other_voice, "ben.wav")):
        shutil.copy(source, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_folders(folder).items():
            patch.setenv(name, value)
        chatterbox_cached.voices.add("Anna", folder / "anna.wav")
    done = run(folder / SAMPLE.name)
    assert done.returncode == 0, done.stderr
    assert "CacheWarning" not in done.stderr
    assert "MismatchWarning" not in done.stderr
    return Spoken(folder, done.stdout)


@pytest.fixture(autouse=True)
def _library(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is read in this process."""
    monkeypatch.setenv("CHATTERBOX_CACHED_VOICES_DIR", str(spoken.folder / "voices"))


@pytest.fixture
def script(spoken: Spoken, tmp_path: Path) -> Path:
    """The same in a folder of its own."""
    return Path(shutil.copytree(spoken.folder, tmp_path / "book")) / SAMPLE.name


@pytest.fixture
def new_script(script: Path) -> Path:
    """The same, of which nothing is spoken yet and no voice prepared."""
    for made in ("out", "cache", "voices/prepared"):
        shutil.rmtree(script.parent / made)
    return script


def own_folders(folder: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(folder / "cache"), "CHATTERBOX_CACHED_VOICES_DIR": str(folder / "voices")}


def run_by_itself(script: Path, *arguments: str, **env: str) -> Any:
    """The example in a new Python that finds no weights: what ends well there has not asked for a model."""
    no_weights = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "none", "PYTHONPATH": str(REPOSITORY)}
    env = {**os.environ, **no_weights, **own_folders(script.parent), **env}
    command = [sys.executable, str(EXAMPLE), str(script), *arguments]
    return subprocess.run(command, cwd=script.parent, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def audiobook() -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("audiobook", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audiobook"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def frames(file: Path) -> bytes:
    with wave.open(str(file)) as opened:
        assert opened.getparams()[:3] == (1, 2, 24000)
        return opened.readframes(opened.getnframes())


def chapters(folder: Path) -> dict[str, bytes]:
    return {file.name: frames(file) for file in sorted(folder.glob("out/*.wav"))}


def lines_of(stdout: str) -> list[tuple[int, int]]:
    """Chapter and line of each line that a run has spoken."""
    found = re.findall(r"^Chapter (\d+) of 3, line (\d+) of \d+: \w+, \d+ (?:s|min) left$", stdout, re.MULTILINE)
    return [(int(chapter), int(line)) for chapter, line in found]


def test_each_line_is_what_upstream_alone_says(spoken: Spoken, english: Any, hub: Path, audiobook: Any) -> None:
    assert lines_of(spoken.stdout) == [*each(1, 5), *each(2, 4), *each(3, 3)]
    names = ("01-one-the-storm.wav", "02-two-the-path.wav", "03-three-the-keeper.wav")
    book = audiobook.Book(spoken.folder / SAMPLE.name)
    (own,) = (hub / "models--ResembleAI--chatterbox").rglob("conds.pt")
    voices = {"Narrator": own, "Anna": spoken.folder / "anna.wav", "Ben": spoken.folder / "ben.wav"}
    expected = {
        name: b"".join(
            said_by_upstream(english, voices[line.actor.name], line) + audiobook.PAUSE for line in chapter.lines
        )
        for name, chapter in zip(names, book.chapters, strict=True)
    }
    assert chapters(spoken.folder) == expected
    assert "Voices prepared: 2," in spoken.stdout.splitlines()[-1]


def said_by_upstream(model: Any, voice: Path, line: Any) -> bytes:
    is_audio = voice.suffix == ".wav"
    if not is_audio:
        model.conds = import_module("chatterbox.tts").Conditionals.load(voice)
    torch.manual_seed(int(line.key(0), 16))
    prompt = str(voice) if is_audio else None
    wav = model.generate(line.text, audio_prompt_path=prompt, exaggeration=line.actor.exaggeration)
    return bytes((wav.squeeze(0).clamp(-1, 1) * 32767).short().numpy().tobytes())


def each(chapter: int, lines: int) -> list[tuple[int, int]]:
    return [(chapter, line) for line in range(1, lines + 1)]


def test_ctrl_c_keeps_what_is_spoken_and_the_next_run_goes_on(
    spoken: Spoken, new_script: Path, run: Run, hub_environment: dict[str, str]
) -> None:
    folder = new_script.parent
    command: list[str | Path] = [sys.executable, "-u", EXAMPLE, new_script]
    env = {**os.environ, **hub_environment, **own_folders(folder)}
    with process_in(folder, command, env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = ""
        while "Chapter 2 of 3, line 2 of" not in said:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)  # while line 3 is spoken
        said += process.communicate()[0]
    assert process.returncode == 130
    assert "Stopped. What is spoken is kept in out/lines" in said
    assert "Traceback" not in (folder / "stderr").read_text()
    assert list(chapters(folder)) == ["01-one-the-storm.wav"]
    kept = {file: file.stat().st_mtime_ns for file in folder.glob("out/**/*.wav")}
    assert len(kept) == 1 + len(lines_of(said))

    again = run(new_script)
    assert again.returncode == 0, again.stderr
    assert lines_of(said) + lines_of(again.stdout) == lines_of(spoken.stdout)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert chapters(folder) == chapters(spoken.folder)
    assert "Voices prepared: 0," in again.stdout


def test_a_book_that_is_spoken_needs_no_model(spoken: Spoken, script: Path) -> None:
    again = run_by_itself(script)
    assert again.returncode == 0, again.stderr
    assert lines_of(again.stdout) == []
    assert chapters(script.parent) == chapters(spoken.folder)


def test_after_an_edit_only_what_is_new_is_spoken(spoken: Spoken, script: Path, run: Run) -> None:
    before = chapters(spoken.folder)
    text = script.read_text().replace("**Ben:** Hear what?\n\n", "").replace("The door is open", "It is open")
    script.write_text(text)
    assert lines_of(run(script).stdout) == [(3, 1)]
    changed = [name for name, now in chapters(script.parent).items() if now != before[name]]
    assert changed == ["01-one-the-storm.wav", "03-three-the-keeper.wav"]


def test_another_voice_exaggeration_or_seed_is_another_line(audiobook: Any, script: Path, voice: Path) -> None:
    def keys(seed: int = 0) -> list[str]:
        return [line.key(seed) for chapter in audiobook.Book(script).chapters for line in chapter.lines]

    before = keys()
    assert len(set(before)) == len(before)
    assert not set(keys(seed=1)) & set(before)
    shutil.copy(voice, script.with_name("ben.wav"))
    recast = keys()
    assert sum(now != then for now, then in zip(recast, before, strict=True)) == 3  # Ben has 3 lines
    script.write_text(script.read_text().replace("| 0.7 ", "| 0.8 "))
    assert sum(now != then for now, then in zip(keys(), recast, strict=True)) == 4  # Anna has 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CAST + "\n## One\n\nA line.\n\n**Carla:** No.\n", ":13: Carla is not in the cast, which is: Narrator"),
        (CAST.replace("anna.wav", "gone.wav") + "\n## One\n\nA line.\n", ":7: the voice of Narrator is not there: "),
        (
            CAST.replace("anna.wav", "voice:ana"),
            ":7: the voice of Narrator is not there: No voice is called 'ana'. Did",
        ),
        (CAST.replace(" 0.5 ", " loud "), ":7: the exaggeration of Narrator is a number from 0 to 2, not 'loud'"),
        (CAST.replace("| 0.5          |", ""), ":7: the cast is a table of three columns"),
        (CAST + "| Narrator | ben.wav | 1 |\n", ":8: Narrator is in the cast twice"),
        (CAST + "\n### One\n", ":9: a heading is '# ' and the title, '## Cast', or"),
        (CAST + "\n##\n", ":9: a heading is '# ' and the title, '## Cast', or"),
        (CAST + "\n## One\n\n## Two\n\nA line.\n", ":13: up to here there is no chapter, or one without a line"),
        (CAST, ":7: up to here there is no chapter, or one without a line"),
        ("", ":1: up to here there is no chapter"),
        ("# A Book\n\n## One\n", ":3: before the first chapter there has to be a cast"),
        ("# A Book\n\n<!-- Of\nthree lines.\n-->\nA line.\n", ":6: this stands before the first chapter"),
    ],
)
def test_a_wrong_script_is_one_line_that_says_where(script: Path, audiobook: Any, text: str, said: str) -> None:
    script.write_text(text)
    with pytest.raises(audiobook.ScriptError) as told:
        audiobook.Book(script)
    assert str(told.value).startswith(f"{script}{said}")
    assert "\n" not in str(told.value)


def test_nothing_is_begun_before_all_voices_are_there(new_script: Path) -> None:
    (new_script.parent / "ben.wav").unlink()
    done = run_by_itself(new_script)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{new_script}:14: the voice of Ben is not there: ")
    assert not (new_script.parent / "out").exists()


def test_a_script_that_is_no_text_is_one_line(script: Path) -> None:
    script.write_bytes(b"\xff\xfe# A Book")
    for name in (script, script.with_name("none.md")):
        done = run_by_itself(name)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_long_paragraphs_are_cut_between_sentences(audiobook: Any) -> None:
    sentence = 'She asked: "Is it 3.14, i.e. pi?" he said. "It is!" '
    text = (sentence * 20 + "X" * 400 + ". And the end").strip()
    cut = list(audiobook.pieces(text))
    assert " ".join(cut) == text
    assert [piece for piece in cut if len(piece) > 300] == ["X" * 400 + "."]
    assert all(piece.endswith(("said.", '!"', "X.", "end")) for piece in cut)


def test_a_script_is_plain_markdown(script: Path, audiobook: Any) -> None:
    chapter = "\n## One\n\nOver two\nlines, *really*.\n**Narrator:** A\nB\n**Narrator**: C\n"
    chapter += "\n***\n\n<!-- Not\n\nthis. -->\nThe end.\n"
    script.write_text("\ufeff" + CAST + chapter, encoding="utf-8")
    book = audiobook.Book(script)
    assert book.title == "A Book"
    assert [line.text for line in book.chapters[0].lines] == ["Over two lines, really.", "A B", "C", "The end."]


def test_m4b_without_ffmpeg_is_one_line(script: Path) -> None:
    done = run_by_itself(script, "--format", "m4b", PATH="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "--format m4b needs ffmpeg, which is not there.\n"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not here")
def test_a_chapter_is_an_m4b_where_ffmpeg_is_there(script: Path) -> None:
    done = run_by_itself(script, "--format", "m4b")
    assert done.returncode == 0, done.stderr
    made = sorted(script.parent.glob("out/*.m4b"))
    assert [file.stem for file in made] == [Path(name).stem for name in chapters(script.parent)]
    asked = ["ffmpeg", "-hide_banner", "-i", made[1]]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stderr
    for tag in ("title *: Two: The Path", "album *: The Lamp at Skerry Point", "track *: 2", "Audio: aac"):
        assert re.search(tag, told), told
