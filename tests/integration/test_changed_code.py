"""Whatever code a program has in place, each voice is the one that this code makes, and is a hit where that is sure."""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CachedTTS, CacheWarning, ConditionalCache
from chatterbox_cached.identity.code.looks import FULL_LOOK_SECONDS
from chatterbox_cached.upstream import slots
from tests.support import short_models
from tests.support.comparison import assert_own_voice, assert_same_conditionals

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def _model() -> Any:
    return short_models.english()


@pytest.fixture
def model(_model: Any) -> Iterator[Any]:
    """A model of this module's own, as it was."""
    yield _model
    _model.conds = None


@pytest.fixture
def cache(tmp_path: Path) -> ConditionalCache:
    return chatterbox_cached.enable(tmp_path / "voices")


def counts(cache: ConditionalCache) -> tuple[int, int, int, int]:
    """Hits in memory and on disk, misses, bypasses."""
    now = cache.get_cache_stats()
    return now["memory_hits"], now["disk_hits"], now["misses"], sum(now["bypasses"].values())


def prepare_three_times(cache: ConditionalCache, model: Any, voice: Path) -> None:
    for _ in range(3):
        cache.get_or_prepare(model, voice)


def half_as_loud(kind: type) -> Callable[..., None]:
    inner = kind.prepare_conditionals  # type: ignore[attr-defined]

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
        inner(self, wav_fpath, exaggeration)
        self.conds.gen["embedding"] = 0.5 * self.conds.gen["embedding"]

    return prepare_conditionals


@pytest.mark.parametrize("when", ["before enable()", "after enable()"])
def test_a_prepare_method_that_was_replaced_on_the_class_is_heard(
    when: str, model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices"):
        model.prepare_conditionals(voice)
    original = model.conds
    if when == "before enable()":
        monkeypatch.setattr(type(model), "prepare_conditionals", half_as_loud(type(model)))
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        if when == "after enable()":  # around this package's own wrapper
            monkeypatch.setattr(type(model), "prepare_conditionals", half_as_loud(type(model)))
        for _ in range(3):
            model.prepare_conditionals(voice)
            assert torch.equal(model.conds.gen["embedding"], 0.5 * original.gen["embedding"])
        assert cache.get_cache_stats()["disk_hits"] == 0
        if when == "before enable()":
            assert cache.get_cache_stats()["seams"] == {"encoders": 1, "voices": 2}  # its encoders are as before
        monkeypatch.undo()
    model.prepare_conditionals(voice)
    assert_same_conditionals(model.conds, original)


def test_an_instances_patch_is_a_hit_here_and_nothing_elsewhere(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    """As programs do it that fix a dtype."""
    plain = copy.copy(model)
    inner = model.ve.forward
    monkeypatch.setattr(
        model.ve, "forward", MethodType(lambda self, mels: 2 * inner(mels.float()), model.ve), raising=False
    )
    cache = ConditionalCache(tmp_path / "voices")
    with pytest.warns(CacheWarning, match="this process only") as warned:
        prepare_three_times(cache, model, voice)
    assert counts(cache) == (2, 0, 1, 0)
    assert_own_voice(model, voice)
    assert len(warned) == 1
    assert "forward" in str(warned[0].message) or "lambda" in str(warned[0].message)
    stats = cache.get_cache_stats()
    assert stats["not_stored"] == {"kept in this process only": 1}
    assert stats["disk_cached_items"] == 0
    monkeypatch.undo()
    cache.get_or_prepare(plain, voice)
    assert counts(cache)[2] == 2, "the patched voice was given to a model without the patch"


def test_a_compiled_encoder_is_a_hit_here(model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(model, "ve", torch.compile(model.ve, backend="eager"))
    cache = ConditionalCache(tmp_path / "voices")
    with pytest.warns(CacheWarning, match="this process only"):
        prepare_three_times(cache, model, voice)
    assert counts(cache) == (2, 0, 1, 0)


@pytest.fixture
def compiler() -> Iterator[None]:
    """It leaves functions in the modules of what it compiles, which other tests would take for Chatterbox's."""
    modules = [vars(module) for name, module in sys.modules.items() if name.startswith("chatterbox.")]
    before = [set(namespace) for namespace in modules]
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    for namespace, names in zip(modules, before, strict=True):
        for name in namespace.keys() - names:
            del namespace[name]


@pytest.mark.usefixtures("compiler")
def test_the_compiler_is_given_upstreams_work_and_not_the_caches(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    """What it compiles includes an encoder's own method, which has a wrapper of this package's."""
    parts = model.s3gen._modules
    monkeypatch.setitem(parts, "tokenizer", torch.compile(parts["tokenizer"], backend="eager"))
    with pytest.warns(CacheWarning, match="this process only") as warned:
        model.prepare_conditionals(voice)
    assert_own_voice(model, voice)
    assert [each.category for each in warned].count(CacheWarning) == 1  # PyTorch has warnings of its own
    assert cache.get_cache_stats()["errors"] == {}


def test_a_traced_part_is_a_hit_here_until_its_weights_change(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    parts = model.s3gen.speaker_encoder._modules
    traced = torch.jit.trace(copy.deepcopy(parts["head"]), torch.randn(1, 80, 100))  # type: ignore[no-untyped-call]
    monkeypatch.setitem(parts, "head", traced)
    cache = ConditionalCache(tmp_path / "voices")
    with pytest.warns(CacheWarning, match="this process only"):
        prepare_three_times(cache, model, voice)
    assert counts(cache) == (2, 0, 1, 0)
    with torch.no_grad():
        for weight in traced.parameters():
            weight.mul_(1.5)
    time.sleep(2 * FULL_LOOK_SECONDS)
    cache.get_or_prepare(model, voice)
    assert_own_voice(model, voice)
    assert counts(cache) == (2, 0, 2, 0)


def test_another_function_in_the_same_place_is_another_voice(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    cache, inner = ConditionalCache(tmp_path / "voices"), model.ve.forward
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        for factor in (1.5, 0.5):
            monkeypatch.setattr(model.ve, "forward", lambda mels, factor=factor: inner(mels * factor), raising=False)
            cache.get_or_prepare(model, voice)
            assert_own_voice(model, voice)
    assert counts(cache) == (0, 0, 2, 0)


def test_a_fork_that_returns_the_conditionals_returns_them_on_hits_too(
    model: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(model).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        inner(self, wav_fpath, exaggeration)
        return self.conds

    monkeypatch.setattr(type(model), "prepare_conditionals", prepare_conditionals)
    cache = chatterbox_cached.enable(tmp_path / "voices")
    for where in ("upstream", "memory", "disk"):
        if where == "disk":
            cache.clear_memory()
        given = model.prepare_conditionals(voice)
        assert given is model.conds, where
        assert given is not None
    assert counts(cache)[:3] == (1, 1, 1)
    # A voice that the user brought in is no work of this code, and is given as its own would be.
    cache.save(voice, 0.5, tmp_path / "voice.pt")
    cache.load(tmp_path / "voice.pt", other_voice)
    assert model.prepare_conditionals(other_voice) is model.conds is not None


@pytest.mark.filterwarnings("ignore::chatterbox_cached.CacheWarning")
def test_a_voice_that_was_brought_in_and_can_not_be_given_is_prepared_and_never_taken_for_another(
    model: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    cache.get_or_prepare(model, voice)
    cache.save(voice, 0.5, tmp_path / "voice.pt")
    for clip in (voice, other_voice):
        cache.load(tmp_path / "voice.pt", clip)

    def fails(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(slots, "revive", fails)
    for clip in (other_voice, voice):
        cache.get_or_prepare(model, clip)
        assert_own_voice(model, clip)
    assert counts(cache) == (0, 0, 1, 2)
    assert cache.get_cache_stats()["disk_cached_items"] == 1


def sets_an_attribute(self: Any, wav_fpath: Any) -> None:
    self.last_voice = wav_fpath


def calls_back(self: Any, wav_fpath: Any) -> None:
    self.prepared.append(wav_fpath)


def writes_a_file(self: Any, wav_fpath: Any) -> None:
    Path(self.folder, "log.txt").write_text(str(wav_fpath))


def counts_in_a_table(self: Any, wav_fpath: Any) -> None:
    self.counted[0] += 1


def calls_back_in_a_comprehension(self: Any, wav_fpath: Any) -> None:
    _ = [self.prepared.append(each) for each in (wav_fpath,)]


def calls_back_in_a_function_within(self: Any, wav_fpath: Any) -> None:
    def note() -> None:
        self.prepared.append(wav_fpath)

    note()


_NOTED: list[Any] = []


def counts_where_conditionals_may_be_meant(self: Any, wav_fpath: Any) -> None:
    table = self.conds.gen
    if wav_fpath:
        table = self.counted
    table[0] = table[0] + 1


class _Noted:
    def __init__(self, wav_fpath: Any) -> None:
        _NOTED.append(wav_fpath)


def makes_what_notes_it(self: Any, wav_fpath: Any) -> None:
    _Noted(wav_fpath)


class _Counting:
    def __init__(self, counted: list[int]) -> None:
        self.counted = counted

    def __enter__(self) -> None:
        self.counted[0] += 1

    def __exit__(self, *_: object) -> None:
        pass


def counts_as_it_enters(self: Any, wav_fpath: Any) -> None:
    with self.usage:
        pass


def counts_by_another_name(self: Any, wav_fpath: Any) -> None:
    table = self.counted
    table[0] = table[0] + 1


def test_a_voice_that_depends_on_the_one_before_is_prepared_each_time(
    model: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(model).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
        before = self.conds
        inner(self, wav_fpath, exaggeration)
        if before is not None:
            self.conds.gen["embedding"] = 0.5 * (before.gen["embedding"] + self.conds.gen["embedding"])

    monkeypatch.setattr(type(model), "prepare_conditionals", prepare_conditionals)
    said = []
    for enabled in (False, True):
        model.conds = None
        with chatterbox_cached.enabled(tmp_path / "voices") if enabled else contextlib.nullcontext():
            for clip in (voice, other_voice, voice):
                model.prepare_conditionals(clip)
                said.append(model.conds.gen["embedding"].detach())
    assert all(map(torch.equal, said[:3], said[3:]))


@pytest.mark.parametrize(
    "effect",
    [
        sets_an_attribute,
        calls_back,
        writes_a_file,
        counts_in_a_table,
        calls_back_in_a_comprehension,
        calls_back_in_a_function_within,
        makes_what_notes_it,
        counts_as_it_enters,
        counts_by_another_name,
        counts_where_conditionals_may_be_meant,
    ],
)
def test_what_a_preparation_does_besides_is_done_each_time_while_its_encoders_are_served(
    effect: Callable[[Any, Any], None], model: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(model).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        inner(self, wav_fpath, exaggeration)
        effect(self, wav_fpath)

    monkeypatch.setattr(type(model), "prepare_conditionals", prepare_conditionals)
    counted = [0]
    given = {"last_voice": None, "prepared": [], "folder": tmp_path, "counted": counted, "usage": _Counting(counted)}
    for name, value in given.items():
        monkeypatch.setattr(model, name, value, raising=False)
    cache = chatterbox_cached.enable(tmp_path / "voices")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for clip in (voice, other_voice, voice):
            model.prepare_conditionals(clip)
    ours = [str(each.message) for each in warned if each.category is CacheWarning]
    assert counts(cache) == (1, 0, 2, 0)
    assert cache.get_cache_stats()["seams"] == {"encoders": 1}
    assert ours == []
    each = [voice, other_voice, voice]
    done = model.last_voice == voice, model.prepared == each, model.counted == [3], each == _NOTED
    assert any(done) or (tmp_path / "log.txt").read_text() == str(voice)


def test_what_a_preparation_prints_and_logs_does_not_keep_it_from_being_cached(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner, logger = type(model).prepare_conditionals, logging.getLogger("fork")

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        started = time.time()
        print("Preparing", wav_fpath)
        inner(self, wav_fpath, exaggeration)
        logger.info("prepared in %s", time.time() - started)

    monkeypatch.setattr(type(model), "prepare_conditionals", prepare_conditionals)
    cache = chatterbox_cached.enable(tmp_path / "voices")
    for _ in range(2):
        model.prepare_conditionals(voice)
    assert counts(cache) == (1, 0, 1, 0)
    assert capsys.readouterr().out.count("Preparing") == 1


def test_functions_within_a_preparation_do_not_keep_it_from_being_cached(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(model).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
        def halved(tensor: Any) -> Any:
            return 0.5 * tensor

        inner(self, wav_fpath, exaggeration)
        self.conds.gen["embedding"] = sum([halved(each) for each in (self.conds.gen["embedding"],)])

    monkeypatch.setattr(type(model), "prepare_conditionals", prepare_conditionals)
    model.prepare_conditionals(voice)
    expected = model.conds.gen["embedding"].detach()
    cache = chatterbox_cached.enable(tmp_path / "voices")
    for _ in range(2):
        model.prepare_conditionals(voice)
        assert torch.equal(model.conds.gen["embedding"].detach(), expected)
    assert counts(cache) == (1, 0, 1, 0)


def takes_anything(inner: Any) -> Any:
    return lambda self, *args, **kwargs: inner(self, *args, **kwargs)


def takes_all(inner: Any) -> Any:
    return lambda *args, **kwargs: inner(*args, **kwargs)


@pytest.mark.parametrize("wrapper", [takes_anything, takes_all])
def test_a_wrapper_that_passes_on_what_it_is_given_is_cached(
    wrapper: Callable[[Any], Any], model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(type(model), "prepare_conditionals", wrapper(type(model).prepare_conditionals))
    cache = chatterbox_cached.enable(tmp_path / "voices")
    model.prepare_conditionals(voice)
    model.prepare_conditionals(wav_fpath=voice, exaggeration=0.5)
    assert counts(cache) == (1, 0, 1, 0)
    assert_own_voice(model, voice)


def test_behind_a_wrapper_whose_arguments_can_not_be_told_the_encoders_are_served(
    model: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(model).prepare_conditionals
    monkeypatch.setattr(
        type(model), "prepare_conditionals", lambda self, *args: inner(self, *[str(each) for each in args])
    )
    cache = chatterbox_cached.enable(tmp_path / "voices")
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        for _ in range(3):
            model.prepare_conditionals(voice)
    assert counts(cache) == (2, 0, 1, 0)
    assert cache.get_cache_stats()["seams"] == {"encoders": 2}


def test_a_bypass_keeps_no_graph_unless_upstream_alone_was_asked_for(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    """Four conditionals with their graphs held 615 MB."""
    handle = model.ve.register_forward_hook(lambda *_: None)
    try:
        model.prepare_conditionals(voice)
        assert counts(cache) == (0, 0, 0, 1)
        assert model.conds.gen["embedding"].grad_fn is None
        with chatterbox_cached.disabled():
            model.prepare_conditionals(voice)
        assert model.conds.gen["embedding"].grad_fn is not None
    finally:
        handle.remove()


def test_a_bypass_that_lasts_is_said_once_with_what_to_do(model: Any, voice: Path, cache: ConditionalCache) -> None:
    """At its second time: the first may be an odd one out."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for times in range(4):
            with voice.open() as text:
                text.read(0)
                with pytest.raises(Exception):  # noqa: B017, PT011  upstream can't read it either
                    model.prepare_conditionals(text)
            ours = [str(each.message) for each in warned if each.category is CacheWarning]
            assert len(ours) == (times > 0)
    assert "binary mode" in ours[0]


@pytest.fixture
def inference_model(voice: Path) -> Any:
    """A model that was built within inference mode, as ComfyUI's nodes do it: its weights count no versions."""
    with torch.inference_mode():
        return short_models.english()


def test_weights_that_were_made_in_inference_mode_are_read_again_at_each_use(
    inference_model: Any, voice: Path, cache: ConditionalCache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="chatterbox_cached")
    with torch.inference_mode():
        for _ in range(3):
            inference_model.prepare_conditionals(voice)
        assert counts(cache) == (2, 0, 1, 0)
        assert [record.message for record in caplog.records if "inference mode" in record.message] != []
        inference_model.ve.proj.weight.add_(0.1)  # leaves no trace but the weight itself
        inference_model.prepare_conditionals(voice)
        assert counts(cache) == (2, 0, 2, 0)
        assert_own_voice(inference_model, voice)


def test_a_hit_of_an_inference_models_voice_is_upstreams_own(
    inference_model: Any, voice: Path, cache: ConditionalCache
) -> None:
    with torch.inference_mode():
        inference_model.prepare_conditionals(voice)
        inference_model.prepare_conditionals(voice)
        assert_own_voice(inference_model, voice)


def test_a_weight_that_is_written_in_place_is_heard(model: Any, voice: Path, cache: ConditionalCache) -> None:
    own = copy.copy(model)
    own.ve = copy.deepcopy(model.ve)
    for _ in range(2):
        own.prepare_conditionals(voice)
    time.sleep(0.05)
    with torch.no_grad():
        own.ve.proj.weight.add_(0.3 * torch.randn_like(own.ve.proj.weight))
    time.sleep(0.05)
    own.prepare_conditionals(voice)
    assert counts(cache) == (1, 0, 2, 0)
    assert_own_voice(own, voice)


def test_saving_a_tensor_changes_no_code(model: Any, voice: Path, cache: ConditionalCache, monkeypatch: Patch) -> None:
    """Python notes in a class how to pickle it, the first time."""
    monkeypatch.delattr(torch.Tensor, "__slotnames__", raising=False)
    cache.get_or_prepare(model, voice)
    torch.save(torch.ones(1), io.BytesIO())
    cache.get_or_prepare(model, voice)
    assert counts(cache) == (1, 0, 1, 0)
    assert cache.get_cache_stats()["not_stored"] == {}


def test_settings_that_pytorch_does_not_tell_in_the_old_way_are_no_failure(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    """From 2.9 on, the old question raises once a program has used the new settings."""

    def mixed() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    model.prepare_conditionals(voice)
    model.prepare_conditionals(voice)
    assert counts(cache) == (1, 0, 1, 0)
    assert cache.get_cache_stats()["errors"] == {}


@pytest.fixture
def _chatterbox_as_it_was() -> Iterator[None]:
    """The modules of Chatterbox that the other tests know."""
    known = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "chatterbox"}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "chatterbox"]:
        del sys.modules[name]
    sys.modules.update(known)


@pytest.mark.usefixtures("_chatterbox_as_it_was")
def test_chatterbox_imported_anew_is_cached(model: Any, voice: Path, cache: ConditionalCache) -> None:
    def made_by(module: Any) -> Any:
        return module.ChatterboxTTS(model.t3, model.s3gen, model.ve, model.tokenizer, "cpu")

    for name in [name for name in sys.modules if name.partition(".")[0] == "chatterbox"]:
        del sys.modules[name]
    for module in (importlib.import_module("chatterbox.tts"), importlib.reload(sys.modules["chatterbox.tts"])):
        again, before = made_by(module), counts(cache)
        again.prepare_conditionals(voice)
        again.prepare_conditionals(voice)
        assert counts(cache)[0] > before[0]
        assert counts(cache)[3] == 0
        assert type(again.conds) is module.Conditionals
        proxy = CachedTTS(made_by(module), cache)
        proxy.prepare_conditionals(voice)
        assert type(proxy.conds) is module.Conditionals
    gc.collect()


def test_the_same_samples_saved_again_are_the_same_voice(
    model: Any, voice: Path, tmp_path: Path, cache: ConditionalCache
) -> None:
    """libsndfile stamps the time into float files."""
    import soundfile

    samples, rate = soundfile.read(voice, dtype="float32")
    one, two = tmp_path / "one.wav", tmp_path / "two.wav"
    soundfile.write(one, samples, rate, subtype="FLOAT")
    while not two.exists() or one.read_bytes() == two.read_bytes():
        time.sleep(0.3)
        soundfile.write(two, samples, rate, subtype="FLOAT")
    model.prepare_conditionals(one)
    model.prepare_conditionals(two)
    assert counts(cache) == (1, 0, 1, 0)
    assert_own_voice(model, two)
