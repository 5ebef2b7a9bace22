"""A copy of Chatterbox under any name, whatever was edited in its preparation: it gains, with its own bits."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import keyword
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chatterbox
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from tests.support import shallow
from tests.support.edits import edited, edits_of

_UPSTREAM = Path(str(chatterbox.__file__)).parent
_ROOT = "nodes_x_voices_local"
_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
_CLASSES = st.from_regex(r"[A-Z][A-Za-z0-9]{0,12}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
_LAST = "        self.conds = Conditionals(t3_cond, s3gen_ref_dict)"
_numbers = itertools.count()
# Statements that a program may have at the end of its preparation.
_MORE = (
    "self.last_voice = wav_fpath",
    "self.voices[str(wav_fpath)] = self.conds",
    "self.conds.gen['embedding'] = self.conds.gen['embedding'] * 0.5",
    "self.conds.t3.speaker_emb += 1",
    "print('prepared', wav_fpath)",
    "self.count = getattr(self, 'count', 0) + 1",
    "return self.conds",
)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory, english: Any) -> Iterator[tuple[Path, Any]]:
    """A folder with a copy, and a model whose encoders are of the copy's classes."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(_UPSTREAM, folder / _ROOT, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / _ROOT / "__init__.py").write_text("")
    sys.path.insert(0, str(folder))
    shallow.make_copy_shallow(_ROOT)
    with torch.random.fork_rng(devices=[]):
        s3gen = importlib.import_module(f"{_ROOT}.models.s3gen").S3Gen().eval()
        encoder = importlib.import_module(f"{_ROOT}.models.voice_encoder").VoiceEncoder().eval()
    s3gen.load_state_dict(english.s3gen.state_dict())
    encoder.load_state_dict(english.ve.state_dict())
    yield folder / _ROOT, {**vars(english), "s3gen": s3gen, "ve": encoder, "conds": None, "voices": {}}
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith(_ROOT)]:
        del sys.modules[name]


def brought(package: Path, module: str, kind: str, method: str, more: list[str]) -> Any:
    """A class of a module of this name in the package, edited."""
    text = (package / "tts.py").read_text()
    assert _LAST in text, "upstream's code has changed: this edits nothing"
    text = text.replace(_LAST, "\n".join([_LAST, *(f"        {each}" for each in more)]))
    text = text.replace("ChatterboxTTS", kind).replace("prepare_conditionals", method)
    module = f"{module}_{next(_numbers)}"
    file = package / f"{module}.py"
    file.write_text(text)
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(f"{_ROOT}.{module}", file)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return getattr(made, kind)


def flat(conditionals: Any) -> list[Any]:
    fields = {**vars(conditionals.t3), **conditionals.gen}
    return [None if value is None else value.detach().clone() for value in fields.values()]


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make an example smaller takes many minutes
)
@given(st.data())
def test_any_edited_copy_has_hits_from_its_second_run_on_with_its_own_bits(
    plugin: tuple[Path, Any], voice: Path, tmp_path: Path, data: st.DataObject
) -> None:
    module, kind = data.draw(_NAMES), data.draw(st.one_of(st.just("ChatterboxTTS"), _CLASSES))
    method = data.draw(st.one_of(st.just("prepare_conditionals"), _NAMES.map(lambda name: f"{name}_voice")))
    owner = brought(plugin[0], module, kind, method, data.draw(st.lists(st.sampled_from(_MORE), max_size=3)))
    function = getattr(owner, method)
    if data.draw(st.booleans()):
        function.__code__ = edited(function, *data.draw(st.sampled_from(edits_of(function))))
    model = owner.__new__(owner)
    vars(model).update(plugin[1])

    def prepared() -> list[Any]:
        model.conds = None
        getattr(model, method)(voice, exaggeration=0.7)
        return flat(model.conds)

    try:
        own = prepared()
    except Exception:
        assume(False)  # the edit has broken it
    cache = ConditionalCache(tmp_path / f"voices-{module}-{id(model)}")
    with chatterbox_cached.enabled(cache=cache):
        for _ in range(2):
            again = prepared()
            assert len(again) == len(own)
            for one, other in zip(again, own, strict=True):
                assert one is other is None or torch.equal(one, other)
    stats = cache.get_cache_stats()
    assert stats["memory_hits"] >= 1
    assert stats["bypasses"] == {}
