"""What a voice takes: memory, as the process's resident size over many voices, and bytes on disk."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import Any

from .. import ways
from ..stage import Stage, in_child

_WARM_UP = 5


def room(stage: Stage) -> dict[str, Any]:
    """Megabytes per voice. The live ones are measured over fewer voices, since each holds some 290 MB."""
    voices = {ways.Enabled: stage.times(50, 5), ways.LiveDict: 5, ways.PtFiles: 5}
    return {"unit": "MB", **{kind.name: in_child(_room, stage, kind, count) for kind, count in voices.items()}}


def _room(stage: Stage, kind: Any, count: int) -> dict[str, float]:
    way = kind(stage.model, stage.new_folder())
    with way.on():
        for seed in range(_WARM_UP):
            way.prepare(str(stage.clip("room", 1000 + seed)))
        before = resident()
        for seed in range(count):
            way.prepare(str(stage.clip("room", 2000 + seed)))
        kept = resident() - before
    sizes = [file.stat().st_size for file in Path(way.folder).rglob("*") if file.suffix in (".val", ".pt")]
    figures = {"memory": kept / count / 1e6, "voices": count}
    if sizes:
        whole = sum(file.stat().st_size for file in Path(way.folder).rglob("*") if file.is_file())
        figures |= {"file": sum(sizes) / len(sizes) / 1e6, "disk": whole / len(sizes) / 1e6}
    return figures


def resident() -> int:
    """Bytes of this process in memory, after everything that can be given back was (Linux with glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
