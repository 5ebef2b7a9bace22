"""The page of the command line, docs/command-line.md, made from the real help by ``make docs``."""

from __future__ import annotations

import os
import subprocess
import sys

from .app import VERBS, load

_INTRODUCTION = """\
# The command line

| Command | What it does |
|---|---|
| `chatterbox-cached ls` | A row per voice: name, length, models, age, hits, seconds saved |
| `chatterbox-cached stats` | What all processes that used this folder did |
| `chatterbox-cached report -o report.html` | The same as a page, for a mail ([As a page](statistics.md#as-a-page)) |
| `chatterbox-cached show narrator.wav` | Everything that is kept of one voice |
| `chatterbox-cached warm voices/ --model multilingual` | Prepare before it is needed; `--jobs 4` by four processes |
| `chatterbox-cached warm voices/ --into /opt/voices` | Fill a folder that becomes a part of an image |
| `chatterbox-cached verify voices/` | Still what the model makes of them? |
| `chatterbox-cached voices add narrator.wav` | A [name](named-voices.md): programs speak with `voice:narrator` |
| `chatterbox-cached rm narrator.wav` | Drop one voice; `clear` drops all |
| `chatterbox-cached rm --everywhere narrator.wav` | On all machines ([A fleet](fleet.md#on-the-command-line)) |
| `chatterbox-cached prune --to 500MB --older-than 90d` | Make room |
| `chatterbox-cached check` | Look through the folder, and repair it |
| `chatterbox-cached export --all -o voices.cbv` | To another machine, without the audio |
| `chatterbox-cached import voices.cbv` | Says for which models each voice is a hit |
| `chatterbox-cached keys --to private.env` | A pair of keys: one signs entries, the other only checks them |
| `chatterbox-cached doctor` | "ready", or what to do |

For `run`, see [Programs as they are](running.md); for `export` and `import`, [Voice bundles](voice-bundles.md).

Every verb that prints figures takes `--json`. An error, of usage too, is one line on stderr. In a terminal, bold is the
only style. `chatterbox-cached --install-completion` sets up your shell.

This page is made from `--help`, by `make docs`.

## Exit codes

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
        for inner in getattr(load(verb), "commands", ()):  # of a verb with verbs of its own
            parts += [f"### {verb} {inner}\n", _help(verb, inner)]
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
