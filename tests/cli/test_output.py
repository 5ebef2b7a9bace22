"""What comes out: in a pipe that can't show a sign, as JSON, in a real terminal, and what a question leaves behind."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from chatterbox_cached.cli.app import VERBS, load
from tests.support.commands import COMMAND, Cli, Start, Write
from tests.support.filled_folders import ENGLISH, MULTILINGUAL, digest, fill, name

ANNA = b"anna"
LONG = f"/voices/{'of many people/' * 4}Änna.wav"
STYLE = re.compile(r"\x1b\[([0-9;]*)m")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one voice, whose name no ASCII can show and whose path is too long for a line."""
    root = tmp_path / "voices"
    fill(root, ANNA, models=(ENGLISH, MULTILINGUAL))
    name(root, ANNA, LONG)
    return root


def test_what_stdout_can_not_show_stops_nothing(cli: Cli, root: Path) -> None:
    def run(*arguments: str) -> str:
        shown = cli(*arguments, "--cache-dir", root, PYTHONIOENCODING="ascii")
        assert shown.stderr == ""
        return shown.stdout

    assert "nna.wav" in run("ls")
    assert json.loads(run("ls", "--json"))["voices"][0]["name"] == "Änna.wav"
    assert run("show", digest(ANNA)).startswith("?nna.wav\n")
    assert run("rm", digest(ANNA)).startswith("Removed ?nna.wav: 2 entries")
    assert run("ls") == f"No voices are cached in {root}.\n"


# What a verb is called with. The JSON of warm and verify is in test_warm, that of lift in test_shared, that of demo in
# integration/test_demo.
CALLS = {
    "stats": (),
    "report": (),
    "ls": (),
    "show": (digest(ANNA),),
    "rm": (digest(ANNA),),
    "prune": ("--to", "1"),
    "clear": ("--yes",),
    "check": (),
    "export": ("--all", "-o", "voices.cbv"),
    "import": ("voices.cbv",),
    "doctor": (),
}


@pytest.mark.parametrize("verb", CALLS)
def test_json_is_all_there_is_on_stdout(cli: Cli, root: Path, unladen: dict[str, str], verb: str) -> None:
    if verb == "import":
        cli("export", "--all", "-o", "voices.cbv", "--cache-dir", root)
    shown = cli(verb, *CALLS[verb], "--json", "--cache-dir", root, **unladen)
    assert json.loads(shown.stdout)
    assert shown.stderr == ""


def test_every_verb_that_prints_figures_takes_json(cli: Cli) -> None:
    for verb in VERBS:
        for inner in getattr(load(verb), "commands", {"": None}):
            options = cli(verb, *filter(None, [inner]), "--help").stdout
            assert ("--json" in options) == (verb not in ("path", "keys", "page")), (verb, inner)
    assert set(VERBS) == {
        *CALLS,
        "lift",
        "voices",
        "page",
        "keys",
        "path",
        "run",
        "warm",
        "verify",
        "demo",
    }  # run's is on stderr: stdout is the program's


def test_a_model_has_one_name_everywhere(cli: Cli, root: Path) -> None:
    cli("export", "--all", "-o", "voices.cbv", "--cache-dir", root)
    listed = json.loads(cli("ls", "--json", "--cache-dir", root).stdout)["voices"][0]["models"]
    shown = json.loads(cli("show", digest(ANNA), "--json", "--cache-dir", root).stdout)["entries"]
    imported = json.loads(cli("import", "voices.cbv", "--json").stdout)["voices"]
    assert listed == sorted(entry["model"] for entry in shown) == ["english", "multilingual"]
    assert sorted(row["model"] for row in imported) == [
        *listed,
        "turbo",
        "vc",
    ]  # each model is told whether it has a hit


@pytest.mark.parametrize("verb", ["ls", "stats", "show", "import"])
def test_no_line_in_a_pipe_ends_with_blanks(cli: Cli, root: Path, verb: str) -> None:
    cli("export", "--all", "-o", "voices.cbv", "--cache-dir", root)
    arguments = {"show": [digest(ANNA)], "import": ["voices.cbv"]}.get(verb, [])
    lines = cli(verb, *arguments, "--cache-dir", root).stdout.splitlines()
    assert len(lines) > 2
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("verb", ["ls", "stats", "show", "doctor", "export", "import"])
def test_an_index_that_had_to_be_begun_anew_is_said(cli: Cli, root: Path, unladen: dict[str, str], verb: str) -> None:
    cli("export", "--all", "-o", "kept.cbv", "--cache-dir", root)
    (root / "entries" / "cache.db").write_bytes(b"no database " * 500)
    for remains in (root / "entries").glob("cache.db-*"):
        remains.unlink()
    arguments = {
        "show": ["abcd"], "export": ["--all", "-o", "voices.cbv"], "import": ["kept.cbv"],
    }.get(verb, [])  # fmt: skip
    code = 1 if verb in ("show", "export") else 0
    shown = cli(verb, *arguments, "--cache-dir", root, code=code, **unladen)
    said = shown.stdout if verb == "doctor" else shown.stderr
    assert "malformed (file is not a database); it was moved aside and a new one begun" in " ".join(said.split())
    again = cli(verb, *arguments, "--cache-dir", root, code=code, **unladen)
    assert "malformed" not in again.stdout + again.stderr


def in_a_terminal(environment: dict[str, str], columns: int, *arguments: str) -> str:
    """What a terminal of this width is sent; nothing but the terminal itself says how wide it is."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    running = subprocess.Popen(
        [str(COMMAND), *arguments], env={**kept, "TERM": "xterm-256color"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 4096):
            shown += more
    except OSError:  # Linux ends a terminal so
        pass
    os.close(ours)
    assert running.wait(60) == 0
    return shown.decode()


def test_a_terminal_gets_what_fits_it(environment: dict[str, str], root: Path) -> None:
    def lines(verb: str, columns: int) -> list[str]:
        shown = STYLE.sub("", in_a_terminal(environment, columns, verb, "--cache-dir", str(root))).splitlines()
        # A folder is not broken up, so that it can be copied.
        assert max(len(line) for line in shown if line != str(root)) <= columns
        return shown

    narrow, wide = (next(line for line in lines("ls", columns) if "Änna.wav" in line) for columns in (80, 140))
    assert (narrow[0], wide[0]) == ("…", "/")
    assert LONG in wide
    assert len(lines("stats", 80)) == len(lines("stats", 140)) > 5


def test_bold_is_the_only_style_so_that_every_background_will_do(environment: dict[str, str], root: Path) -> None:
    for arguments in (("ls",), ("stats",), ("show", digest(ANNA))):
        shown = in_a_terminal(environment, 80, *arguments, "--cache-dir", str(root))
        assert {*STYLE.findall(shown)} == {"1", "0"}


QUESTION = """
import os, pty, sys
answer = sys.argv[1].encode().decode("unicode_escape").encode()
child, terminal = pty.fork()
if not child:
    os.execv(sys.argv[2], sys.argv[2:])
shown, asked = b"", False
try:
    while more := os.read(terminal, 1000):
        shown += more
        if not asked and b"[y/N]" in shown:  # which may come in two pieces
            asked = True
            os.write(terminal, answer)
except OSError:
    pass
print(shown.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\\r", 0, 0), ("n\\r", 1, 1), ("\\r", 1, 1), ("\\x03", 130, 1), ("\\x04", 130, 1)]
)
def test_clear_does_what_the_answer_says(
    start: Start, write: Write, cli: Cli, root: Path, answer: str, code: int, left: int
) -> None:
    write("question.py", QUESTION)
    shown = start([sys.executable, "question.py", answer, str(COMMAND), "clear", "--cache-dir", str(root)])
    assert "Remove 2 entries" in shown.stdout, shown
    assert shown.stdout.split()[-1] == str(code)
    assert ("Nothing was removed." in shown.stdout) == bool(left)
    assert "Aborted" not in shown.stdout
    assert len(json.loads(cli("ls", "--json", "--cache-dir", root).stdout)["voices"]) == left
