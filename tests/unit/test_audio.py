"""The same audio has the same digest wherever it lies; a file that was rewritten is never taken for what it was."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.errors import Unidentifiable
from chatterbox_cached.identity import audio
from chatterbox_cached.identity.audio import AudioIndex

CONTENT = b"RIFF" + bytes(range(256)) * 8
OTHER = CONTENT[::-1]


@pytest.fixture
def index() -> AudioIndex:
    return AudioIndex()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was read for its digest, in order."""
    read: list[object] = []
    digest_of = audio._digest

    def counting(file: Any) -> str:
        read.append(file.name)
        return digest_of(file)

    monkeypatch.setattr(audio, "_digest", counting)
    return read


@pytest.fixture
def _coarse_clock_is_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been left alone for longer than the clock's grain."""
    monkeypatch.setattr(audio, "_CLOCK_GRAIN_NS", -(10**10))


def test_the_digest_is_that_of_the_content(index: AudioIndex, clip: Path) -> None:
    assert index.identify(clip).digest == hashlib.sha256(CONTENT).hexdigest()


def test_the_same_content_under_another_path_has_the_same_digest(index: AudioIndex, clip: Path, tmp_path: Path) -> None:
    copy, link = tmp_path / "copy.wav", tmp_path / "link.wav"
    copy.write_bytes(CONTENT)
    link.symlink_to(clip)
    digests = {index.identify(path).digest for path in (clip, str(clip), copy, link)}
    assert len(digests) == 1


def test_other_content_has_another_digest(index: AudioIndex, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(OTHER)
    assert index.identify(clip).digest != index.identify(other).digest


def test_a_file_rewritten_within_the_clocks_grain_is_noticed(index: AudioIndex, clip: Path) -> None:
    digests = [index.identify(clip).digest]
    for content in (OTHER, CONTENT, OTHER):
        clip.write_bytes(content)
        digests.append(index.identify(clip).digest)
    assert digests[0] == digests[2] != digests[1] == digests[3]


def test_a_young_file_is_read_again_though_its_stat_is_the_same(
    index: AudioIndex, clip: Path, readings: list[object]
) -> None:
    index.identify(clip)
    index.identify(clip)
    assert readings == [str(clip)] * 2


def test_a_back_dated_file_is_as_young_as_its_change_time(
    index: AudioIndex, clip: Path, readings: list[object]
) -> None:
    os.utime(clip, (0, 0))
    index.identify(clip)
    index.identify(clip)
    assert len(readings) == 2


def test_a_file_from_the_future_is_read_again(index: AudioIndex, clip: Path, readings: list[object]) -> None:
    os.utime(clip, (2**32, 2**32))
    index.identify(clip)
    index.identify(clip)
    assert len(readings) == 2


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_an_old_unchanged_file_is_read_once(index: AudioIndex, clip: Path, readings: list[object]) -> None:
    digests = {index.identify(path).digest for path in (clip, str(clip), clip)}
    assert len(digests) == len(readings) == 1


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_an_old_file_rewritten_with_its_size_and_times_is_noticed(index: AudioIndex, clip: Path) -> None:
    before, status = index.identify(clip).digest, clip.stat()
    clip.write_bytes(OTHER)
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (clip.stat().st_size, clip.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert index.identify(clip).digest != before


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_an_old_file_replaced_by_another_is_noticed(index: AudioIndex, clip: Path, tmp_path: Path) -> None:
    before, status = index.identify(clip).digest, clip.stat()
    other = tmp_path / "other.wav"
    other.write_bytes(OTHER)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(clip)
    assert index.identify(clip).digest != before


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_a_link_that_is_turned_to_another_file_is_noticed(index: AudioIndex, clip: Path, tmp_path: Path) -> None:
    other, link = tmp_path / "other.wav", tmp_path / "link.wav"
    other.write_bytes(OTHER)
    link.symlink_to(clip)
    before = index.identify(link).digest
    link.unlink()
    link.symlink_to(other)
    assert index.identify(link).digest != before


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_a_relative_path_is_another_file_in_another_folder(
    index: AudioIndex, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / clip.name).write_bytes(OTHER)
    monkeypatch.chdir(tmp_path)
    before = index.identify(clip.name).digest
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert index.identify(clip.name).digest != before


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_a_forgotten_file_is_read_again(index: AudioIndex, clip: Path, readings: list[object]) -> None:
    index.identify(clip)
    index.forget(str(clip))
    index.identify(clip)
    assert len(readings) == 2


def test_forgetting_what_is_not_known_or_no_path_is_no_error(index: AudioIndex) -> None:
    index.forget("/nowhere.wav")
    index.forget(io.BytesIO())
    index.forget(None)


@pytest.mark.usefixtures("_coarse_clock_is_past")
def test_the_number_of_remembered_files_is_bounded(
    index: AudioIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readings: list[object]
) -> None:
    monkeypatch.setattr(audio, "_REMEMBERED", 3)
    clips = [tmp_path / f"{number}.wav" for number in range(5)]
    for path in clips:
        path.write_bytes(path.name.encode())
        index.identify(path)
    readings.clear()
    for path in reversed(clips[2:]):
        index.identify(path)
    assert not readings
    index.identify(clips[0])
    assert len(readings) == 1


def test_the_last_digest_outlives_the_file(index: AudioIndex, clip: Path) -> None:
    digest = index.identify(clip).digest
    assert index.name_of(clip) == digest
    clip.unlink()
    assert index.name_of(str(clip)) == digest
    assert AudioIndex().name_of(clip) == str(clip)
    with pytest.raises(Unidentifiable):
        index.name_of(7)


@pytest.mark.parametrize("opened", [lambda path: io.BytesIO(path.read_bytes()), lambda path: path.open("rb")])
def test_a_file_object_is_read_and_rewound(index: AudioIndex, clip: Path, opened: Callable[[Path], Any]) -> None:
    with opened(clip) as file:
        identified = index.identify(file)
        assert file.tell() == 0
        assert identified.digest == index.identify(clip).digest
        file.read(7)  # upstream reads it too
        assert identified.unchanged()
        assert file.tell() == 0


def test_a_file_object_that_was_rewritten_is_changed(index: AudioIndex) -> None:
    file = io.BytesIO(CONTENT)
    identified = index.identify(file)
    file.getbuffer()[-1] ^= 1
    assert not identified.unchanged()


def test_a_closed_file_object_is_changed(index: AudioIndex) -> None:
    file = io.BytesIO(CONTENT)
    identified = index.identify(file)
    file.close()
    assert not identified.unchanged()


def test_a_file_object_that_is_not_at_its_start_is_unidentifiable_and_stays_there(index: AudioIndex) -> None:
    file = io.BytesIO(CONTENT)
    file.seek(5)
    with pytest.raises(Unidentifiable, match="not at its start"):
        index.identify(file)
    assert file.tell() == 5


def test_a_text_file_object_is_unidentifiable(index: AudioIndex, clip: Path) -> None:
    with clip.open(encoding="latin-1") as file, pytest.raises(Unidentifiable, match="gives no bytes"):
        index.identify(file)


def test_a_pipes_file_object_is_unidentifiable_and_nothing_is_read_from_it(index: AudioIndex) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb") as source:
        source.write(b"sound")
        source.flush()
        with pytest.raises(Unidentifiable):
            index.identify(file)
        assert os.read(reader, 10) == b"sound"


@pytest.mark.parametrize("no_audio", [None, 5, b"clip.wav", [0.1, 0.2], "", object(), "with\0zero.wav"])
def test_what_is_neither_path_nor_file_object_is_unidentifiable(index: AudioIndex, no_audio: object) -> None:
    with pytest.raises(Unidentifiable):
        index.identify(no_audio)


def test_a_missing_file_is_unidentifiable(index: AudioIndex, tmp_path: Path) -> None:
    with pytest.raises(Unidentifiable, match="can't be read"):
        index.identify(tmp_path / "missing.wav")


def test_a_directory_is_unidentifiable(index: AudioIndex, tmp_path: Path) -> None:
    with pytest.raises(Unidentifiable, match="not a regular file"):
        index.identify(tmp_path)


def test_a_fifo_is_unidentifiable_and_nobody_waits_for_it(index: AudioIndex, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    with pytest.raises(Unidentifiable, match="not a regular file"):
        index.identify(tmp_path / "fifo.wav")


def test_a_file_that_changes_while_it_is_read_is_unidentifiable(
    index: AudioIndex, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_of = audio._digest

    def while_somebody_writes(file: Any) -> str:
        digest = digest_of(file)
        clip.write_bytes(OTHER + b"more")
        return digest

    monkeypatch.setattr(audio, "_digest", while_somebody_writes)
    with pytest.raises(Unidentifiable, match="changes while it is read"):
        index.identify(clip)


def test_an_untouched_file_is_unchanged(index: AudioIndex, clip: Path) -> None:
    assert index.identify(clip).unchanged()


@pytest.mark.parametrize(
    "happens",
    [
        lambda path: path.write_bytes(OTHER),
        lambda path: path.write_bytes(CONTENT + b"!"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["rewritten", "grown", "deleted", "a folder now", "a fifo now"],
)
@pytest.mark.parametrize("old", [False, True], ids=["young", "old"])
@pytest.mark.timeout(20)
def test_a_file_that_something_happened_to_is_changed(
    happens: Callable[[Path], Any], old: bool, index: AudioIndex, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if old:
        monkeypatch.setattr(audio, "_CLOCK_GRAIN_NS", -(10**10))
        index.identify(clip)
    identified = index.identify(clip)
    happens(clip)
    assert not identified.unchanged()


def test_a_file_rewritten_with_its_size_and_times_is_changed(index: AudioIndex, clip: Path) -> None:
    status, identified = clip.stat(), index.identify(clip)
    clip.write_bytes(OTHER)
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not identified.unchanged()


def test_many_threads_agree(index: AudioIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_REMEMBERED", 2)
    clips = {tmp_path / f"{number}.wav": bytes([number]) * 1000 for number in range(4)}
    for path, content in clips.items():
        path.write_bytes(content)

    def identify(_: int) -> None:
        for path, content in [*clips.items()] * 20:
            assert index.identify(path).digest == hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(identify, range(8)))


class Upload(io.BytesIO):
    def __init__(self, name: object) -> None:
        super().__init__(CONTENT)
        self.name = name


@pytest.mark.parametrize(("name", "known"), [("/tmp/x/anna.wav", "anna.wav"), (7, ""), (None, "")])
def test_a_file_object_has_no_path_and_its_own_name(index: AudioIndex, name: object, known: str) -> None:
    audio = index.identify(Upload(name))
    assert (audio.path, audio.name) == ("", known)
    assert index.identify(io.BytesIO(CONTENT)).name == ""


def test_a_path_is_told_as_an_absolute_one(index: AudioIndex, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    audio = index.identify(clip.name)
    assert (audio.path, audio.name) == (str(clip), clip.name)
