"""Small programs that bring or use Chatterbox in ways of their own: what is expected of each, and what is seen.

They run unchanged under ``chatterbox-cached run``, in two processes that prepare the same voice three times each.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from chatterbox_cached.demo.rehearsal import reference_clip
from tests.matrix import copies
from tests.matrix.processes import Failed, Processes
from tests.matrix.rows import Job, Row

_PROGRAMS = Path(__file__).with_name("programs")

ALWAYS = "from the second run on, and in later processes"
WITHIN = "from the second run on, in each process anew"
NEVER = "none"

_NO_VOICE = "no voice was asked for"


class Program(NamedTuple):
    """One of them. ``bring`` makes its copy, as a package in a folder that is on ``sys.path``.

    ``hits`` and ``says`` are what is expected: when the cache has hits, and what ``run --stats`` says beside them.
    """

    what: str
    arguments: tuple[str, ...]
    hits: str
    says: str = ""
    bring: Callable[[Path, str], None] | None = None


# What is expected today. {package} and {folder}: what ``bring`` has brought, and where.
PROGRAMS = (
    Program(
        "A copy under a package of the program's own",
        ("speaks.py", "{package}"), ALWAYS, bring=copies.copied,
    ),
    Program(
        "A copy whose class has another name",
        ("speaks.py", "{package}", "SpeechEngine"), NEVER, _NO_VOICE,
        functools.partial(copies.copied, edits=copies.ANOTHER_CLASS),
    ),
    Program(
        "A copy whose preparation returns the conditionals, and whose `generate` takes them",
        ("returns.py", "{package}"), NEVER, "bypasses: preparation returns what can't be told",
        functools.partial(copies.copied, edits=copies.RETURNS),
    ),
    Program(
        "A node that a host loads by its path and runs in `torch.inference_mode()`, each time with a new float WAV",
        ("host.py", "{folder}/{package}"), ALWAYS, bring=copies.node,
    ),
    Program(
        "Preparation in code and a class of its own, which calls the encoders",
        ("own_preparation.py",), NEVER, _NO_VOICE,
    ),
    Program(
        "`VoiceEncoder.forward` replaced on the class",
        ("patches.py", "class-forward"), ALWAYS,
    ),
    Program(
        "`forward` replaced on one voice encoder",
        ("patches.py", "instance-forward"), WITHIN, "not stored: kept in this process only",
    ),
    Program(
        "`prepare_conditionals` replaced on the class",
        ("patches.py", "class-prepare"), ALWAYS,
    ),
    Program(
        "`prepare_conditionals` replaced on one model",
        ("patches.py", "instance-prepare"), ALWAYS,
    ),
    Program(
        "Voice conversion with `ChatterboxVC`",
        ("converts.py",), NEVER, _NO_VOICE,
    ),
)  # fmt: skip


def of_programs() -> list[Job]:
    return [Job("programs", each.what, [_expected(each)], functools.partial(_seen, each)) for each in PROGRAMS]


def _expected(program: Program) -> Row:
    return Row((program.what,), {"bits": "equal", "hits": program.hits, "says": program.says})


def _seen(program: Program, scratch: Path) -> list[Row]:
    """Run it once without the cache, and in two processes with it."""
    folder, package = scratch / "copies", f"studio_{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    if program.bring is not None:
        program.bring(folder, package)
    processes = Processes([folder], scratch)
    script, *rest = (each.format(package=package, folder=folder) for each in program.arguments)
    arguments = [_PROGRAMS / script, *rest, reference_clip(scratch / "voice.wav", seconds=6)]
    try:
        plain = _made(processes.python(*arguments).stdout)
        runs = [_cached(processes, arguments) for _ in range(2)]
    except Failed as error:
        return [Row((program.what,), {"bits": str(error)})]
    bits = "equal" if all(made == plain for made, _ in runs) else "not upstream's"
    figures = [each for _, each in runs]
    return [Row((program.what,), {"bits": bits, "hits": _hits(*figures), "says": _says(*figures)})]


def _cached(processes: Processes, arguments: list[Any]) -> tuple[list[str], dict[str, Any]]:
    run = ("-m", "chatterbox_cached", "run", "--json", "--cache-dir", processes.scratch / "voices")
    done = processes.python(*run, *arguments)
    return _made(done.stdout), json.loads(done.stderr.strip().splitlines()[-1])


def _made(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("made ")]


def _hits(first: dict[str, Any], second: dict[str, Any]) -> str:
    hits, later = (sum(each["hits"].values()) for each in (first, second))
    calls, later_calls = _calls(first), _calls(second)
    if not hits and not later:
        return NEVER
    if 0 < hits < calls and later == later_calls:
        return ALWAYS
    if 0 < hits < calls and (hits, calls) == (later, later_calls):
        return WITHIN
    return f"{hits} of {calls}, then {later} of {later_calls}"


def _calls(figures: dict[str, Any]) -> int:
    return int(figures["misses"]) + sum(sum(figures[each].values()) for each in ("hits", "bypasses"))


def _says(*figures: dict[str, Any]) -> str:
    """What went otherwise, as ``run --stats`` has it."""
    if not any(map(_calls, figures)):
        return _NO_VOICE
    kinds = ("bypasses", "not_stored", "errors")
    said = {f"{kind.replace('_', ' ')}: {name}": None for each in figures for kind in kinds for name in each[kind]}
    return ", ".join(said)
