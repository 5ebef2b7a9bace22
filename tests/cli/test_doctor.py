"""``doctor`` says "ready" where everything is in order, and else what to do; it leaves the folder as it was."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path

from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk.folder import file_system
from chatterbox_cached.voice import entry_format
from tests.support.commands import REPOSITORY, Cli
from tests.support.small_voices import snapshot


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Everything in it but SQLite's own files, which every opening writes to."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("cache.db", "swept")))
    return {path: (path.stat().st_mode, path.read_bytes()) for path in files}


def test_a_healthy_installation_is_ready_and_nothing_kept_is_touched(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    tier = exchange.open_folder(Settings(cache_dir=folder))
    key = f"v3/{'ab' * 32}/{'cd' * 32}"
    tier.put(key, entry_format.encode(key, snapshot()))
    tier.close()
    before = contents(folder)
    # A limit that the folder is over: what is kept must not make room for a scratch entry.
    shown = cli("doctor", "--cache-dir", folder, CHATTERBOX_CACHED_SIZE_LIMIT="1000", NO_COLOR="1")
    lines = shown.stdout.splitlines()
    assert lines[-1] == "ready"
    found = {line[:27].strip(): line[28:] for line in lines if line}
    assert found["Python"] == platform.python_version()
    for package in ("torch", "wrapt", "diskcache", "safetensors", "xxhash"):
        assert found[package] == metadata.version(package)
    assert found["Chatterbox"] == "chatterbox-tts 0.1.7"
    assert "cpu" in found["devices"].split(", ")
    assert found["environment"] == "CHATTERBOX_CACHED_SIZE_LIMIT=1000"
    assert found["cache folder"] == str(folder)
    assert found["file system"] == (file_system(folder) or "unknown")
    assert re.fullmatch(r"\d+\.\d GB free; the cache may use 0\.0 GB", found["space"])
    assert found["ChatterboxTTS"] == found["ChatterboxMultilingualTTS"] == "found, and patched by enable()"
    assert found["ChatterboxVC"] == found["ChatterboxTurboTTS"] == "found, and patched by enable()"
    assert found["rights"].endswith("mode 0700")
    assert found["memory round trip"].endswith(" ms")
    assert found["disk round trip"].endswith(" ms")
    assert max(map(len, lines)) <= max(80, len(str(folder)) + 28)
    assert contents(folder) == before
    assert tier.keys() == [key]


def test_what_is_amiss_comes_with_what_to_do(cli: Cli, tmp_path: Path) -> None:
    stranger = tmp_path / "path"
    (stranger / "chatterbox").mkdir(parents=True)
    (stranger / "chatterbox" / "__init__.py").write_text("import no_such_thing\n")
    (stranger / "perth.py").write_text("PerthImplicitWatermarker = None\n")
    shared = tmp_path / "shared"
    (shared / "more").mkdir(parents=True)
    shared.chmod(0o777)
    path = f"{stranger}{os.pathsep}{REPOSITORY}"
    switches = {"CHATTERBOX_CACHED_DISABLE": "1", "CHATTERBOX_CACHED_SIGNING_KEY": "a secret of mine and not yours"}
    shown = cli("doctor", "--cache-dir", shared, "--json", code=1, PYTHONPATH=path, **switches)
    found = json.loads(shown.stdout)
    assert found["ready"] is False
    assert "a secret of mine" not in shown.stdout
    advice = {finding["what"]: finding["advice"] for finding in found["findings"] if finding["advice"]}
    assert "no_such_thing" in advice["ChatterboxTTS"]
    assert "setuptools<82" in advice["watermarker"]
    assert "Unset CHATTERBOX_CACHED_DISABLE" in advice["environment"]
    assert "chmod go-w" in advice["rights"]
    assert "chmod go-w" in advice["disk round trip"]
    assert [each.name for each in shared.iterdir()] == ["more"]


def test_a_fork_is_called_one(cli: Cli, tmp_path: Path) -> None:
    """This one's classes are there, but can't be patched: that is said too."""
    about = "Metadata-Version: 2.1\nName: chatterbox-streaming\nVersion: 0.1.2\n"
    for name, text in {
        "chatterbox/__init__.py": "",
        "chatterbox/tts.py": "class ChatterboxTTS: ...\n",
        "chatterbox/mtl_tts.py": "class ChatterboxMultilingualTTS: ...\n",
        "chatterbox_streaming-0.1.2.dist-info/METADATA": about,
        "chatterbox_streaming-0.1.2.dist-info/top_level.txt": "chatterbox\n",
    }.items():
        (tmp_path / "path" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "path" / name).write_text(text)
    path = f"{tmp_path / 'path'}{os.pathsep}{REPOSITORY}"
    found = json.loads(cli("doctor", "--json", code=1, PYTHONPATH=path).stdout)
    rows = {finding["what"]: (finding["found"], finding["advice"]) for finding in found["findings"]}
    assert rows["Chatterbox"] == ("chatterbox-streaming 0.1.2 (a fork, or a tree of sources)", "")
    for name in ("ChatterboxTTS", "ChatterboxMultilingualTTS"):
        said, advice = rows[name]
        assert said == "found, not patched: another form than is known"
        assert advice.startswith(f"{name} is not as expected")
    assert rows["ChatterboxTurboTTS"] == rows["ChatterboxVC"] == ("not in this Chatterbox", "")
    assert rows["cache folder"][0].endswith(", to be made with the first voice")
    assert "rights" not in rows


def test_an_import_that_takes_the_process_with_it_is_survived(cli: Cli, tmp_path: Path) -> None:
    stranger = tmp_path / "path"
    (stranger / "chatterbox").mkdir(parents=True)
    (stranger / "chatterbox" / "__init__.py").write_text("import os\nos.abort()\n")
    shown = cli("doctor", code=1, PYTHONPATH=f"{stranger}{os.pathsep}{REPOSITORY}")
    assert "not ready. To do:" in shown.stdout
    assert "ended with -6" in shown.stdout
    assert not (tmp_path / "home" / ".cache" / "chatterbox-cached").exists()
    assert list((tmp_path / "home").rglob(".chatterbox-cached-*")) == []
