"""``python -m benchmarks.gpu [SUBJECT ...]``: measure on one GPU, and write what was measured. See ``--help``."""

from __future__ import annotations

import os

# Read when they are loaded.
os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1")

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

from .section import section, with_section
from .stand import FULL, KINDS, SMALL, Stand
from .subjects import SUBJECTS


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 where a subject failed."""
    asked = _arguments(arguments)
    if asked.report:
        _write(json.loads(asked.report.read_text()), asked.out, asked.docs)
        return 0
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        stand = Stand(asked.device, SMALL if asked.small else FULL, Path(folder))
        if asked.digests:
            from .sameness import write_digests

            write_digests(stand, asked.kinds, asked.digests)
            return 0
        from .measuring import measure

        asked.out.mkdir(parents=True, exist_ok=True)
        result = measure(stand, asked.kinds, asked.subjects or list(SUBJECTS), asked.seconds, asked.out / "gpu.json")
    _write(result, asked.out, asked.docs)
    return int(any("error" in found for by_kind in result["subjects"].values() for found in by_kind.values()))


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure the cache on a GPU.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of: {', '.join(SUBJECTS)}; all by default")
    parser.add_argument("--device", default="cuda", help="as PyTorch names it (cuda)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of models (all three)")
    parser.add_argument("--small", action="store_true", help="small sizes: shows that it runs, and no more")
    parser.add_argument("--seconds", type=float, default=360, help="begin nothing that would end later than this (360)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where to write (build/bench)")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="also write the section of this page, and the plots beside it"
    )
    parser.add_argument("--report", type=Path, metavar="JSON", help="measure nothing, only write up this result")
    parser.add_argument("--digests", type=Path, metavar="JSON", help=argparse.SUPPRESS)  # what a second process does
    asked = parser.parse_args(arguments)
    if unknown := set(asked.subjects) - set(SUBJECTS):
        parser.error(f"there is no subject {', '.join(sorted(unknown))}; the subjects are: {', '.join(SUBJECTS)}")
    return asked


def _write(result: dict[str, object], out: Path, docs: Path | None) -> None:
    text = section(result)
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.md").write_text(text)
    if docs is not None:
        docs.write_text(with_section(docs.read_text(), text))
        from ..plots import renew

        renew(docs.parent / "plots", gpu=result)


if __name__ == "__main__":
    sys.exit(main())
