"""``chatterbox-cached run``: a program runs as it runs by itself, and at the end it is said what the cache did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, Cli, Start, Write

RUN, STATS = [str(COMMAND), "run"], [str(COMMAND), "run", "--stats"]

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


def test_run_says_what_is_impossible_before_the_program_starts(cli: Cli, write: Write) -> None:
    write("ask.py", "print(1)\n")
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
        refused = cli("run", *stats, "--", "./ask.py", code=1).stderr
        assert refused.startswith(
            "chatterbox-cached: ./ask.py can't be started (Permission denied). Make it executable"
        )
    command = cli("run", "ls", "-l", "a b", code=2).stderr
    assert command.startswith(
        "chatterbox-cached: There is no file ls. For a command: chatterbox-cached run -- ls -l 'a b'"
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
    home = tmp_path / "home"  # no shell takes the ~ of --cache-dir=~/voices away
    shown = cli("run", "--cache-dir=~/voices", "--on-mismatch", "follow", "script.py", HOME=str(home))
    assert shown.stdout == f"{home / 'voices'} follow\n"


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
    assert [line.split() for line in lines[1:4]] == [  # and after it
        ["hits", "0"],
        ["misses", "0"],
        ["bypasses", "18", "class", "is", "not", "cached:", "18"],
    ]
    assert not list(temporary.iterdir())


def test_another_python_without_the_cache_is_told_of(cli: Cli, write: Write, bare: Path, tmp_path: Path) -> None:
    write("script.py", "print('runs')\n")
    write("tool", f"#!{bare}\nprint('runs')\n").chmod(0o755)
    for command in ([bare, "script.py"], ["./tool"]):
        shown = cli("run", "--", *command, PYTHONPATH="")
        assert shown.stdout == "runs\n"
        assert len(shown.stderr.splitlines()) == 1
        assert f"{bare} -m pip install" in shown.stderr
