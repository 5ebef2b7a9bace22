"""``chatterbox-cached run`` and ``CHATTERBOX_CACHED=1``: a program runs as it runs by itself, with the cache on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import pytest

from .conftest import COMMAND, REPOSITORY, Cli

RUN, STATS = [str(COMMAND), "run"], [str(COMMAND), "run", "--stats"]
Write = Callable[..., Path]

# All that a program can see of how it was started, and an error at the end.
PROBE = """
import json, os, signal, sys

def ignored():
    return sorted(number.name for number in signal.valid_signals() if isinstance(number, signal.Signals)
                  and number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) is signal.SIG_IGN)

ours = ("CHATTERBOX_CACHED", "PYTHONPATH", "_")
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "name": __name__, "file": __file__, "path": sys.path,
    "package": __package__, "cwd": os.getcwd(), "stdin": sys.stdin.read(), "flags": list(sys.flags),
    "executable": sys.executable, "environment": {n: v for n, v in os.environ.items() if not n.startswith(ours)},
    "main": sorted(vars(sys.modules["__main__"])), "ignored": ignored(), "umask": os.umask(0),
    "descriptors": sorted(n for n in range(3, 20) if os.path.exists(f"/proc/self/fd/{n}")),
}))
print("on stderr", file=sys.stderr)
raise ValueError("the program's own")
"""

# A Chatterbox for what needs only its names: that the classes are patched when they are imported.
STANDIN = """
class ChatterboxTTS:
    def prepare_conditionals(self, wav_fpath, exaggeration=0.5): ...
    def generate(self, text, audio_prompt_path=None, exaggeration=0.5): ...

def is_cached():
    return type(vars(ChatterboxTTS)["generate"]).__module__ == "chatterbox_cached.activation"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("script.py", text)``: a file in the folder that programs run in."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    write("chatterbox/__init__.py", "")
    write("chatterbox/tts.py", STANDIN)
    return write


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``start([...])``: a process in the tests' folder, whatever it ends with."""

    def start(arguments: list[str], stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env={**environment, **more},
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("before", [RUN, STATS], ids=["run", "stats"])
@pytest.mark.parametrize(
    ("program", "direct"),
    [
        (["probe.py", "--stats", "--", "-m", "x y"], [sys.executable, "probe.py", "--stats", "--", "-m", "x y"]),
        (["-m", "package.probe", "--cache-dir"], [sys.executable, "-m", "package.probe", "--cache-dir"]),
        (["--", sys.executable, "-u", "probe.py", "1"], [sys.executable, "-u", "probe.py", "1"]),
        (["--", "./probe", "1"], ["./probe", "1"]),
        (["folder"], [sys.executable, "folder"]),
    ],
    ids=["script", "module", "python", "command", "folder"],
)
def test_a_program_sees_nothing_of_how_it_was_started(
    start: Start, write: Write, before: list[str], program: list[str], direct: list[str]
) -> None:
    for name in ("probe.py", "package/probe.py", "folder/__main__.py"):
        write(name, PROBE)
    write("probe", f"#!{sys.executable}\n{PROBE}").chmod(0o755)
    plain, run = start(direct, "said\n"), start([*before, *program], "said\n")
    assert json.loads(run.stdout) == json.loads(plain.stdout)
    assert run.returncode == plain.returncode == 1
    assert "ValueError: the program's own" in plain.stderr
    added = ["chatterbox-cached: no voice was asked for."] if before is STATS else []
    assert run.stderr.splitlines() == plain.stderr.splitlines() + added


@pytest.mark.parametrize("before", [RUN, STATS], ids=["run", "stats"])
@pytest.mark.parametrize(
    ("ending", "code"), [("pass", 0), ("sys.exit(7)", 7), ("os._exit(9)", 9), ("os.kill(os.getpid(), 9)", -9)]
)
def test_the_exit_code_is_the_programs(start: Start, write: Write, before: list[str], ending: str, code: int) -> None:
    write("script.py", f"import os, sys\n{ending}\n")
    assert start([*before, "script.py"]).returncode == code


def test_the_process_is_the_programs_own(environment: dict[str, str], tmp_path: Path, write: Write) -> None:
    write("script.py", "import os\nprint(os.getpid())\n")
    with subprocess.Popen([*RUN, "script.py"], env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.communicate()[0].split() == [str(process.pid).encode()]


@pytest.mark.parametrize("before", [[sys.executable], RUN, STATS], ids=["direct", "run", "stats"])
@pytest.mark.parametrize("caught", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_program_once(
    environment: dict[str, str], tmp_path: Path, write: Write, before: list[str], caught: bool, number: signal.Signals
) -> None:
    handler = f"signal.signal({int(number)}, lambda *_: print('caught', flush=True))" if caught else ""
    write(
        "script.py",
        f"""
        import signal, sys, time
        {handler}
        print("ready", flush=True)
        sys.stdin.readline()
        sys.exit(5)
        """,
    )
    with subprocess.Popen(
        [*before, "script.py"],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        if caught:
            assert process.stdout.readline() == "caught\n"
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait(60)
        stdout, stderr = process.communicate()
    assert stdout == ""
    assert process.returncode == (5 if caught else -number)
    assert ("KeyboardInterrupt" in stderr) == (number == signal.SIGINT and not caught)
    assert "chatterbox_cached/" not in stderr


@pytest.mark.parametrize("before", [[sys.executable], RUN, STATS], ids=["direct", "run", "stats"])
def test_ctrl_c_in_a_terminal_reaches_the_program_once(start: Start, write: Write, before: list[str]) -> None:
    write(
        "script.py",
        """
        import signal, time
        caught = []
        signal.signal(signal.SIGINT, lambda *_: caught.append(1))
        print("ready", flush=True)
        while not caught:
            time.sleep(0.05)
        time.sleep(0.5)
        print("caught", len(caught))
        """,
    )
    write(
        "terminal.py",
        """
        import os, pty, sys
        child, terminal = pty.fork()
        if not child:
            os.execvp(sys.argv[1], sys.argv[1:])
        shown = b""
        while b"ready" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\\x03")
        try:
            while more := os.read(terminal, 1000):
                shown += more
        except OSError:
            pass
        print(shown.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    shown = start([sys.executable, "terminal.py", *before, "script.py"])
    assert "caught 1" in shown.stdout, shown
    assert shown.stdout.split()[-1] == "0"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
@pytest.mark.parametrize("before", [RUN, STATS], ids=["run", "stats"])
def test_a_command_inherits_no_signal_that_only_python_ignores(start: Start, before: list[str]) -> None:
    command = ["grep", "Sig[IB]", "/proc/self/status"]
    assert start([*before, "--", *command]).stdout == start(command).stdout


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
    run = start([*STATS, "ask.py"], CHATTERBOX_CACHED_DISABLE="1")
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


def test_run_says_what_is_impossible_before_the_program_starts(cli: Cli, write: Write) -> None:
    write("ask.py", ASK)
    shown = cli("run", "ask.py", code=1, CHATTERBOX_CACHED_SIZE_LIMIT="lots")
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "one of 'warn', 'error'" in cli("run", "--on-mismatch", "shout", "ask.py", code=2).stderr
    assert "run -- python -u" in cli("run", "-u", "ask.py", code=2).stderr
    assert "PROGRAM" in cli("run", code=2).stderr
    for stats in ([], ["--stats"]):
        missing = cli("run", *stats, "--", "no-such-command", code=1).stderr
        assert missing == "chatterbox-cached: no-such-command can't be started (No such file or directory)." + (
            " Is it installed, and on PATH?\n"
        )


def test_options_are_settings_of_the_program(cli: Cli, write: Write, tmp_path: Path) -> None:
    write(
        "script.py",
        """
        import os, sys
        os.chdir("/")
        import chatterbox_cached
        settings = chatterbox_cached.get_cache().settings
        print(settings.cache_dir, settings.on_mismatch)
        """,
    )
    shown = cli("run", "--cache-dir", "voices", "--on-mismatch", "follow", "script.py", CHATTERBOX_CACHED_DIR="other")
    assert shown.stdout == f"{tmp_path / 'voices'} follow\n"


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


# Counts without a model: a class that is not cached goes round the cache.
COUNT = """
import multiprocessing, os, signal, sys, time
import chatterbox_cached

class Other:
    conds = None
    def prepare_conditionals(self, wav_fpath, exaggeration=0.5): ...

def work(number):
    for _ in range(number):
        chatterbox_cached.ConditionalCache().get_or_prepare(Other(), "voice.wav")

def killed():
    work(1)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    work(1)
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:  # ends its workers by SIGTERM
            pool.map(work, [2, 3], chunksize=1)
        child = context.Process(target=killed)
        child.start()
        child.join()
    if not os.fork():
        work(4)
        os._exit(0)
    os.wait()
    work(1)
    os.kill(os.getpid(), int(sys.argv[1])) if sys.argv[1:] else None
"""


@pytest.mark.parametrize("end", [None, signal.SIGTERM, signal.SIGKILL])
def test_stats_are_summed_over_all_processes_however_they_end(
    start: Start, write: Write, tmp_path: Path, end: signal.Signals | None
) -> None:
    write("script.py", COUNT)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = start([*STATS, "script.py", *([str(int(end))] if end else [])], TMPDIR=str(temporary))
    assert run.returncode == (-end if end else 0), run.stderr
    # Python's own, of what the killed program could not tidy up, may come before.
    lines = run.stderr[run.stderr.index("chatterbox-cached:") :].splitlines()
    assert lines[0].startswith("chatterbox-cached: voices asked for: 18, in processes: "), run.stderr
    assert [line.split() for line in lines[1:]] == [
        ["hits", "0"],
        ["misses", "0"],
        ["bypasses", "18", "class", "is", "not", "cached:", "18"],
    ]
    assert not list(temporary.iterdir())


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what we need but not us: neither the package nor its .pth."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
    site = next(folder.glob("lib/*/site-packages"))
    for there in packages.iterdir():
        if "chatterbox_cached" not in there.name and not (site / there.name).exists():
            (site / there.name).symlink_to(there)
    return folder / "bin" / "python"


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
    line = REPOSITORY / "chatterbox_cached" / "startup" / "chatterbox_cached.pth"
    (site / line.name).write_bytes(line.read_bytes())
    try:
        run = start([str(bare), "-c", "print('runs')"], CHATTERBOX_CACHED="1", PYTHONPATH="")
    finally:
        (site / line.name).unlink()
    assert (run.stdout, run.stderr) == ("runs\n", "")


def test_another_python_without_the_cache_is_told_of(cli: Cli, write: Write, bare: Path, tmp_path: Path) -> None:
    write("script.py", "print('runs')\n")
    write("tool", f"#!{bare}\nprint('runs')\n").chmod(0o755)
    for command in ([bare, "script.py"], ["./tool"]):
        shown = cli("run", "--", *command, PYTHONPATH="")
        assert shown.stdout == "runs\n"
        assert len(shown.stderr.splitlines()) == 1
        assert f"{bare} -m pip install" in shown.stderr
