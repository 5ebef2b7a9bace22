"""What importing the package and enable() load, and what they leave for when there is something to patch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LATE = ("torch", "chatterbox", "wrapt", "logging", "inspect", "importlib.metadata", "sqlite3", "diskcache", "asyncio")


def loaded(code: str, tmp_path: Path, **environment: str) -> list[str]:
    """Which of the modules above a new Python has loaded after this code."""
    tail = f"\nimport sys, json; print(json.dumps([name for name in {LATE} if name in sys.modules]))"
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment}
    done = subprocess.run([sys.executable, "-c", code + tail], env=own, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("use", ["", "chatterbox_cached.enable()", "chatterbox_cached.enable().settings"])
def test_import_and_enable_load_nothing_that_only_a_call_needs(use: str, tmp_path: Path) -> None:
    assert loaded(f"import chatterbox_cached\n{use}", tmp_path) == []


def test_disable_loads_nothing_where_nothing_was_patched(tmp_path: Path) -> None:
    code = "import chatterbox_cached as cc\ncc.enable()\ncc.disable()\nassert not cc.is_enabled()"
    assert loaded(code, tmp_path) == []


def test_every_public_name_is_there_and_listed(tmp_path: Path) -> None:
    code = """
import chatterbox_cached
assert set(chatterbox_cached.__all__) <= set(dir(chatterbox_cached))
for name in chatterbox_cached.__all__:
    assert getattr(getattr(chatterbox_cached, name), "__name__", name) == name
from chatterbox_cached import *
assert ConditionalCache is chatterbox_cached.ConditionalCache
try:
    chatterbox_cached.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError
"""
    assert "wrapt" in loaded(code, tmp_path)


DROPPED = """
import sys
import chatterbox_cached as cc
from chatterbox_cached.demo import rehearsal
cc.enable()
import chatterbox.tts as first

def drop_all_that_has_the_name():
    for name in [name for name in sys.modules if "chatterbox" in name]:
        del sys.modules[name]

drop_all_that_has_the_name()
from chatterbox.tts import ChatterboxTTS
import chatterbox_cached
assert ChatterboxTTS is not first.ChatterboxTTS
assert chatterbox_cached is cc and chatterbox_cached.__spec__.origin == cc.__file__
model = rehearsal.english()
assert type(model) is ChatterboxTTS
voice = rehearsal.reference_clip("voice.wav", 1)
for _ in range(2):
    model.prepare_conditionals(voice)
stats = chatterbox_cached.stats()
assert (stats["misses"], stats["memory_hits"], stats["bypasses"]) == (1, 1, {}), stats
drop_all_that_has_the_name()
cc.disable()
for kind in (ChatterboxTTS, first.ChatterboxTTS):
    assert not hasattr(kind.prepare_conditionals, "is_chatterbox_cached")
"""


@pytest.mark.parametrize("environment", [{}, {"CHATTERBOX_CACHED": "1"}])
def test_a_program_that_drops_every_module_with_chatterbox_in_its_name_is_cached(
    environment: dict[str, str], tmp_path: Path
) -> None:
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], cwd=tmp_path, env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


TWO = """
import sys
from chatterbox_cached.patching import import_hook
seen = []
import_hook.after_import("colorsys", lambda module: seen.append("one"))
del sys.modules[import_hook.__name__]
from importlib.util import module_from_spec
other = module_from_spec(import_hook.__spec__)
import_hook.__spec__.loader.exec_module(other)
other.after_import("colorsys", lambda module: seen.append("other"))
import colorsys
assert seen == ["one", "other"], seen
"""


def test_two_of_the_packages_import_hooks_do_not_ask_each_other_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
