"""Whether the cache is on in a program that does not mention it: by ``run``, or by ``CHATTERBOX_CACHED=1`` alone."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, REPOSITORY, Cli, Start, Write

ASK = """
import os, sys
before = [name for name in sys.modules if name.partition(".")[0] in ("chatterbox_cached", "torch", "wrapt")]
from chatterbox.tts import is_cached
print(before, is_cached())
"""


@pytest.mark.parametrize("how", [["ask.py"], ["-m", "ask"], ["--", sys.executable, "ask.py"]])
def test_the_cache_is_on_once_chatterbox_is_imported_and_nothing_is_loaded_before(
    cli: Cli, write: Write, how: list[str]
) -> None:
    write("ask.py", ASK)
    assert cli("run", *how).stdout == "[] True\n"


@pytest.mark.parametrize("value", ["1", "true", "yes", " ON "])
@pytest.mark.parametrize("flags", [[], ["-E"], ["-s"], ["-P"] if sys.version_info >= (3, 11) else ["-s"]])
def test_the_environment_alone_turns_it_on(start: Start, write: Write, value: str, flags: list[str]) -> None:
    write("ask.py", "import sys; sys.path.insert(0, '.')\n" + ASK)
    assert start([sys.executable, *flags, "ask.py"], CHATTERBOX_CACHED=value).stdout == "[] True\n"


@pytest.mark.parametrize("value", ["", "0", "false", "No", " off "])
def test_the_environment_can_say_no(start: Start, write: Write, value: str) -> None:
    write("ask.py", ASK + "import chatterbox_cached; print(chatterbox_cached.is_enabled(), is_cached())\n")
    assert start([sys.executable, "ask.py"], CHATTERBOX_CACHED=value).stdout == "[] False\nFalse False\n"


def test_the_kill_switch_wins(start: Start, write: Write) -> None:
    write("ask.py", ASK)
    run = start([str(COMMAND), "run", "--stats", "ask.py"], CHATTERBOX_CACHED_DISABLE="1")
    assert (run.stdout, run.stderr) == ("[] False\n", "chatterbox-cached: no voice was asked for.\n")


def test_start_up_loads_nothing_where_it_is_not_wanted(start: Start) -> None:
    code = "import sys; print([name for name in sys.modules if 'chatterbox' in name], len(sys.meta_path))"
    unwanted, off = start([sys.executable, "-c", code]), start([sys.executable, "-c", code], CHATTERBOX_CACHED="0")
    assert unwanted.stdout.startswith("[] ")
    assert off.stdout.split()[-1] == unwanted.stdout.split()[-1]  # no finder of ours


def test_the_installed_package_brings_the_line_that_python_reads_as_it_starts() -> None:
    installed = {str(file) for file in files("chatterbox-cached") or []}
    assert {"chatterbox_cached.pth", "chatterbox_cached_startup.py"} <= installed


@pytest.mark.parametrize(
    "setting",
    [
        {"CHATTERBOX_CACHED": "perhaps"},
        {"CHATTERBOX_CACHED_SIZE_LIMIT": "lots"},
        {"CHATTERBOX_CACHED_ON_MISMATCH": "shout"},
        {"CHATTERBOX_CACHED_DISABLE": "perhaps"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_an_impossible_setting_is_one_line_and_the_program_runs_without_the_cache(
    start: Start, write: Write, setting: dict[str, str]
) -> None:
    write("ask.py", ASK)
    run = start([sys.executable, "-W", "error", "ask.py"], **{"CHATTERBOX_CACHED": "1", **setting})
    assert (run.returncode, run.stdout) == (0, "[] False\n")
    assert len(run.stderr.splitlines()) == 1
    assert "without the cache" in run.stderr
    assert f"variable {next(iter(setting))} is" in run.stderr


@pytest.mark.parametrize(
    ("asks", "answer"),
    [
        ("chatterbox_cached.enable('mine')", "True mine"),
        ("chatterbox_cached.disable()", "False None"),
        ("with chatterbox_cached.enabled('mine'): pass", "True chatterbox-cached"),
        ("", "True chatterbox-cached"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_what_the_program_asks_for_itself_wins(cli: Cli, write: Write, asks: str, answer: str, early: bool) -> None:
    before, after = (asks, "") if early else ("", asks)
    script = f"""
        import chatterbox_cached
        {before}
        from chatterbox.tts import is_cached
        {after}
        cache = chatterbox_cached.get_cache()
        print(is_cached(), cache and cache.settings.cache_dir.name)
        """
    write("script.py", script)
    assert cli("run", "script.py").stdout == f"{answer}\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_have_the_cache_on(cli: Cli, write: Write, method: str) -> None:
    write(
        "script.py",
        """
        import multiprocessing, subprocess, sys

        def work(_):
            from chatterbox.tts import is_cached
            return is_cached()

        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                print(pool.map(work, range(2)))
            isolated = "import sys; sys.path[:0] = ['.']; from chatterbox.tts import is_cached; print(is_cached())"
            for flags in ([], ["-I"], ["-E"]):
                subprocess.run([sys.executable, *flags, "-c", isolated])
        """,
    )
    assert cli("run", "script.py", method).stdout == "[True, True]\nTrue\nTrue\nTrue\n"


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_package_found_through_a_path_is_enough(
    start: Start, write: Write, bare: Path, tmp_path: Path, packed: bool
) -> None:
    source = REPOSITORY
    if packed:
        shutil.copytree(REPOSITORY / "chatterbox_cached", tmp_path / "zip" / "chatterbox_cached")
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "zip"))
    write("mine/sitecustomize.py", "print('my sitecustomize')\n")
    write("script.py", "import sys\nprint(sys.path)\n" + ASK + "import sitecustomize; print(sitecustomize.__file__)\n")
    path = f"{tmp_path / 'mine'}{os.pathsep}{source}"
    direct = start([str(bare), "script.py"], PYTHONPATH=path)
    run = start([str(bare), "-m", "chatterbox_cached", "run", "script.py"], PYTHONPATH=path)
    assert direct.stdout.endswith(f"[] False\n{tmp_path / 'mine' / 'sitecustomize.py'}\n"), direct.stderr
    # Twice: the command itself is a Python, too.
    assert run.stdout == "my sitecustomize\n" + direct.stdout.replace("False", "True"), run.stderr
    without = start([str(bare), "-m", "chatterbox_cached", "run", "--", str(bare), "-c", ASK], PYTHONPATH=str(source))
    assert (without.stdout, without.stderr) == ("[] True\n", "")


@pytest.mark.parametrize("broken", [False, True])
def test_ones_own_sitecustomize_runs_as_by_itself(start: Start, write: Write, tmp_path: Path, broken: bool) -> None:
    write("mine/sitecustomize.py", "import sys\nsys.flag = 1\n" + ("raise ValueError('mine')\n" if broken else ""))
    write("script.py", "import sys\nprint(sys.flag, sys.path)\n" + ASK)
    path = f"{tmp_path / 'mine'}{os.pathsep}{REPOSITORY}"
    direct = start([sys.executable, "script.py"], PYTHONPATH=path)
    run = start([sys.executable, "script.py"], PYTHONPATH=path, CHATTERBOX_CACHED="1")
    assert direct.stdout.endswith("[] False\n")
    assert run.stdout == direct.stdout.replace("False", "True")
    assert run.stderr == direct.stderr
    assert ("ValueError: mine" in direct.stderr) == broken


def test_python_starts_where_only_the_line_was_left_behind(start: Start, bare: Path, tmp_path: Path) -> None:
    site = next(bare.parents[1].glob("lib/*/site-packages"))
    line = REPOSITORY / "chatterbox_cached" / "patching" / "startup" / "chatterbox_cached.pth"
    (site / line.name).write_bytes(line.read_bytes())
    try:
        run = start([str(bare), "-c", "print('runs')"], CHATTERBOX_CACHED="1", PYTHONPATH="")
    finally:
        (site / line.name).unlink()
    assert (run.stdout, run.stderr) == ("runs\n", "")


COPY = """
import torch
from s3tokenizer.model_v2 import S3TokenizerV2

class Conditionals: ...
class T3Cond: ...
class S3Tokenizer(S3TokenizerV2): ...

class ChatterboxTTS:
    def __init__(self):
        self.s3gen = torch.nn.Module()
        self.s3gen.tokenizer = S3Tokenizer()
    def prepare_conditionals(self, wav_fpath, exaggeration=0.5): ...
    def generate(self, text, audio_prompt_path=None, exaggeration=0.5): ...
"""


def test_a_copy_under_another_name_is_found_when_a_model_of_it_is_built(start: Start, write: Write) -> None:
    write("s3tokenizer/__init__.py", "")
    write("s3tokenizer/model_v2.py", "import torch\nclass S3TokenizerV2(torch.nn.Module): ...\n")
    write("engines/voices/tts.py", COPY)
    write(
        "ask.py",
        """
        import sys
        sys.path.insert(0, ".")
        from engines.voices.tts import ChatterboxTTS

        def is_cached():
            return type(vars(ChatterboxTTS)["generate"]).__module__ == "chatterbox_cached.patching.wrappers"

        before = is_cached()
        ChatterboxTTS()
        print(before, is_cached(), "chatterbox" in sys.modules)
        """,
    )
    for expected, environment in (("False True False\n", {"CHATTERBOX_CACHED": "1"}), ("False False False\n", {})):
        run = start([sys.executable, "ask.py"], **environment)
        assert (run.stdout, run.stderr) == (expected, "")
