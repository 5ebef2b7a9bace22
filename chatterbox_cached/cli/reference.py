"""The page of the command line, docs/command-line.md, made from the real help by ``make docs``."""

from __future__ import annotations

import os
import subprocess
import sys

from .app import VERBS

_INTRODUCTION = """\
# The command line

This page is made from `--help`, by `make docs`.

Exit codes:

| Code | Meaning |
|---|---|
| 0 | Done. |
| 1 | It could not be done, or not all of it, or something was found amiss. An error is one line on stderr. |
| 2 | Wrong usage, in one line too. |
| 130 | Interrupted with Ctrl-C. |

`run` ends with the exit code of the program that it ran. `python -m chatterbox_cached` is the same command.
"""


def page() -> str:
    """The page in Markdown, from the help of the command and of each verb at 80 columns."""
    parts = [_INTRODUCTION, "## chatterbox-cached\n", _help()]
    for verb in VERBS:
        parts += [f"## {verb}\n", _help(verb)]
    return "\n".join(parts)


def _help(*verb: str) -> str:
    shown = subprocess.run(
        [sys.executable, "-m", "chatterbox_cached", *verb, "--help"],
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        encoding="utf-8",
    ).stdout
    return "\n".join(["```", *(line.rstrip() for line in shown.strip().splitlines()), "```", ""])


if __name__ == "__main__":
    print(page(), end="")
