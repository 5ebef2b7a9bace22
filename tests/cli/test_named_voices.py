"""``voices``: names given, listed and taken away; and bundles that carry them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.cli.models import Model
from chatterbox_cached.demo.rehearsal import reference_clip
from chatterbox_cached.identity.audio import AudioIndex
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.upstream import pt_file
from chatterbox_cached.voice import bundle, entry_format
from chatterbox_cached.voice.bundle_names import NamedInBundle
from chatterbox_cached.voice.key_format import digest_of, voice_prefix
from tests.support.bundles import made_by, origin
from tests.support.commands import Cli
from tests.support.small_voices import snapshot

LIBRARY = "XDG_DATA_HOME"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference_clip(tmp_path_factory.mktemp("clips") / "narrator.wav", seconds=2, seed=0)


@pytest.fixture
def recording(clip: Path, tmp_path: Path) -> Path:
    """It is called narrator.wav, in the folder that commands run in."""
    return Path(shutil.copy(clip, tmp_path / "narrator.wav"))


def kept_of(recording: Path, folder: Path) -> str:
    """Put an entry for this recording into a cache folder; gives its key."""
    key = voice_prefix(AudioIndex().identify(recording).digest) + digest_of(made_by())
    tier = exchange.open_folder(Settings(cache_dir=folder))
    tier.put(key, entry_format.encode(key, snapshot(seed=1, origin=origin()), made_by=made_by()))
    tier.close()
    return key


def listed(cli: Cli, *args: str, **environment: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(cli("voices", "ls", "--json", *args, **environment).stdout)["voices"]
    return rows


def test_a_name_is_given_listed_shown_changed_and_taken_away(cli: Cli, recording: Path) -> None:
    said = cli("voices", "add", recording, "--as", "Erzähler", "--alias", "narrator", "--consent", "by letter").stdout
    assert 'audio_prompt_path="voice:Erzähler"' in said
    assert "--keep-audio" in said
    (row,) = listed(cli)
    assert (row["name"], row["aliases"], row["duration"], row["audio"]) == ("Erzähler", ["narrator"], 2.0, None)
    shown = cli("voices", "show", "NARRATOR").stdout
    assert "by letter" in shown
    assert "never prepared" in shown
    assert "Erzähler is the default" in cli("voices", "default", "narrator").stdout
    assert "called Story now" in cli("voices", "rename", "erzähler", "Story").stdout
    cli("voices", "describe", "story", "--describe", "calm", "--alias", "S.")
    (row,) = listed(cli)
    assert (row["name"], row["aliases"], row["description"], row["default"]) == ("Story", ["S."], "calm", True)
    assert cli("voices", "rm", "s.").stdout == "Removed Story.\n"
    assert listed(cli) == []
    assert "No voice is the default" in cli("voices", "default").stdout


def test_without_a_name_it_gets_that_of_its_file(cli: Cli, recording: Path) -> None:
    cli("voices", "add", recording, "--file")
    assert [row["name"] for row in listed(cli)] == ["narrator"]
    assert recording.with_suffix(".voice").read_text(encoding="utf-8").splitlines()[1] == "narrator"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("add", "none.wav"), "There is no file none.wav"),
        (("add", "text.wav"), "text.wav can't be read as audio."),
        (("add", "narrator.wav", "--as", "a/b"), "'a/b' can't be a voice's name: it must have no /"),
        (("add", "narrator.wav", "--as", "taken"), "There is a voice called 'Taken'"),
        (("add", "narrator.wav", "--as", "new", "--alias", "TAKEN"), "There is a voice called 'Taken'"),
        (("show", "takn"), "No voice is called 'takn'. Did you mean 'Taken'?"),
        (("rename", "taken", "default"), "has a meaning of its own"),
        (("rename", "nobody", "x"), "No voice is called 'nobody'."),
        (("rm", "taken", "nobody"), "No voice is called 'nobody'."),
        (("default", "nobody"), "No voice is called 'nobody'."),
    ],
)
def test_what_can_t_be_done_is_one_line_and_nothing_is_changed(
    args: tuple[str, ...], said: str, cli: Cli, recording: Path
) -> None:
    cli("voices", "add", recording, "--as", "Taken")
    recording.with_name("text.wav").write_text("no audio")
    before = listed(cli)
    shown = cli("voices", *args, code=1)
    assert said in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert listed(cli) == before


def test_names_can_be_given_before_there_is_a_cache_and_none_is_made(cli: Cli, recording: Path, tmp_path: Path) -> None:
    cli("voices", "add", recording, "--cache-dir", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_library_that_can_t_be_read_is_one_line(cli: Cli, recording: Path, tmp_path: Path) -> None:
    where = {"CHATTERBOX_CACHED_VOICES_DIR": str(tmp_path / "mine")}
    cli("voices", "add", recording, **where)
    (tmp_path / "mine" / "voices.db").write_bytes(b"no database" * 1000)
    for args in (("ls",), ("show", "narrator"), ("add", "narrator.wav", "--as", "x")):
        shown = cli("voices", *args, code=1, **where)
        assert "CHATTERBOX_CACHED_VOICES_DIR" in shown.stderr
        assert len(shown.stderr.splitlines()) == 1


def test_a_model_prepares_it_at_once_and_says_so(cli: Cli, recording: Path, hub_environment: dict[str, str]) -> None:
    said = cli("voices", "add", recording, "--model", Model.english.value, "--device", "cpu", **hub_environment).stdout
    assert "It is prepared for english (chatterbox-tts" in said
    assert [model.partition(" ")[0] for row in listed(cli) for model in row["models"]] == ["english"]


def test_a_bundle_carries_names_and_what_is_said_of_them(cli: Cli, recording: Path, tmp_path: Path) -> None:
    key = kept_of(recording, tmp_path / "source")
    cli(
        "voices",
        "add",
        recording,
        "--as",
        "Erzähler",
        "--alias",
        "E.",
        "--describe",
        "calm",
        "--cache-dir",
        tmp_path / "source",
    )
    cli("clear", "--yes", "--cache-dir", tmp_path / "source")  # the library has what was prepared
    cli("export", "erzähler", "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
    there = {LIBRARY: str(tmp_path / "there")}
    said = cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", **there).stdout
    assert "With names: Erzähler." in said
    (row,) = listed(cli, **there)
    assert (row["name"], row["aliases"], row["description"], row["source"]) == ("Erzähler", ["E."], "calm", None)
    assert [model.partition(" ")[0] for model in row["models"]] == ["english"]
    again = json.loads(cli("import", "voices.cbv", "--json", "--cache-dir", tmp_path / "target", **there).stdout)
    assert (again["new"], again["already_there"], again["names"]) == (0, 1, ["Erzähler"])
    assert [entry["voice"] for entry in again["voices"][:1]] == [key.split("/")[1]]


def test_a_bundle_carries_all_that_a_library_takes(cli: Cli, recording: Path, tmp_path: Path) -> None:
    kept_of(recording, tmp_path / "source")
    there, name, said = {LIBRARY: str(tmp_path / "there")}, "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}", "calm\nlow"
    cli("voices", "add", recording, "--as", name, "--describe", said)
    cli("export", name, "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
    cli("import", "voices.cbv", **there)
    (row,) = listed(cli, **there)
    assert (row["name"], row["description"]) == (name, said)
    cli("voices", "describe", name, "--describe", "long " * 1000)
    long = cli("export", name, "-o", "voices.cbv", "--cache-dir", tmp_path / "source", code=1)
    assert "Describe it shorter" in long.stderr


def test_a_bundle_has_the_recording_only_if_asked(cli: Cli, recording: Path, tmp_path: Path) -> None:
    kept_of(recording, tmp_path / "source")
    cli("voices", "add", recording, "--keep-audio")
    for options, has in ((("--with-audio",), True), ((), False)):
        cli("export", "narrator", "-o", "voices.cbv", *options, "--cache-dir", tmp_path / "source")
        there = {LIBRARY: str(tmp_path / f"there {has}")}
        cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", **there)
        (row,) = listed(cli, **there)
        assert (row["audio"] is not None) == has
        assert (recording.read_bytes() in (tmp_path / "voices.cbv").read_bytes()) == has
        if has:
            assert Path(row["audio"]).read_bytes() == recording.read_bytes()
    cli("voices", "add", recording, "--as", "bare")
    assert "was not kept" in cli("export", "bare", "--with-audio", "-o", "b.cbv", code=1).stderr


def test_names_can_be_left_out(cli: Cli, recording: Path, tmp_path: Path) -> None:
    kept_of(recording, tmp_path / "source")
    cli("voices", "add", recording, "--as", "Secret name")
    cli("export", "--all", "--no-names", "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
    assert b"Secret" not in (tmp_path / "voices.cbv").read_bytes()


def test_an_import_whose_name_is_taken_is_refused_and_nothing_is_kept(
    cli: Cli, clip: Path, recording: Path, tmp_path: Path
) -> None:
    kept_of(recording, tmp_path / "source")
    cli("voices", "add", recording)
    cli("export", "narrator", "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
    there = {LIBRARY: str(tmp_path / "there")}
    other = reference_clip(tmp_path / "other.wav", seconds=1, seed=3)
    cli("voices", "add", other, "--as", "Narrator", **there)
    shown = cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", code=1, **there)
    assert "There is a voice called 'Narrator' here, so nothing was imported" in shown.stderr
    assert "No voices are cached" in cli("ls", "--cache-dir", tmp_path / "target").stdout
    assert [row["source"] for row in listed(cli, **there)] == [str(other)]


def _changed(bundle: Path, old: str, new: str) -> None:
    """The manifest with another text of the same length in it, and the checksums that a zip has, made good."""
    import zlib

    content = bundle.read_bytes()
    assert len(old) == len(new)
    assert old.encode() in content
    before = re.search(rb"PK\x03\x04.{10}(.{4})(.{4})", content, re.DOTALL)
    assert before is not None
    size = int.from_bytes(before[2], "little")
    start = content.index(b"{", 0)
    manifest = content[start : start + size].replace(old.encode(), new.encode())
    crc = zlib.crc32(manifest).to_bytes(4, "little")
    bundle.write_bytes((content[:start] + manifest + content[start + size :]).replace(before[1], crc))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("narrator", "a/rrator", "must have no /"),
        ("narrator", "narr  or", "is no name"),
        ('"seconds": 2.0', '"seconds": -20', "impossible name"),
        ('"suffix": ".wav"', '"suffix": "../.x"', "can't be imported"),
        ('"kind": "recording"', '"kind": "recordinG"', "impossible name"),
    ],
)
def test_a_bundle_that_says_odd_things_of_a_name_is_refused_whole(
    old: str, new: str, said: str, cli: Cli, recording: Path, tmp_path: Path
) -> None:
    kept_of(recording, tmp_path / "source")
    cli("voices", "add", recording, "--keep-audio")
    cli("export", "narrator", "--with-audio", "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
    bundle = tmp_path / "voices.cbv"
    _changed(bundle, old, new + " " * (len(old) - len(new)) if len(new) < len(old) else new[: len(old)])
    there = {LIBRARY: str(tmp_path / "there")}
    assert said in cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", code=1, **there).stderr
    assert listed(cli, **there) == []
    assert "No voices are cached" in cli("ls", "--cache-dir", tmp_path / "target").stdout


def test_a_bundle_in_which_two_voices_have_one_name_is_refused_whole(cli: Cli, recording: Path, tmp_path: Path) -> None:
    kept_of(recording, tmp_path / "source")
    other = reference_clip(tmp_path / "other.wav", seconds=1, seed=3)
    cli("voices", "add", recording, "--as", "Anna", "--alias", "host")
    cli("voices", "add", other, "--as", "bnna")
    kept_of(other, tmp_path / "source")
    there = {LIBRARY: str(tmp_path / "there")}
    for name in ("anna", "host"):
        cli("export", "--all", "-o", "voices.cbv", "--cache-dir", tmp_path / "source")
        _changed(tmp_path / "voices.cbv", "bnna", name)
        shown = cli("import", "voices.cbv", "--cache-dir", tmp_path / "target", code=1, **there)
        assert "another voice in it has" in shown.stderr
    assert listed(cli, **there) == []


def test_a_recording_in_a_bundle_must_be_the_voice_s(cli: Cli, recording: Path, tmp_path: Path) -> None:
    digest = AudioIndex().identify(recording).digest
    cli("voices", "add", recording, "--keep-audio")
    cli("export", "narrator", "--with-audio", "-o", "voices.cbv")
    _changed(tmp_path / "voices.cbv", f'"digest": "{digest}"', f'"digest": "{"ab" * 32}"')
    shown = cli("import", "voices.cbv", code=1, **{LIBRARY: str(tmp_path / "there")})
    assert "is another than the voice's" in shown.stderr


def test_conditionals_in_a_bundle_must_be_such(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "odd.pt"
    file.write_bytes(b"no conditionals")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    odd = NamedInBundle("Odd", (), "", "", digest, "conditionals", None)
    bundle.write(tmp_path / "odd.cbv", [], lambda _: pytest.fail("it has no entries"), {odd: file})
    assert "'Odd' holds no conditionals" in cli("import", "odd.cbv", code=1).stderr
    assert listed(cli) == []


def test_a_folder_of_upstream_s_files_becomes_voices_with_their_names(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "voice_conds"
    folder.mkdir()
    for seed, name in enumerate(("anna", "Ben")):
        pt_file.write(folder / f"{name}.pt", snapshot(seed=seed), 0.5)
    (folder / "notes.txt").write_text("not meant")
    assert "2 new in" in cli("import", folder).stdout
    rows = listed(cli)
    assert [(row["name"], row["kind"]) for row in rows] == [("anna", "conditionals"), ("Ben", "conditionals")]
    assert rows[0]["digest"] == hashlib.sha256((folder / "anna.pt").read_bytes()).hexdigest()
    pt_file.write(folder / "cleo.pt", snapshot(seed=5), 0.5)
    assert "1 new in" in cli("import", folder).stdout
    (folder / "bad.pt").write_bytes(b"no conditionals")
    pt_file.write(folder / "dora.pt", snapshot(seed=6), 0.5)
    assert "bad.pt" in cli("import", folder, code=1).stderr
    assert len(listed(cli)) == 3
    cli("export", "anna", "-o", "anna.cbv")
    there = {LIBRARY: str(tmp_path / "there")}
    cli("import", "anna.cbv", **there)
    assert [row["name"] for row in listed(cli, **there)] == ["anna"]
    cli("export", "ANNA", "-o", "anna.pt", **there)
    assert (tmp_path / "anna.pt").read_bytes() == (folder / "anna.pt").read_bytes()
    os.unlink(folder / "bad.pt")


@pytest.mark.parametrize("names", [("Anna.pt", "anna.pt"), ("anna.PT", "anna.pt")])
def test_a_folder_in_which_two_files_have_one_name_is_refused_whole(
    names: tuple[str, str], cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "voice_conds"
    folder.mkdir()
    for seed, name in enumerate(names):
        pt_file.write(folder / name, snapshot(seed=seed), 0.5)
    if len([*folder.iterdir()]) < len(names):
        pytest.skip("this file system takes them for one file")
    assert "anna" in cli("import", folder, code=1).stderr
    assert listed(cli) == []


def test_removing_from_the_cache_says_that_a_name_is_left(cli: Cli, recording: Path, tmp_path: Path) -> None:
    kept_of(recording, tmp_path / "cache")
    cli("voices", "add", recording, "--cache-dir", tmp_path / "cache")
    shown = cli("rm", recording, "--cache-dir", tmp_path / "cache")
    assert "chatterbox-cached voices rm 'narrator'" in shown.stderr
    assert len(listed(cli)) == 1


def test_an_empty_folder_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "There are no .pt files" in cli("import", tmp_path / "empty", code=1).stderr
