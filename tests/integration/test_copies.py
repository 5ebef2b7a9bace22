"""Copies of Chatterbox that programs bring under other names: found, and cached as upstream's own is."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import chatterbox
import pytest
import soundfile
import torch
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached
from chatterbox_cached.demo import rehearsal
from tests.support import shallow
from tests.support.comparison import assert_same_conditionals, assert_same_dicts

_UPSTREAM = Path(str(chatterbox.__file__)).parent


def in_a_folder_of_sources(folder: Path) -> str:
    """As ``src.chatterbox``, with the program's folder on the path."""
    shutil.copytree(_UPSTREAM, folder / "sources_of" / "chatterbox", ignore=shutil.ignore_patterns("__pycache__"))
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module("sources_of.chatterbox.tts")
    finally:
        sys.path.remove(str(folder))
    return "sources_of.chatterbox"


def by_path(folder: Path) -> str:
    """As a host loads its plugins: from a file, under a name made of its path."""
    plugin = folder / "nodes.d" / "voices"
    shutil.copytree(_UPSTREAM, plugin / "local_chatterbox", ignore=shutil.ignore_patterns("__pycache__"))
    (plugin / "__init__.py").write_text("from .local_chatterbox.tts import ChatterboxTTS\n")
    name = str(plugin).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(
        name, plugin / "__init__.py", submodule_search_locations=[str(plugin)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return f"{name}.local_chatterbox"


@pytest.fixture(params=[in_a_folder_of_sources, by_path])
def bring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Imports a copy; gives its package's name."""
    before = set(sys.modules)
    yield lambda: request.param(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith(("sources_of", str(tmp_path).replace(".", "_x_"))):
            del sys.modules[name]


def build(root: str, english: Any) -> Any:
    """A model of the copy's own classes, with the weights of ``english``."""
    shallow.make_copy_shallow(root)
    with torch.random.fork_rng(devices=[]):
        s3gen = importlib.import_module(f"{root}.models.s3gen").S3Gen().eval()
        encoder = importlib.import_module(f"{root}.models.voice_encoder").VoiceEncoder().eval()
        module = importlib.import_module(f"{root}.models.t3.t3")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(module.LLAMA_CONFIGS["Llama_520M"], "num_hidden_layers", 1)
            t3 = module.T3(module.T3Config.english_only()).eval()
    s3gen.load_state_dict(english.s3gen.state_dict())
    encoder.load_state_dict(english.ve.state_dict())
    tts = importlib.import_module(f"{root}.tts")
    model = tts.ChatterboxTTS.__new__(tts.ChatterboxTTS)  # whose __init__ wants a watermarker
    vars(model).update(vars(english), s3gen=s3gen, ve=encoder, t3=t3, conds=None)
    return model


@pytest.mark.parametrize(
    ("when", "around"),
    [
        ("before it is imported", contextlib.nullcontext),
        ("before a model is built", torch.inference_mode),
        ("after that", contextlib.nullcontext),
    ],
)
def test_a_copys_voices_are_kept_and_are_upstreams(
    bring: Callable[[], str], when: str, around: Callable[[], Any], english: Any, voice: Path, tmp_path: Path
) -> None:
    english.prepare_conditionals(voice, exaggeration=0.7)
    upstreams = english.conds
    with contextlib.ExitStack() as stack:
        steps = {"before it is imported": 0, "before a model is built": 1, "after that": 2}

        def enable_at(step: int) -> None:
            if steps[when] == step:
                stack.enter_context(chatterbox_cached.enabled(tmp_path / "voices"))

        enable_at(0)
        root = bring()
        enable_at(1)
        with around():
            model = build(root, english)
            enable_at(2)
            for _ in ("miss", "hit"):
                model.conds = None
                model.prepare_conditionals(voice, exaggeration=0.7)
                assert type(model.conds).__module__ == f"{root}.tts"
                assert_same_conditionals(model.conds, upstreams)
        stats = chatterbox_cached.stats()
        assert (stats["misses"], stats["memory_hits"], stats["bypasses"]) == (1, 1, {})
        # The same code and the same weights make the same entry, whatever the modules are called.
        english.prepare_conditionals(voice, exaggeration=0.7)
        assert type(english.conds).__module__ == "chatterbox.tts"
        assert_same_conditionals(english.conds, upstreams)
        assert chatterbox_cached.stats()["misses"] == 1
    assert type(model).prepare_conditionals.__module__ == f"{root}.tts"
    assert not hasattr(type(model).prepare_conditionals, "is_chatterbox_cached")


def test_a_copys_voice_conversion_is_kept_and_is_upstreams(vc: Any, voice: Path, tmp_path: Path) -> None:
    vc.set_target_voice(voice)
    upstreams = vc.ref_dict
    try:
        with chatterbox_cached.enabled(tmp_path / "voices"):
            root = in_a_folder_of_sources(tmp_path)
            shallow.make_copy_shallow(root)
            with torch.inference_mode():  # as ComfyUI loads its models
                s3gen = importlib.import_module(f"{root}.models.s3gen").S3Gen().eval()
                s3gen.load_state_dict(vc.s3gen.state_dict())
            own = importlib.import_module(f"{root}.vc").ChatterboxVC
            model = own.__new__(own)
            vars(model).update(vars(vc), s3gen=s3gen, ref_dict=None)
            for _ in ("miss", "hit"):
                model.set_target_voice(voice)
                assert_same_dicts(model.ref_dict, upstreams)
            vc.set_target_voice(voice)  # the same code and the same weights make the same entry
            assert_same_dicts(vc.ref_dict, upstreams)
            stats = chatterbox_cached.stats()
            assert (stats["misses"], stats["memory_hits"], stats["bypasses"]) == (1, 2, {})
        assert not hasattr(own.set_target_voice, "is_chatterbox_cached")
    finally:
        for name in [name for name in sys.modules if name.startswith("sources_of")]:
            del sys.modules[name]


def test_an_edited_copy_beside_the_installed_one_has_entries_of_its_own(
    english: Any, voice: Path, tmp_path: Path
) -> None:
    root = in_a_folder_of_sources(tmp_path)
    try:
        file = tmp_path / "sources_of" / "chatterbox" / "tts.py"
        text = file.read_text()
        assert "s3gen_ref_wav = s3gen_ref_wav[:self.DEC_COND_LEN]" in text
        file.write_text(
            text.replace("s3gen_ref_wav = s3gen_ref_wav[:self.DEC_COND_LEN]", "s3gen_ref_wav = 0.5 * s3gen_ref_wav")
        )
        importlib.reload(sys.modules[f"{root}.tts"])
        model = build(root, english)
        with chatterbox_cached.enabled(tmp_path / "voices"):
            for _ in range(2):
                model.prepare_conditionals(voice)
                own = model.conds.gen["prompt_feat"]
                english.prepare_conditionals(voice)
                assert not torch.equal(own, english.conds.gen["prompt_feat"])
            stats = chatterbox_cached.stats()
            assert (stats["misses"], stats["memory_hits"]) == (2, 2)
    finally:
        for name in [name for name in sys.modules if name.startswith("sources_of")]:
            del sys.modules[name]


class _SaysNothing(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"{name} is not to be asked for")


def test_classes_that_answer_no_questions_stand_in_no_ones_way(
    bring: Callable[[], str], english: Any, voice: Path, tmp_path: Path
) -> None:
    odd = _SaysNothing("ChatterboxTTS", (), {"prepare_conditionals": None})
    model = build(bring(), english)
    with chatterbox_cached.enabled(tmp_path / "voices"):
        for _ in range(2):
            model.prepare_conditionals(voice)
        assert chatterbox_cached.stats()["memory_hits"] == 1
    del odd


def test_no_class_is_patched_that_only_has_a_model_inside(english: Any, voice: Path, tmp_path: Path) -> None:
    """A server's own class of the same name; what it does with its model is cached all the same."""

    class Engine:
        def __init__(self) -> None:
            self.model = english

        def prepare_conditionals(self, path: Path) -> None:
            self.model.prepare_conditionals(path)

        def generate(self, text: str, path: Path) -> str:
            return text

    Engine.__name__ = Engine.__qualname__ = ChatterboxTTS.__name__
    with chatterbox_cached.enabled(tmp_path / "voices"):
        assert "generate" in vars(Engine)
        assert type(vars(Engine)["generate"]).__name__ == "function"
        for _ in range(2):
            Engine().prepare_conditionals(voice)
        assert (chatterbox_cached.stats()["misses"], chatterbox_cached.stats()["memory_hits"]) == (1, 1)


class Host:
    """As ComfyUI runs its nodes: plugins by path, everything in inference mode, the audio as a file for each run."""

    def __init__(self, plugin: str, english: Any, folder: Path) -> None:
        self.folder, self.runs = folder, 0
        with torch.inference_mode():
            self.model = build(plugin, english)
        self.model.t3.inference = partial(self.model.t3.inference)  # of this instance, so that it can be capped
        rehearsal._cap(self.model.t3, "inference", "max_new_tokens", 4)
        rehearsal._cap(self.model.s3gen.flow.decoder, "forward", "n_timesteps", 1)

    def run(self, samples: Any) -> Any:
        """One run of the graph; gives what was said."""
        self.runs += 1
        clip = self.folder / f"tmp{self.runs}.wav"
        soundfile.write(clip, samples, 24000, subtype="FLOAT")
        written = clip.read_bytes()
        peak = written.index(b"PEAK") + 12  # where libsndfile has put the time of day
        clip.write_bytes(written[:peak] + self.runs.to_bytes(4, "little") + written[peak + 4 :])
        with torch.inference_mode():
            torch.manual_seed(0)
            return self.model.generate("Hi.", audio_prompt_path=str(clip))


def test_an_unchanged_host_of_nodes_has_hits_from_its_second_run_on(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(voice, dtype="float32")
    with chatterbox_cached.enabled(tmp_path / "voices"):
        before = set(sys.modules)
        try:
            host = Host(by_path(tmp_path), english, tmp_path)
            with chatterbox_cached.disabled():
                upstreams = host.run(samples)
            said = [host.run(samples) for _ in range(3)]
        finally:
            for name in set(sys.modules) - before:
                if name.startswith(str(tmp_path).replace(".", "_x_")):
                    del sys.modules[name]
        stats = chatterbox_cached.stats()
    assert len({path.read_bytes() for path in tmp_path.glob("tmp*.wav")}) == 4
    assert (stats["misses"], stats["memory_hits"]) == (1, 2)
    assert stats["bypasses"] == {"disabled": 1}
    assert all(torch.equal(each, upstreams) for each in said)
