"""``export`` and ``import``: what they say, and what they leave behind."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.cli.models import Model
from chatterbox_cached.cli.verbs import import_
from chatterbox_cached.identity import compatibility
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.upstream import pt_file
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.key_format import digest_of, voice_prefix
from chatterbox_cached.voice.snapshot import equal
from tests.support.commands import Cli
from tests.support.small_voices import of_class, snapshot, snapshot_of_vc

Filled = Callable[..., Path]


_CLASSES = dict[str, str]()  # by the code of each, which is its own


def made_here(name: str = "tts.ChatterboxTTS", **changes: Any) -> str:
    """What a model of this machine would say that it is."""
    here, code = compatibility.here(), digest(name)
    _CLASSES[code] = f"chatterbox.{name}"
    everything = {
        "code": code, "python": here.python, "libraries": dict(here.libraries), "constants": [],
        "numerics": list(here.numerics["cpu"]), "device": "cpu", "arguments": [], "weights": "ab" * 16,
    }  # fmt: skip
    return json.dumps({**everything, **changes}, sort_keys=True)


@pytest.fixture
def audio(tmp_path: Path) -> Callable[[str], Path]:
    """An audio file, as far as its digest goes."""

    def write(name: str) -> Path:
        (tmp_path / f"{name}.wav").write_bytes(name.encode())
        return tmp_path / f"{name}.wav"

    return write


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """A cache folder with an entry for each name and maker."""

    def fill(folder: str, *voices: tuple[str, str]) -> Path:
        tier = exchange.open_folder(Settings(cache_dir=tmp_path / folder))
        for seed, (name, maker) in enumerate(voices):
            key = voice_prefix(hashlib.sha256(name.encode()).hexdigest()) + digest_of(maker)
            class_name = _CLASSES[json.loads(maker)["code"]]
            make = snapshot_of_vc if class_name.endswith("VC") else snapshot
            tier.put(key, entry_format.encode(key, make(seed=seed, origin=of_class(class_name)), made_by=maker))
        tier.close()
        return tmp_path / folder

    return fill


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_voices_move_from_folder_to_folder(
    cli: Cli, filled: Filled, audio: Callable[[str], Path], tmp_path: Path
) -> None:
    source = filled("source", ("anna", made_here()), ("ben", made_here()), ("carl", made_here()))
    shown = cli("export", audio("anna"), digest("ben")[:6], "-o", "voices.cbv", "--cache-dir", source)
    assert shown.stdout.startswith("voices.cbv: 2 voices for english, 0.")

    target = tmp_path / "target"
    shown = cli("import", "voices.cbv", "--cache-dir", target)
    lines = shown.stdout.splitlines()
    assert lines[-1] == f"2 new in {target}."
    assert max(map(len, lines[:-1])) <= 80
    rows = [" ".join(line.split()) for line in lines]
    assert f"{digest('anna')[:12]} english (cpu) a hit, if its weights and code are the same" in rows
    assert f"{digest('anna')[:12]} multilingual no: the bundle has nothing that it made of this" in rows

    again = cli("export", "--all", "-o", "again.cbv", "--cache-dir", target, "--json")
    assert {row["voice"] for row in json.loads(again.stdout)["entries"]} == {digest("anna"), digest("ben")}
    assert (tmp_path / "again.cbv").read_bytes() == (tmp_path / "voices.cbv").read_bytes()
    assert cli("import", "voices.cbv", "--cache-dir", target).stdout.endswith(f"0 new in {target}, 2 there already.\n")


def test_an_import_says_why_a_voice_is_no_hit(cli: Cli, filled: Filled, tmp_path: Path) -> None:
    libraries = json.loads(made_here())["libraries"]
    makers = {
        "older": made_here(libraries={**libraries, "torch": "2.5.1"}),
        "python": made_here(python="3.9"),
        "gpu": made_here("mtl_tts.ChatterboxMultilingualTTS", device="tpu"),
        "tf32": made_here(numerics=["torch.float16", "high", ""]),
        "own": made_here("mine.MyTTS"),
    }
    source = filled("source", *makers.items())
    cli("export", "--all", "-o", "voices.cbv", "--cache-dir", source)
    rows = json.loads(cli("import", "voices.cbv", "--json").stdout)["voices"]
    why = {(row["voice"], row["model"]): row["why_not"] for row in rows}
    assert why[digest("older"), "english"] == [f"made with torch 2.5.1, here is {libraries['torch']}"]
    assert why[digest("python"), "english"] == [f"made with Python 3.9, here is {compatibility.here().python}"]
    assert why[digest("gpu"), "multilingual"] == ["made on tpu, which is not here"]
    assert why[digest("tf32"), "english"][0].startswith("made with PyTorch set to torch.float16 high, here it is")
    assert why[digest("own"), "chatterbox.mine.MyTTS"] == []
    assert why[digest("older"), "multilingual"] == ["the bundle has nothing that it made of this voice"]


def test_one_voice_goes_out_in_upstreams_format(cli: Cli, filled: Filled, tmp_path: Path) -> None:
    both = ("anna", made_here()), ("anna", made_here("mtl_tts.ChatterboxMultilingualTTS"))
    source = filled("source", *both, ("ben", made_here()))
    shown = cli("export", digest("anna"), "-o", "anna.pt", "--cache-dir", source, code=1)
    assert "--model" in shown.stderr
    assert "one voice" in cli("export", "--all", "-o", "anna.pt", "--cache-dir", source, code=1).stderr
    cli("export", digest("anna"), "-o", "anna.pt", "--model", "multilingual", "--cache-dir", source)
    written = torch.load(tmp_path / "anna.pt", weights_only=True)
    assert torch.equal(written["t3"]["emotion_adv"], 0.5 * torch.ones(1, 1, 1))
    assert equal(pt_file.read(tmp_path / "anna.pt", "cpu"), snapshot(seed=1))


def test_a_voice_that_speech_is_converted_to_is_listed_and_carried_as_such(
    cli: Cli, filled: Filled, tmp_path: Path
) -> None:
    source = filled("source", ("anna", made_here("vc.ChatterboxVC")))
    (row,) = json.loads(cli("ls", "--json", "--cache-dir", source).stdout)["voices"]
    (entry,) = json.loads(cli("show", digest("anna"), "--json", "--cache-dir", source).stdout)["entries"]
    assert (row["models"], entry["model"], entry["unusable"]) == (["vc"], "vc", None)
    assert "1 voice for vc" in cli("export", "--all", "-o", "voices.cbv", "--cache-dir", source).stdout
    rows = json.loads(cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", "--json").stdout)["voices"]
    assert {each["model"]: bool(each["why_not"]) for each in rows} == {
        "vc": False, "english": True, "multilingual": True, "turbo": True,
    }  # fmt: skip
    cli("export", digest("anna"), "-o", "anna.pt", "--model", "vc", "--cache-dir", source)
    assert torch.load(tmp_path / "anna.pt", weights_only=True).keys() == {"gen"}
    assert equal(pt_file.read(tmp_path / "anna.pt", "cpu"), snapshot_of_vc())
    refused = cli("import", "anna.pt", "--as", digest("anna"), "--model", "english", "--cache-dir", source, code=1)
    assert "holds a voice of another kind than the english model takes" in " ".join(refused.stderr.split())


def test_what_can_not_be_exported_is_said_and_the_rest_is_exported(cli: Cli, filled: Filled) -> None:
    source = filled("source", ("anna", made_here()), ("ben", made_here()))
    tier = exchange.open_folder(Settings(cache_dir=source))
    key = voice_prefix(digest("ben")) + digest_of(made_here())
    tier.put(key, (tier.get(key) or b"")[:-1])
    tier.close()
    shown = cli("export", "--all", "-o", "voices.cbv", "--cache-dir", source, code=1)
    assert shown.stdout.startswith("voices.cbv: 1 voice for english")
    assert shown.stderr.splitlines() == [
        f"not exported: {digest('ben')[:12]}: entry is cut short or too long. Run: chatterbox-cached check"
    ]
    assert "cut short" in cli("export", digest("ben"), "-o", "ben.cbv", "--cache-dir", source, code=1).stderr


def test_errors_are_one_line_and_leave_nothing_behind(
    cli: Cli, filled: Filled, audio: Callable[[str], Path], tmp_path: Path
) -> None:
    source = filled("source", ("anna", made_here()))
    (tmp_path / "bad.cbv").write_bytes(b"PK\3\4" + bytes(1000))
    (tmp_path / "bad.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    audio("anna")
    before = sorted(tmp_path.iterdir())
    for arguments, said in {
        ("import", "bad.cbv"): "bad.cbv can't be imported, and nothing of it was",
        ("import", "missing.cbv"): "There is no file missing.cbv.",
        ("import", "bad.pt", "--as", "ab" * 32, "--model", "english"): "bad.pt can't be read as conditionals",
        ("export", "ffff", "-o", "voices.cbv", "--cache-dir", source): "No voice is known as 'ffff'",
        ("export", "anna", "-o", "voices.cbv", "--cache-dir", source): "No voice is known as 'anna'",
        ("export", "cd" * 32, "-o", "voices.cbv", "--cache-dir", source): "No voice is known as 'cdcd",
        (
            "export",
            "--all",
            "-o",
            "no/such/voices.cbv",
            "--cache-dir",
            source,
        ): "There is no folder no/such.",
        (
            "export",
            "--all",
            "-o",
            "voices.cbv",
            "--cache-dir",
            "none",
        ): f"The folder {tmp_path / 'none'} has no voices.",
        ("export", digest("anna"), "-o", "a.pt", "--model", "multilingual", "--cache-dir", source): (
            f"Nothing by multilingual is kept of {digest('anna')}. Prepare it first: chatterbox-cached warm --model m"
        ),
        ("warm", "missing.txt"): "There is no file missing.txt.",
        ("import", audio("anna")): "anna.wav is no bundle of voices. If it is audio, run: chatterbox-cached warm ",
    }.items():
        shown = cli(*arguments, code=1)
        assert shown.stdout == ""
        assert len(shown.stderr.splitlines()) == 1, shown.stderr
        assert said in shown.stderr
    for wrong in (("import", "bad.pt"), ("import", "x.cbv", "--as", "x"), ("export", "-o", "x"), ("import",)):
        assert cli(*wrong, code=2).stderr
    assert sorted(tmp_path.iterdir()) == before


def test_an_index_that_somebody_keeps_locked_is_one_line(cli: Cli, filled: Filled) -> None:
    source = filled("source", ("anna", made_here()))
    lock = sqlite3.connect(source / "entries" / "cache.db", isolation_level=None)
    lock.execute("PRAGMA locking_mode=EXCLUSIVE")
    lock.execute("BEGIN EXCLUSIVE")
    try:
        shown = cli("export", "--all", "-o", "voices.cbv", "--cache-dir", source, code=1)
    finally:
        lock.close()
    assert len(shown.stderr.splitlines()) == 1
    assert "locked" in shown.stderr
    assert "If another program keeps it busy, try again" in shown.stderr


def test_an_export_replaces_an_earlier_one_and_no_other_file(
    cli: Cli, filled: Filled, audio: Callable[[str], Path], tmp_path: Path
) -> None:
    source = filled("source", ("anna", made_here()))
    keep = audio("keep")
    for other, code in {"keep.wav": 2, "keep": 2, "mine.cbv": 1, "mine.pt": 1, "empty.cbv": 1}.items():
        path = tmp_path / other
        path.write_bytes(b"" if "empty" in other else b"my own, not an export")
        before = path.read_bytes()
        shown = cli("export", digest("anna"), "-o", other, "--cache-dir", source, code=code)
        assert (shown.stdout, len(shown.stderr.splitlines())) == ("", 1)
        assert path.read_bytes() == before
    assert keep.exists()
    os.mkfifo(tmp_path / "pipe.cbv")  # which nobody writes to
    cli("export", digest("anna"), "-o", "pipe.cbv", "--cache-dir", source, code=1)
    for ours in ("voices.cbv", "anna.pt"):
        for _ in range(2):
            cli("export", digest("anna"), "-o", ours, "--cache-dir", source)


def test_a_reason_is_shown_whole_however_long_its_words_are(cli: Cli, filled: Filled) -> None:
    libraries = json.loads(made_here())["libraries"]
    source = filled("source", ("anna", made_here(libraries={**libraries, "torch": "ab" * 32})))
    cli("export", "--all", "-o", "voices.cbv", "--cache-dir", source)
    shown = cli("import", "voices.cbv", COLUMNS="80").stdout
    assert "ab" * 32 in "".join(shown.split())
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_a_voice_file_gets_the_name_of_its_audio(
    cli: Cli, english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, root = ConditionalCache(), tmp_path / "voices"
    cache.get_or_prepare(english, voice)
    file = cache.save(voice, 0.5, tmp_path / "any.pt")
    monkeypatch.setattr(import_, "load", lambda *_: english)
    import_.command(Path(file), audio=str(voice), model=Model.english, cache_dir=root)
    (row,) = json.loads(cli("ls", "--json", "--cache-dir", root).stdout)["voices"]
    assert (row["name"], row["path"], row["models"], row["hits"]) == (voice.name, str(voice), ["english"], 0)
