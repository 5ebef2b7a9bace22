"""``warm``, ``verify``, and ``import`` with a model: the real classes, loaded by ``from_pretrained`` from a hub folder.

Only what an interruption does is seen with the stand-in, which takes as long as it is told to.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.identity.audio import AudioIndex
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import equal
from tests.support import scenery
from tests.support.commands import COMMAND, Cli
from tests.support.comparison import assert_same_entries
from tests.support.filled_folders import entries
from tests.support.small_voices import snapshot
from tests.support.terminal import terminal


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, voice: Path, other_voice: Path) -> Path:
    """A folder of voices, one of them no audio, and a list that names one more and one that is not there."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "anna").mkdir()
    shutil.copy(voice, folder / "anna" / "voice.wav")
    (folder / "text.wav").write_text("no audio")
    (folder / "notes.md").write_text("not meant")
    shutil.copy(other_voice, folder / "other.bin")
    (folder / "list.txt").write_text("# who\n\nother.bin\nmissing.wav\n")
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, english: Any, voices: Path) -> Path:
    """A cache folder that has the two voices. The model is the same as that of the hub folder, so its keys are too."""
    folder = tmp_path_factory.mktemp("cache") / "voices"
    with contextlib.closing(ConditionalCache(folder)) as cache:
        for file in (voices / "anna" / "voice.wav", voices / "other.bin"):
            cache.get_or_prepare(english, file)
    return folder


@pytest.fixture
def cache_dir(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "kept"))


def key_of(folder: Path, audio: Path) -> str:
    """The key of the one entry that was made of this audio."""
    digest = AudioIndex().identify(audio).digest
    (key,) = (key for key in entries(folder) if key.split("/")[1] == digest)
    return key


def test_warm_goes_on_after_a_bad_file_and_lists_it(
    chatterbox_cli: Cli, voices: Path, cache_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "warmed"
    given = (voices, voices / "notes.md", "--list", voices / "list.txt")
    shown = chatterbox_cli("warm", *given, "--cache-dir", folder, "--json", code=1)
    found = json.loads(shown.stdout)
    assert found["passed_over"] == [str(voices / "notes.md")]
    assert [line for line in shown.stderr.splitlines() if line.startswith("passed over: ")] == [
        f"passed over: {voices / 'notes.md'}: neither audio nor a list of paths that are all there"
    ]
    assert found["prepared"] == [str(voices / "anna" / "voice.wav"), str(voices / "other.bin")]
    assert list(found["failed"]) == [str(voices / "text.wav"), str(voices / "missing.wav")]
    assert [line for line in shown.stderr.splitlines() if line.startswith("failed: ")][1].endswith("missing.wav'")
    assert (found["model"], found["device"], found["not_reached"]) == ("english", "cpu", 0)
    assert_same_entries(entries(folder), entries(cache_dir))


def test_verify_finds_what_somebody_changed_and_puts_it_right(
    chatterbox_cli: Cli, voices: Path, cache_dir: Path, voice: Path
) -> None:
    before, key = entries(cache_dir), key_of(cache_dir, voice)
    header, payload = entry_format.opened(key, before[key])
    changed = bytearray(payload)
    changed[-1] ^= 1  # the last bit of a number
    tier = DiskTier(cache_dir, 10**9)
    tier.put(key, entry_format.seal(header, bytes(changed)))
    tier.close()

    files = voices / "anna", voices / "other.bin", voices / "missing.wav"
    shown = chatterbox_cli("verify", *files, "--cache-dir", cache_dir, "--json", code=1)
    found = json.loads(shown.stdout)
    assert list(found["different"]) == [str(voices / "anna" / "voice.wav")]
    assert found["same"] == [str(voices / "other.bin")]
    assert found["not_compared"] == [str(voices / "missing.wav")]
    assert "different, and replaced: " in shown.stderr
    after = entries(cache_dir)
    assert equal(entry_format.decode(key, after[key]), entry_format.decode(key, before[key]))


def test_warming_again_counts_no_hits_and_weights_from_a_folder_are_the_same_model(
    chatterbox_cli: Cli, cli: Cli, hub: Path, voices: Path, cache_dir: Path, tmp_path: Path
) -> None:
    weights = next(hub.rglob("t3_cfg.safetensors")).parent
    files = voices / "anna", voices / "other.bin"
    no_hub = {"HF_HUB_CACHE": str(tmp_path / "none")}
    shown = chatterbox_cli("warm", *files, "--checkpoint", weights, "--cache-dir", cache_dir, "--json", **no_hub)
    assert json.loads(shown.stdout)["there_already"] == [str(voices / "anna" / "voice.wav"), str(voices / "other.bin")]
    totals = json.loads(cli("stats", "--json", "--cache-dir", cache_dir).stdout)["totals"]
    assert (totals["memory_hits"], totals["disk_hits"], totals["saved_seconds"]) == (0, 0, 0)
    rows = json.loads(cli("ls", "--json", "--cache-dir", cache_dir).stdout)["voices"]
    assert [(row["hits"], row["saved_seconds"]) for row in rows] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("model", ["multilingual", "vc"])
def test_another_model_warms_for_itself_on_the_device_that_is_named(
    model: str, chatterbox_cli: Cli, cli: Cli, voice: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "voices"
    what = ("--model", model, "--device", "cpu", "--cache-dir", folder)
    found = json.loads(chatterbox_cli("warm", voice, *what, "--json").stdout)
    assert found["prepared"] == [str(voice)]
    assert (found["model"], found["device"], found["jobs"], found["not_reached"]) == (model, "cpu", 1, 0)
    (row,) = json.loads(cli("ls", "--json", "--cache-dir", folder).stdout)["voices"]
    assert row["models"] == [model]


def test_a_voice_goes_out_as_pt_and_comes_in_under_the_same_key(
    chatterbox_cli: Cli, cli: Cli, cache_dir: Path, voice: Path, tmp_path: Path
) -> None:
    before, key = entries(cache_dir), key_of(cache_dir, voice)
    file = tmp_path / "anna.pt"
    cli("export", voice, "-o", file, "--cache-dir", cache_dir)
    tier = DiskTier(cache_dir, 10**9)
    tier.delete(key)
    tier.close()
    shown = chatterbox_cli("import", file, "--as", voice, "--model", "english", "--cache-dir", cache_dir)
    assert shown.stdout == f"{voice} is a hit for english from now on, with what {file} holds.\n"
    assert equal(entry_format.decode(key, entries(cache_dir)[key]), entry_format.decode(key, before[key]))


def test_an_import_says_for_sure_what_is_a_hit_when_it_may_load_the_model(
    chatterbox_cli: Cli, cli: Cli, cache_dir: Path, voice: Path, tmp_path: Path
) -> None:
    bundle, key = tmp_path / "voices.cbv", key_of(cache_dir, voice)
    other = tmp_path / "other"
    from_elsewhere(other, cache_dir, key)
    cli("export", "--all", "-o", bundle, "--cache-dir", other)
    shown = chatterbox_cli("import", bundle, "--model", "english", "--json")
    rows = {(row["voice"][:4], row["model"]): row for row in json.loads(shown.stdout)["voices"]}
    digest = key.split("/")[1][:4]
    assert rows[digest, "english"]["hit"] == "a hit"
    assert rows[digest, "multilingual"]["hit"] == "no"
    assert rows["abab", "english"]["why_not"] == ["made by another model: weights differ"]
    assert entries(tmp_path / "home" / ".cache" / "chatterbox-cached").keys() == entries(other).keys()


def from_elsewhere(folder: Path, cache_dir: Path, key: str) -> None:
    """A folder with this entry, and with another voice that a model with other weights made."""
    from chatterbox_cached.voice.key_format import digest_of

    tier = exchange.open_folder(Settings(cache_dir=folder))
    entry = entries(cache_dir)[key]
    tier.put(key, entry)
    made_by = json.dumps({**json.loads(entry_format.header_of(key, entry).made_by), "weights": "other"}, sort_keys=True)
    theirs = f"v3/{'ab' * 32}/{digest_of(made_by)}"
    tier.put(theirs, entry_format.encode(theirs, snapshot(), made_by=made_by))
    tier.close()


@pytest.mark.parametrize("verb", ["warm", "verify"])
def test_transcripts_beside_clips_are_passed_over_in_a_line_each(
    verb: str, chatterbox_cli: Cli, voice: Path, other_voice: Path, cache_dir: Path, tmp_path: Path
) -> None:
    clips = [Path(shutil.copy(clip, tmp_path / f"{name}.wav")) for name, clip in (("a", voice), ("b", other_voice))]
    texts = [tmp_path / name for name in ("a.txt", "a.reference.txt", "b.txt")]
    for text, content in zip(texts, (b"Hello there.", b"", "Gr\xfc\xdfe".encode("latin-1")), strict=True):
        text.write_bytes(content)
    shown = chatterbox_cli(verb, *clips, *texts, "--cache-dir", cache_dir)
    assert [line for line in shown.stderr.splitlines() if line.startswith("passed over: ")] == [
        f"passed over: {text}: neither audio nor a list of paths that are all there" for text in texts
    ]
    assert shown.stdout.startswith({"warm": "0 prepared, 2 there already, 0 failed", "verify": "2 the same"}[verb])


@pytest.mark.parametrize("verb", ["warm", "verify"])
def test_a_list_in_latin_1_or_of_nothing_is_one_line_of_error(verb: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Gr\xfc\xdfe.wav").touch()
    text, transcript = tmp_path / "list.txt", tmp_path / "a.txt"
    text.write_bytes("Gr\xfc\xdfe.wav\n".encode("latin-1"))
    transcript.write_text("Hello there.")
    for given, said in (
        (("--list", text), f"{text} is a list, but not in UTF-8. Save it as UTF-8."),
        ((text,), f"{text} is a list, but not in UTF-8. Save it as UTF-8."),
        (("--list", tmp_path / "none.txt"), f"There is no file {tmp_path / 'none.txt'}."),
        ((transcript,), f"There is no audio in what was given: {transcript} is neither audio nor a list of paths that"
         " are all there. Give audio files, folders with some, or --list FILE."),
    ):  # fmt: skip
        assert cli(verb, *given, code=1).stderr == f"chatterbox-cached: {said}\n"
    assert "give a VOICE" in cli(verb, code=2).stderr.replace("Give", "give")


def test_an_interrupted_warm_keeps_what_is_done_and_what_is_there_is_passed_over(
    cli: Cli, environment: dict[str, str], standin_environment: dict[str, str], tmp_path: Path
) -> None:
    voice, *new = scenery.voices(tmp_path, 8)
    cache_dir = tmp_path / "voices"
    cli("warm", voice, "--cache-dir", cache_dir, **standin_environment)
    before = entries(cache_dir)
    with terminal() as (screen, shown):
        process = subprocess.Popen(
            [str(COMMAND), "warm", str(voice), *map(str, new), "--cache-dir", str(cache_dir)],
            env={**environment, **standin_environment, "STANDIN_SECONDS": "0.5", "TERM": "xterm", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=screen,
            text=True,
        )
        while len(entries(cache_dir)) < len(before) + 2:
            assert process.poll() is None, shown
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    said = "".join(shown)
    assert process.returncode == 130, said
    counted = re.match(r"(\d) prepared, 1 there already, 0 failed: english on cpu", out)
    assert counted, out
    prepared = int(counted[1])
    assert f"interrupted; {prepared + 1} of 8 voices are kept" in said

    after = entries(cache_dir)
    assert before.items() <= after.items()
    assert len(after) - len(before) - prepared in (0, 1)  # one may have been stored just then
    assert 1 <= prepared < len(new)
    assert all(entry_format.decode(key, entry) for key, entry in after.items())
    assert "Preparing" in said
    assert re.search(r"\d/8 \d:\d\d:\d\d", said), said  # the time left
