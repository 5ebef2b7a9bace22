"""Which files are meant by what was given to ``warm`` and ``verify``."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatterbox_cached.library.warming import audio_files


def touch(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_a_folder_stands_for_all_audio_in_it_and_below(tmp_path: Path) -> None:
    audio = touch(tmp_path / "a.WAV", tmp_path / "b.mp3", tmp_path / "more" / "c.flac")
    touch(tmp_path / "notes.txt", tmp_path / "d.pt", tmp_path / "._a.wav", tmp_path / ".trash" / "e.wav")
    assert audio_files([tmp_path]) == audio


def test_a_list_names_files_and_folders_relative_to_itself(tmp_path: Path) -> None:
    folder = touch(tmp_path / "more" / "a.wav")
    text = tmp_path / "list.txt"
    text.write_text(f"\ufeff# who\n\n  more  \nb.any\n{tmp_path / 'c.wav'}\nmissing.wav\n", encoding="utf-8")
    assert audio_files([text]) == [*folder, tmp_path / "b.any", tmp_path / "c.wav", tmp_path / "missing.wav"]


def test_a_file_is_meant_whatever_its_name_and_once_only(tmp_path: Path) -> None:
    file = tmp_path / "voice.of.anna"
    assert audio_files([file, tmp_path, file]) == [file]


def test_a_list_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        audio_files([tmp_path / "list.txt"])
