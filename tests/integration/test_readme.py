"""Every Python block of the README runs as printed, one after the other, and none of them draws a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from chatterbox_cached.demo import rehearsal

ROOT = Path(__file__).parents[2]

RUN = """
import re, sys, warnings
from pathlib import Path
from chatterbox_cached import CacheWarning, ExaggerationMismatchWarning
from chatterbox_cached.demo import rehearsal, shortening

shortening.shorten()
for ours in (CacheWarning, ExaggerationMismatchWarning):
    warnings.simplefilter("error", ours)
blocks = re.findall(r"```python\\n(.*?)```", Path(sys.argv[1]).read_text(encoding="utf-8"), re.DOTALL)
names = {}
for number, block in enumerate(blocks, 1):
    exec(compile(block, f"block {number} of the README", "exec"), names)
print("blocks:", len(blocks))
"""


def test_every_python_block_runs_as_printed(hub: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("voice", "narrator", "anna", "ben")):
        rehearsal.reference_clip(tmp_path / f"{name}.wav", seconds=3, seed=seed)
    own = {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT / "README.md")],
        cwd=tmp_path,
        env=os.environ | own,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout.splitlines()[-1].removeprefix("blocks: ")) >= 8
