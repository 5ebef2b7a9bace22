"""``python -m tests.matrix [WORD]``: lay everything out, run it, say what is otherwise than expected, write the page.

With WORD only what has it in its title. Of the page, the tables are written that were run as a whole.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.matrix import class_jobs, page, program_jobs
from tests.matrix.rows import Job, Row, amiss
from tests.support.commands import REPOSITORY

_AT_A_TIME = 2  # each is a process with a model and one thread


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description="Run every published Chatterbox.")
    parser.add_argument("word", nargs="?", default="", help="run only what has this in its title")
    parser.add_argument("--uv", default="uv", help="the uv to lay distributions out with")
    own = {"type": os.path.abspath, "action": "append", "default": []}  # not resolved: it may be an environment's link
    parser.add_argument("--python", **own, help="run what this Python has installed, too")
    parser.add_argument("--main", **own, help="run newest main, which this Python has installed, too")
    asked = parser.parse_args()
    begun = time.monotonic()
    versions, all_here = class_jobs.of_versions(REPOSITORY / "build" / "matrix", asked.uv)
    every = [*versions, *program_jobs.of_programs()]
    every += [*map(class_jobs.of_python, asked.python), *map(class_jobs.of_main, asked.main)]
    jobs = [job for job in every if asked.word in job.title]
    whole = {job.table for job in every} - {job.table for job in every if job not in jobs}

    tables = _run(jobs, begun)
    expected = [row for job in jobs for row in job.expected]
    if "versions" in whole:
        tables["versions"], expected = class_jobs.with_entries(tables["versions"], expected)
    wrong = [f"NOT AS EXPECTED: {line}" for line in amiss(expected, (row for rows in tables.values() for row in rows))]
    print(*wrong, f"{len(jobs)} jobs in {time.monotonic() - begun:.0f} s, {len(wrong)} not as expected", sep="\n")
    if not wrong:
        page.write({table: tables[table] for table in whole if all_here or table != "versions"})
    return bool(wrong)


def _run(jobs: Sequence[Job], begun: float) -> dict[str, list[Row]]:
    """The rows that were seen, by the table that they are of."""
    tables: dict[str, list[Row]] = {job.table: [] for job in jobs}
    with tempfile.TemporaryDirectory(prefix="matrix-") as scratch, ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(functools.partial(_seen, Path(scratch), begun), jobs)
        for job, rows in zip(jobs, found, strict=True):
            tables[job.table] += rows
    return tables


def _seen(scratch: Path, begun: float, job: Job) -> list[Row]:
    rows = job.see(Path(tempfile.mkdtemp(dir=scratch)))
    print(f"{time.monotonic() - begun:5.0f} s  {job.title}", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
