"""The classes of each distribution, and of what another Python has installed: what is expected, and what is seen."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chatterbox_cached.upstream.families import FAMILIES, named
from tests.matrix.distributions import DISTRIBUTIONS, INSTALLED, MAIN_ITSELF, Distribution, laid_out
from tests.matrix.processes import Failed, Processes
from tests.matrix.rows import Job, Row

EQUAL = "equal"
BY_ENCODERS = f"{EQUAL}, by the encoders' calls"
_BESIDE = ("torch", "numpy", "transformers")
_VERSIONS = f"import platform, importlib.metadata as m; print(platform.python_version(), *map(m.version, {_BESIDE}))"
_PATCHED = "found, and patched by enable()"
_ITS_OWN, _NONE_KEPT = "its own", "none kept"


def by_upstream(why: str) -> str:
    """The same bits, since upstream has prepared where a hit was to be."""
    return f"{EQUAL}, by upstream: {why}"


_FAILS = dict.fromkeys(("memory hit", "disk hit", "guard"), "-")

# The loudness makes the samples float64 there.
_WITH_NUMPY_2 = _FAILS | {
    "miss": "upstream fails, with the cache as without it: RuntimeError: expected scalar type Double but found Float"
}
# What is expected of these, where it is another than of all others.
OTHERWISE = {
    ("Python 3.13", "turbo"): _WITH_NUMPY_2,
    ("Main on Python 3.13", "turbo"): _WITH_NUMPY_2,
    ("Main on Python 3.14", "turbo"): _WITH_NUMPY_2,
    # Its preparation empties PyTorch's caches as well.
    ("chatterbox-mlx 1.0.6", "multilingual"): dict.fromkeys(("memory hit", "disk hit"), BY_ENCODERS),
}


# Of a distribution whose other classes have entries of their own.
_ENTRIES_OTHERWISE = {("tts-webui-chatterbox-tts 0.4.4", "vc"): "chatterbox-tts 0.1.3"}


def of_versions(cache: Path, uv: str) -> tuple[list[Job], bool]:
    """A job for each distribution that can be had, and whether that is all of them."""
    folders = {each: laid_out(each, cache, uv) for each in DISTRIBUTIONS}
    missing = [each.title for each, its in folders.items() if not its and each.version != "main"]
    if missing:
        raise SystemExit(f"Not to be had here: {', '.join(missing)}")
    return [_job(each, its) for each, its in folders.items() if its], all(folders.values())


def _job(distribution: Distribution, folders: list[Path]) -> Job:
    title = distribution.title
    see = functools.partial(_seen, title, folders, sys.executable)
    return Job("versions", title, expected(title, distribution), see)


def of_python(python: str) -> Job:
    """A job for what this Python has installed, which is the newest release."""
    return _of_environment("pythons", "Python {}", python, INSTALLED)


def of_main(python: str) -> Job:
    """A job for what this Python has installed, which is newest main with the newest that it can run with."""
    return _of_environment("main", "Main on Python {}", python, MAIN_ITSELF)


def _of_environment(table: str, called: str, python: str, distribution: Distribution) -> Job:
    said = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True).stdout
    version, *beside = said.split()
    title = called.format(version.rpartition(".")[0])
    installed = ", ".join(map(" ".join, zip(_BESIDE, beside, strict=True)))

    def see(scratch: Path) -> list[Row]:
        rows = _seen(title, [], python, scratch)
        return [row._replace(cells={**row.cells, "with": installed}) for row in rows]

    return Job(table, title, expected(title, distribution), see)


def expected(title: str, distribution: Distribution) -> list[Row]:
    """A row for each class of it that is cached."""
    families = [family.name for family in FAMILIES if family.name in distribution.families]
    return [Row((title, name), _expected_cells(title, distribution, name)) for name in families]


def _expected_cells(title: str, distribution: Distribution, family: str) -> dict[str, str]:
    version = distribution.calls_itself or distribution.version
    fork = "" if distribution.name == "chatterbox-tts" else " (a fork, or a tree of sources)"
    return {
        **dict.fromkeys(("miss", "memory hit", "disk hit"), EQUAL),
        "guard": "warns" if named(family).hears_exaggeration else "silent",
        "doctor": f"{distribution.name} {version}{fork}",
        **OTHERWISE.get((title, family), {}),
    }


def with_entries(seen: list[Row], expected: list[Row]) -> tuple[list[Row], list[Row]]:
    """Both with a cell that says whose entries a distribution's are, too: those of the first that has the same."""
    as_in = {each.title: each.entries_as for each in DISTRIBUTIONS}
    first: dict[tuple[str, ...], str] = {}
    now = []
    for row in seen:
        title = first.setdefault((row.of[1], *row.keys), row.of[0])
        now.append(_with_entries(row, title if row.keys else _NONE_KEPT))
    whose = {row.of: _ENTRIES_OTHERWISE.get(row.of, as_in.get(row.of[0])) for row in expected}
    return now, [row if (own := whose[row.of]) is None else _with_entries(row, own) for row in expected]


def _with_entries(row: Row, whose: str) -> Row:
    return row._replace(cells={**row.cells, "entries": _ITS_OWN if whose in ("", row.of[0]) else whose})


def _seen(title: str, folders: list[Path], python: str, scratch: Path) -> list[Row]:
    """Run the classes that are found there in two processes, and ``doctor`` in a third."""
    processes = Processes(folders, scratch, python)
    try:
        first, again = _classes(processes, "first"), _classes(processes, "again")
        said = _doctor(processes)
    except Failed as error:
        return [Row((title, family.name), {"miss": str(error)}) for family in FAMILIES]
    return [
        Row((title, name), _cells(first[name], again[name], said[name]), tuple(sorted(first[name].get("keys", ()))))
        for name in (family.name for family in FAMILIES)
        if first[name] is not None
    ]


def _classes(processes: Processes, step: str) -> dict[str, Any]:
    report = processes.scratch / f"{step}.json"
    processes.python("-m", "tests.matrix.classes", step, processes.scratch, report)
    return dict(json.loads(report.read_text()))


def _doctor(processes: Processes) -> dict[str, str]:
    """Which Chatterbox it finds, and of each family what else it says than that it is patched."""
    done = processes.python("-m", "chatterbox_cached", "doctor", "--json", wanted=(0, 1))
    diagnosis = json.loads(done.stdout)
    found = {finding["what"]: finding["found"] for finding in diagnosis["findings"]}
    to_do = [finding["advice"] for finding in diagnosis["findings"] if finding["advice"]]
    said = {family.name: [*to_do, found[family.class_name]] for family in FAMILIES}
    return {
        name: ": ".join([found["Chatterbox"], *(word for word in each if word != _PATCHED)])
        for name, each in said.items()
    }


def _cells(first: dict[str, Any], again: dict[str, Any], doctor: str) -> dict[str, str]:
    if broken := first.get("error") or again.get("error"):
        return {"miss": broken, **_FAILS, "doctor": doctor}
    conditionals, *_, spoken = first["upstream"]
    return {
        "miss": _cell(first["miss"], {conditionals}, {"misses": 1}),
        "memory hit": _cell(first["memory"], {conditionals, spoken}, {"memory_hits": 2}),
        "disk hit": _cell(again["disk"], {conditionals, spoken}, {"disk_hits": 1, "memory_hits": 2}),
        "guard": first["guard"],
        "doctor": doctor,
    }


def _cell(seen: dict[str, Any], made: set[str], counted: dict[str, int]) -> str:
    if {seen["made"][0], seen["made"][-1]} != made:
        return "not upstream's"
    if seen["counted"] != counted:
        return by_upstream(", ".join(seen["why"]))
    hits = sum(number for name, number in counted.items() if name != "misses")
    return EQUAL if seen["whole"] == hits else BY_ENCODERS
