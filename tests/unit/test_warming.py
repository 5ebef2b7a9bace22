"""Which files are meant by what was given to ``warm`` and ``verify``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatterbox_cached.library.warming import NotUtf8, audio_files, why_passed_over
from tests.support.forks import become_nobody, in_a_fork


def touch(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_a_folder_stands_for_all_audio_in_it_and_below(tmp_path: Path) -> None:
    audio = touch(tmp_path / "a.WAV", tmp_path / "b.mp3", tmp_path / "more" / "c.flac")
    touch(tmp_path / "notes.txt", tmp_path / "d.pt", tmp_path / "._a.wav", tmp_path / ".trash" / "e.wav")
    assert audio_files([tmp_path]) == (audio, [])


def test_a_list_names_files_and_folders_relative_to_itself(tmp_path: Path) -> None:
    folder = touch(tmp_path / "more" / "a.wav")
    text = tmp_path / "list.txt"
    text.write_text(f"\ufeff# who\n\n  more  \nb.any\n{tmp_path / 'c.wav'}\nmissing.wav\n", encoding="utf-8")
    named = [*folder, tmp_path / "b.any", tmp_path / "c.wav", tmp_path / "missing.wav"]
    assert audio_files([], [text]) == (named, [])
    assert audio_files([text]) == ([], [text]), "not all that it names is there"
    touch(*named)
    assert audio_files([text]) == (named, [])


@pytest.fixture
def for_nobody() -> Iterator[Path]:
    """A folder that every user gets to, as none of pytest's own is."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_folders_that_are_not_looked_into_are_passed_over_and_not_in_silence(for_nobody: Path) -> None:
    voices, elsewhere = for_nobody / "voices", for_nobody / "elsewhere"
    touch(voices / "closed" / "a.wav", elsewhere / "b.wav")
    (clip,) = touch(voices / "c.wav")
    link, closed = voices / "link", voices / "closed"
    link.symlink_to(elsewhere)
    closed.chmod(0)

    def look() -> None:
        become_nobody()
        assert audio_files([voices]) == ([clip], [link, closed])
        assert audio_files([closed]) == ([], [closed])
        assert why_passed_over(link) == "a link to a folder: give that folder too"
        assert why_passed_over(closed) == "a folder that can't be read"

    try:
        assert in_a_fork(look) == "done"
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize("content", [b"", b"# only a remark\n", b"Hello there.\n", "Grüße\n".encode("latin-1")])
def test_a_text_beside_a_clip_is_passed_over(content: bytes, tmp_path: Path) -> None:
    (clip,) = touch(tmp_path / "a.wav")
    text, other = tmp_path / "a.reference.txt", tmp_path / "notes.md"
    for each in (text, other):
        each.write_bytes(content)
    assert audio_files([clip, text, other]) == ([clip], [text, other])


def test_audio_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    starts = {"wav": b"RIFF\0\0\0\0WAVE", "mp4": b"\0\0\0\x20ftypM4A ", "ogg": b"OggS", "mp3": b"ID3\3"}
    for name, start in starts.items():
        (tmp_path / f"{name}.bin").write_bytes(start)
    files = sorted(tmp_path.iterdir())
    assert audio_files(files) == (files, [])


def test_a_list_that_is_not_in_utf_8_is_an_error_that_says_so(tmp_path: Path) -> None:
    touch(tmp_path / "Grüße.wav")
    text = tmp_path / "list.txt"
    text.write_bytes("Grüße.wav\n".encode("latin-1"))
    for given in (([text], []), ([], [text])):
        with pytest.raises(NotUtf8, match=r"list\.txt is a list, but not in UTF-8"):
            audio_files(*given)


def test_a_file_is_meant_whatever_its_name_and_once_only(tmp_path: Path) -> None:
    file = tmp_path / "voice.of.anna"
    assert audio_files([file, tmp_path, file]) == ([file], [])


def test_a_list_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    for given in (([tmp_path / "list.txt"], []), ([], [tmp_path / "list.txt"])):
        with pytest.raises(FileNotFoundError):
            audio_files(*given)
