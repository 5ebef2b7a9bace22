"""Files of Chatterbox that are edited under the same version: a new process hears it, or finds what is kept."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import REPOSITORY
from tests.support.preloaded import Preloaded

PROGRAM = """
import json, sys
import torch
from tests.support import short_models
import chatterbox, chatterbox_cached
model = short_models.english()
cache = chatterbox_cached.enable(sys.argv[2])
model.prepare_conditionals(sys.argv[1])
got = model.conds
with chatterbox_cached.disabled():
    model.prepare_conditionals(sys.argv[1])
own = [torch.equal(got.gen[name], model.conds.gen[name]) for name in ("prompt_token", "prompt_feat", "embedding")]
stats = cache.get_cache_stats()
print(json.dumps([all(own), stats["disk_hits"], stats["misses"], chatterbox.__file__]))
"""
SCALED = "s3gen_ref_wav = 0.5 * s3gen_ref_wav[:self.DEC_COND_LEN]"
# By what is edited: the file, what stands there, and what stands there instead.
RUN = {
    "the 24 kHz clip is half as loud": ("tts.py", "s3gen_ref_wav = s3gen_ref_wav[:self.DEC_COND_LEN]", SCALED),
    "a number deep in the mel spectrogram": ("models/s3gen/utils/mel.py", "torch.clamp(x, min=clip_val)", "x"),
}
NOT_RUN = {
    "generate": ("tts.py", "if len(text) == 0:", "if len(text) == 1:"),
    "a comment": ("tts.py", "class ChatterboxTTS:", "# the model\nclass ChatterboxTTS:"),
    "a new file": ("more.py", "", "x = 1\n"),
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The installed package under its version, in a folder that comes before it."""
    spec = importlib.util.find_spec("chatterbox")
    assert spec is not None
    assert spec.origin is not None
    installed, site = Path(spec.origin).parent, tmp_path / "site"
    shutil.copytree(installed, site / "chatterbox", ignore=shutil.ignore_patterns("__pycache__"))
    for info in installed.parent.glob("chatterbox_tts-*.dist-info"):
        shutil.copytree(info, site / info.name)
    return site


@pytest.fixture
def run(preloaded_chatterbox: Preloaded, copied: Path, voice: Path, tmp_path: Path) -> Any:
    def once() -> tuple[bool, int, int]:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM)
        path = os.pathsep.join(map(str, (copied, REPOSITORY)))
        arguments = ["python", program, voice, tmp_path / "voices"]
        done = preloaded_chatterbox.run(arguments, env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        own, hits, misses, file = json.loads(done.stdout.splitlines()[-1])
        assert Path(file).is_relative_to(copied)
        return own, hits, misses

    return once


def edit(site: Path, name: str, before: str, after: str) -> None:
    file = site / "chatterbox" / name
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    assert before in text, "upstream's code has changed: this edits nothing"
    file.write_text(text.replace(before, after) if before else after, encoding="utf-8")


def test_an_edited_file_is_heard_and_another_edit_is_no_reason_to_prepare_again(run: Any, copied: Path) -> None:
    assert run() == (True, 0, 1)
    for place in NOT_RUN.values():
        edit(copied, *place)
    assert run() == (True, 1, 0)
    for place in RUN.values():
        edit(copied, *place)
        assert run() == (True, 0, 1)
