"""Every Python block of the README and of docs/ runs as printed, prints what it says, and draws no warning of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from chatterbox_cached.demo import rehearsal
from tests.support.commands import REPOSITORY
from tests.support.preloaded import Preloaded

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]

# One process for all pages, in which each published model is loaded once: loading is what takes long. A page begins
# with what docs/index.md promises, the README with nothing.
RUN = """
import functools, importlib, re, sys, warnings
from pathlib import Path
import chatterbox_cached
from chatterbox_cached import CacheWarning, ExaggerationMismatchWarning
from chatterbox_cached.upstream.families import FAMILIES

for ours in (CacheWarning, ExaggerationMismatchWarning):
    warnings.simplefilter("error", ours)
for family in FAMILIES:
    upstream = getattr(importlib.import_module(family.module), family.class_name)
    upstream.from_pretrained = staticmethod(functools.cache(upstream.from_pretrained))

def run(page, names):
    blocks = re.findall(r"^```python\\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"block {number} of {page.name}", "exec"), names)
        for shown, said in re.findall(r"^print\\((.*)\\)  # (.*)$", block, re.MULTILINE):
            assert str(eval(shown, names)) == said, f"{page.name} says that {shown} is {said}"
    return len(blocks)

readme, *pages = map(Path, sys.argv[1:])
ran = run(readme, {})
from chatterbox.tts import ChatterboxTTS
for page in pages:
    chatterbox_cached.disable()
    chatterbox_cached.enable()
    model = ChatterboxTTS.from_pretrained(device="cpu")
    ran += run(page, {"chatterbox_cached": chatterbox_cached, "model": model})
print("blocks:", ran)
"""


def test_every_python_block_runs_as_printed(
    preloaded_chatterbox: Preloaded, hub_environment: dict[str, str], tmp_path: Path
) -> None:
    for seed, name in enumerate(("voice", "narrator", "anna", "ben")):
        rehearsal.reference_clip(tmp_path / f"{name}.wav", seconds=2, seed=seed)
    program = [sys.executable, "-c", RUN, *map(str, PAGES)]
    run = preloaded_chatterbox.run(program, cwd=tmp_path, env=os.environ | hub_environment, seconds=300)
    assert run.returncode == 0, run.stderr[-3000:]
    printed = sum(page.read_text(encoding="utf-8").count("\n```python\n") for page in PAGES)
    assert run.stdout.splitlines()[-1] == f"blocks: {printed}"
    assert printed >= 11


def test_the_commands_from_one_file_to_a_voice_that_another_program_speaks_with(
    hub_environment: dict[str, str], tmp_path: Path
) -> None:
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Voices by name\n")[2]
    install, *commands = section.split("```")[1].strip().splitlines()
    assert install.startswith("pip install ")
    assert len(commands) == 4
    rehearsal.reference_clip(tmp_path / "narrator.wav", seconds=2, seed=0)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        ran = subprocess.run(
            ["sh", "-ec", command], cwd=tmp_path, env={**os.environ, **hub_environment, "PATH": path},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-3000:]
    assert re.search(r"misses +1\b", ran.stderr), ran.stderr[-2000:]
    assert (tmp_path / "data" / "chatterbox-cached" / "voices" / "voices.db").exists()
