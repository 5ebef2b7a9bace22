"""Voices go out as files that upstream reads, and come in without anything being run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached.errors import Unidentifiable, VoiceFileError
from chatterbox_cached.upstream import pt_archive, pt_file
from chatterbox_cached.voice.snapshot import equal
from tests.support.small_voices import EXAGGERATION, T3Cond, live, snapshot, snapshot_of_vc


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "voice.pt"


def content() -> dict[str, Any]:
    """What upstream's ``Conditionals.save`` writes."""
    conditionals = live()
    return {"t3": vars(conditionals.t3), "gen": conditionals.gen}


def test_a_written_file_has_upstreams_structure(path: Path) -> None:
    pt_file.write(path, snapshot(), EXAGGERATION)
    written, upstreams = torch.load(path, weights_only=True), content()
    assert written.keys() == upstreams.keys()
    for part, fields in upstreams.items():
        assert written[part].keys() == fields.keys()
        for name, value in fields.items():
            got = written[part][name]
            assert got is None if value is None else torch.equal(got, value) and got.dtype == value.dtype
    T3Cond(**written["t3"])


def test_a_written_file_comes_back_the_same(path: Path) -> None:
    pt_file.write(path, snapshot(), EXAGGERATION)
    assert equal(pt_file.read(path, "cpu"), snapshot())


def test_a_voice_for_speech_is_the_part_of_such_a_file_that_its_model_reads(path: Path) -> None:
    pt_file.write(path, snapshot_of_vc(), EXAGGERATION)
    written = torch.load(path, weights_only=True)
    assert written.keys() == {"gen"}
    assert written["gen"].keys() == content()["gen"].keys()
    assert equal(pt_file.read(path, "cpu"), snapshot_of_vc())


def test_upstreams_own_file_is_read(path: Path) -> None:
    torch.save(content(), path)
    assert equal(pt_file.read(path, "cpu"), snapshot())


def test_a_file_that_was_saved_after_a_generation_is_restored(path: Path) -> None:
    used = content()
    used["t3"]["cond_prompt_speech_emb"] = torch.randn(1, 5, 16)
    used["gen"] = {name: value.float() if value is not None else None for name, value in used["gen"].items()}
    torch.save(used, path)
    restored = pt_file.read(path, "cpu")
    assert equal(restored, snapshot())
    assert "t3.cond_prompt_speech_emb" not in restored.names()
    assert restored.tensors()["gen.prompt_token"].dtype == torch.int64


def test_a_file_with_a_graphs_leaf_is_read_detached(path: Path) -> None:
    saved = content()
    saved["gen"]["embedding"].requires_grad_()
    torch.save(saved, path)
    assert not pt_file.read(path, "cpu").tensors()["gen.embedding"].requires_grad


def test_a_file_is_replaced_as_a_whole(path: Path) -> None:
    pt_file.write(path, snapshot(seed=1), EXAGGERATION)
    pt_file.write(path, snapshot(seed=2), EXAGGERATION)
    assert equal(pt_file.read(path, "cpu"), snapshot(seed=2))
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pt_file.write(path, snapshot(), EXAGGERATION)

    def full(what: object, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        pt_file.write(path, snapshot(seed=1), EXAGGERATION)
    monkeypatch.undo()
    assert equal(pt_file.read(path, "cpu"), snapshot())
    assert list(path.parent.iterdir()) == [path]


def test_an_exaggeration_that_is_no_number_writes_nothing(path: Path) -> None:
    with pytest.raises(Unidentifiable):
        pt_file.write(path, snapshot(), "loud")
    assert not path.exists()


def test_threads_that_write_the_same_file_do_not_disturb_each_other(path: Path) -> None:
    def write(_: int) -> None:
        for _ in range(10):
            pt_file.write(path, snapshot(), EXAGGERATION)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert equal(pt_file.read(path, "cpu"), snapshot())
    assert list(path.parent.iterdir()) == [path]


def test_pytorch_is_given_nothing_but_what_was_looked_at(path: Path) -> None:
    """PyTorch takes the first of these for data.pkl, and must not be asked about the second."""
    torch.save(content(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("voice/DATA.PKL", b"not looked at")
        archive.writestr("voice/constants.pkl", b"not looked at")
    path.write_bytes(b"before the archive" + path.read_bytes())
    assert equal(pt_file.read(path, "cpu"), snapshot())
    given = pt_archive.read(path)
    assert b"not looked at" not in given
    assert b"before the archive" not in given


def test_pytorch_is_given_tensors_that_begin_where_they_may(path: Path) -> None:
    torch.save(content(), path)
    given = pt_archive.read(path)
    with zipfile.ZipFile(io.BytesIO(given)) as archive:
        for part in archive.infolist():
            assert given.index(archive.read(part), part.header_offset) % 64 == 0


def test_a_missing_file_is_an_os_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pt_file.read(path, "cpu")


def test_a_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        pt_file.read(tmp_path, "cpu")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_a_voice_file_error(path: Path, share: float) -> None:
    pt_file.write(path, snapshot(), EXAGGERATION)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VoiceFileError, match=r"voice\.pt"):
        pt_file.read(path, "cpu")


class Booby:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_a_file_is_not_run(path: Path, tmp_path: Path, old_format: bool) -> None:
    marker = tmp_path / "ran"
    saved = content()
    saved["gen"]["embedding"] = Booby(marker)
    torch.save(saved, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(VoiceFileError):
        pt_file.read(path, "cpu")
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # so it was armed


def test_a_plain_pickle_is_not_run(path: Path, tmp_path: Path) -> None:
    path.write_bytes(pickle.dumps(Booby(tmp_path / "ran")))
    with pytest.raises(VoiceFileError):
        pt_file.read(path, "cpu")
    assert not (tmp_path / "ran").exists()


def without(part: str, name: str) -> Callable[[], Any]:
    def change() -> Any:
        changed = content()
        del changed[part][name]
        return changed

    return change


def replaced(part: str, name: str, value: Any) -> Callable[[], Any]:
    def change() -> Any:
        changed = content()
        changed[part][name] = value
        return changed

    return change


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: [],
        lambda: {},
        lambda: torch.ones(3),
        lambda: {"t3": content()["t3"]},
        lambda: {"t3": None, "gen": content()["gen"]},
        lambda: {"gen": {**content()["gen"], "speaker_emb": torch.ones(1, 256)}},
        lambda: {"gen": dict.fromkeys(content()["gen"])},
        lambda: {"t3": content()["t3"], "gen": torch.ones(2)},
        lambda: {"t3": torch.ones(1), "gen": content()["gen"]},
        without("t3", "speaker_emb"),
        without("t3", "cond_prompt_speech_tokens"),
        without("gen", "prompt_token"),
        without("gen", "prompt_feat"),
        without("gen", "embedding"),
        replaced("t3", "speaker_emb", None),
        replaced("t3", "speaker_emb", [1.0]),
        replaced("t3", "clap_emb", "text"),
        replaced("t3", "more", torch.ones(1)),
        replaced("gen", "more", torch.ones(1)),
        replaced("gen", "prompt_feat_len", 500),
        replaced("gen", 5, torch.ones(1)),
    ],
)
def test_what_holds_no_conditionals_is_a_voice_file_error(path: Path, wrong: Callable[[], Any]) -> None:
    torch.save(wrong(), path)
    with pytest.raises(VoiceFileError, match=r"voice\.pt"):
        pt_file.read(path, "cpu")


def test_fields_that_upstream_leaves_empty_may_be_missing(path: Path) -> None:
    saved = content()
    del saved["t3"]["clap_emb"], saved["t3"]["cond_prompt_speech_emb"], saved["gen"]["prompt_feat_len"]
    torch.save(saved, path)
    restored = pt_file.read(path, "cpu")
    assert equal(restored, snapshot())
    assert restored.names() == snapshot().names()  # for upstream asks for them all
