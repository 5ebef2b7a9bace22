"""``python -m benchmarks [PART ...]``: measure, and write what was measured. ``--help`` lists the parts."""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", TQDM_DISABLE="1")  # read when they are loaded

import argparse
import datetime
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any


def main() -> int:
    asked = _arguments()
    if asked.report:
        from . import report

        report.write(json.loads(asked.report.read_text()), asked.out, asked.docs)
        return 0
    result = _measured(asked)
    if asked.quick:
        from . import compare

        if asked.store:
            compare.store(result, compare.REFERENCE)
            return 0
        return compare.compare(result, json.loads(compare.REFERENCE.read_text()))
    from . import report

    report.write(result, asked.out, asked.docs)
    return 0


def _arguments() -> argparse.Namespace:
    from .parts import PARTS

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what a voice costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="of: " + ", ".join(PARTS) + "; all of them by default")
    parser.add_argument("--quick", action="store_true", help="few parts, few rounds; compare with the stored ratios")
    parser.add_argument("--store", action="store_true", help="with --quick: store the ratios instead")
    parser.add_argument("--keep", action="store_true", help="keep the other parts of the last run")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where to write (build/bench)")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="also write the page of figures to FILE, and plots beside it"
    )
    parser.add_argument("--report", type=Path, metavar="JSON", help="measure nothing, only write up this result")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are: {', '.join(PARTS)}")
    return asked


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    from . import machine, stage
    from .parts import PARTS, QUICK

    warnings.simplefilter("ignore")
    names = asked.parts or (QUICK if asked.quick else list(PARTS))
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": " ".join(["make bench-quick" if asked.quick else "make bench", *asked.parts]),
        "seconds": 0,
        "machine": machine.describe(),
        "parts": {},
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / ("quick.json" if asked.quick else "result.json")
    if asked.keep and file.exists():
        before = json.loads(file.read_text())
        result |= {name: before[name] for name in ("parts", "seconds")}
        result["command"] = f"{before['command']}` and of `{result['command']}"
    begun, before_seconds = time.monotonic(), result["seconds"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _say("loading chatterbox and building a model", begun)
        ready = stage.build(Path(folder), quick=asked.quick)
        for name in names:
            _say(name, begun)
            result["parts"][name] = PARTS[name](ready)
            result["seconds"] = before_seconds + round(time.monotonic() - begun)
            file.write_text(json.dumps(result, indent=1) + "\n")  # now, since a later part may be stopped
    _say("done", begun)
    return result


def _say(what: str, begun: float) -> None:
    print(f"{time.monotonic() - begun:6.0f} s  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
