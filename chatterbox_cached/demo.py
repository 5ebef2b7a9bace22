"""Four texts in one voice, without the cache and with it.

It times both, compares the samples and writes the sound to files.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import chatterbox_cached
from chatterbox_cached import ConditionalCache, rehearsal
from chatterbox_cached.errors import in_short
from chatterbox_cached.upstream.families import Family, named

TEXTS = ("Good morning, everyone.", "The kettle is on.", "Who left the door open?", "See you on Friday.")
HUB_SECONDS = 10.0  # the longest that the hub may take to answer; a download may then take as long as it likes
KEPT = 2  # of upstream's own conditionals, to see what they hold in memory
SOURCES = {"memory_hits": "memory", "disk_hits": "disk", "misses": "upstream"}
HEAD = "{:<24} {:>17}  {:>17}  {:<8} {}"
ROW = "{:<24} {:>8} {:>8}  {:>8} {:>8}  {:<8} {}"


class Spoken(NamedTuple):
    """One text, spoken: its samples, the seconds of both halves of the work, and where the voice came from."""

    samples: Any
    preparing: float
    generating: float
    source: str


class Comparison(NamedTuple):
    """The same seeded calls: without the cache, with it, and the first of them once more as after a new start."""

    without: list[Spoken]
    cached: list[Spoken]
    restarted: Spoken
    stats: Mapping[str, Any]

    @property
    def same(self) -> list[bool]:
        """For each text whether its samples are the same with the cache; the last is the one after a new start."""
        equal = import_module("torch").equal
        pairs = zip((*self.without, self.without[0]), (*self.cached, self.restarted), strict=True)
        return [equal(one.samples, other.samples) for one, other in pairs]


def run(voice: Path | None, out: Path, device: str, model_name: str) -> dict[str, Any]:
    """Run the demo and print what it finds; gives the same as figures. ``same`` is whether no sample was changed."""
    out.mkdir(parents=True, exist_ok=True)
    reference = voice or rehearsal.reference_clip(out / "reference.wav")
    _say(f"Reference voice: {reference}" + ("" if voice else " (synthetic; --voice FILE takes a real one)"))
    _say("Loading Chatterbox and looking for its published weights ...")
    model, published = load(model_name, device)
    kept_by_upstream = _warm_up_and_weigh(model, reference)
    if published and device == "cpu":
        _say("On a CPU a generation takes far longer than a preparation: this may take several minutes.")
    result = compare(model, reference, {} if model_name == "english" else {"language_id": "en"})
    _print_table(result, published)
    memory = _memory(kept_by_upstream, result.stats)
    _print_memory(memory, device)
    _say("", "Written:" if published else "Written (noise, see above):")
    written = _write(out, model.sr, result, published)
    for path in written:
        print(f"  {path}", flush=True)
    if all(result.same):
        _say("", "All samples are equal with the cache and without it (torch.equal).")
    else:
        _say("", "THE SAMPLES DIFFER with the cache: this is a bug in it. Please report it with this output.")
    about = {"model": model_name, "device": device, "voice": str(reference), "published_weights": published}
    return {**about, **_figures(result), "memory_per_voice": memory, "files": [str(path) for path in written]}


def load(name: str, device: str) -> tuple[Any, bool]:
    """The model with its published weights and True or, where they can't be had, one with random weights and False."""
    family = named(name)
    try:
        return _published(family, device), True
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's
        why = textwrap.shorten(in_short(error), 120, placeholder=" ...")
        _say(
            f"The published weights can't be loaded here ({why}). So this goes on with RANDOM WEIGHTS.",
            "* A preparation is the full work on full-size encoders: its times are real.",
            "* A generation is cut short: its times are NOT those of Chatterbox.",
            "* What is said is noise, not speech.",
        )
    model: Any = getattr(rehearsal, name)(device=device)
    t3: Any = import_module("chatterbox.models.t3.t3")
    t3.tqdm = functools.partial(t3.tqdm, disable=True)  # a dozen steps need no progress bar
    return model, False


def _published(family: Family, device: str) -> Any:
    """What the class's own ``from_pretrained`` gives.

    The hub's client retries for minutes when there is no network, so the hub is asked for a sign of life first. Without
    one, only what was downloaded before is looked at. Raises what the hub's client raises.
    """
    module, hub, constants = map(import_module, (family.module, "huggingface_hub", "huggingface_hub.constants"))
    silence: Exception | None = None
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(module.REPO_ID, "conds.pt"), timeout=HUB_SECONDS)
    except Exception as error:
        silence = error
    offline = mock.patch.object(constants, "HF_HUB_OFFLINE", True) if silence else contextlib.nullcontext()
    try:
        with offline:
            return getattr(module, family.class_name).from_pretrained(device)
    except OSError as error:
        raise silence or error from error


def compare(model: Any, voice: Path, others: Mapping[str, Any]) -> Comparison:
    """Speak the texts without the cache and with it, which begins with an empty folder; ``others`` go to generate."""
    calls = [{"text": text, "audio_prompt_path": str(voice), **others} for text in TEXTS]
    with _timed_preparations(model) as timed, tempfile.TemporaryDirectory() as folder:
        _say("", "Speaking four texts in this voice, without the cache ...")
        without = [_speak(model, timed, call) for call in calls]
        _say("The same calls after chatterbox_cached.enable() ...")
        try:
            cache = chatterbox_cached.enable(folder)
            cached = [_speak(model, timed, call) for call in calls]
            stats = cache.get_cache_stats()
            # As after a new start of the script: a cache that has nothing but the folder.
            again = chatterbox_cached.enable(cache=ConditionalCache(folder))
            restarted = _speak(model, timed, calls[0])
        finally:
            chatterbox_cached.disable()
        for opened in (cache, again):
            opened.close()  # or Windows could not remove the folder
    return Comparison(without, cached, restarted, stats)


def _speak(model: Any, timed: list[float], call: Mapping[str, Any]) -> Spoken:
    """One seeded ``generate``, timed; what is not preparation is generation."""
    torch = import_module("torch")
    timed.clear()
    before = chatterbox_cached.stats()
    torch.manual_seed(0)
    started = time.perf_counter()
    samples = model.generate(**call)
    total, preparing = time.perf_counter() - started, sum(timed)
    after = chatterbox_cached.stats()
    source = next((SOURCES[name] for name in SOURCES if before and after[name] > before[name]), "no cache")
    return Spoken(samples, preparing, total - preparing, source)


@contextlib.contextmanager
def _timed_preparations(model: Any) -> Iterator[list[float]]:
    """The seconds of each ``prepare_conditionals`` that ``model`` calls on itself, which it does inside generate."""
    seconds: list[float] = []

    def timed(*args: Any, **kwargs: Any) -> Any:
        # Found on the class anew each time: with the cache enabled, what is there is the cached method.
        method = vars(type(model))["prepare_conditionals"].__get__(model, type(model))
        started = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - started)

    model.prepare_conditionals = timed
    try:
        yield seconds
    finally:
        del model.prepare_conditionals


def _warm_up_and_weigh(model: Any, voice: Path) -> float | None:
    """Bytes that stay in use for each of upstream's own conditionals that is kept; None where that can't be seen.

    The first preparation is not counted in anything: it compiles, loads libraries and fills the allocator's pools.
    """
    started = time.perf_counter()
    model.prepare_conditionals(voice)
    kept = [model.conds]
    _say(f"The first preparation, which also warms up and isn't counted: {_time(time.perf_counter() - started)}.")
    before = _memory_in_use(model.device)
    for _ in range(KEPT):
        model.prepare_conditionals(voice)
        kept.append(model.conds)
    after = _memory_in_use(model.device)
    model.conds = None
    return None if before is None or after is None else (after - before) / KEPT


def _memory_in_use(device: Any) -> int | None:
    """Bytes in use on a GPU, or the resident set size of this process; None where the system doesn't say."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where there is no glibc
        ctypes.CDLL(None).malloc_trim(0)  # or what was freed, and is still the process's, would be counted as in use
    torch, kind = import_module("torch"), str(device).partition(":")[0]
    if kind != "cpu":
        return int(torch.mps.current_allocated_memory() if kind == "mps" else torch.cuda.memory_allocated(device))
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        asked = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, check=True)
        return int(asked.stdout) * 1024
    with contextlib.suppress(OSError):  # a container without ps
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _print_table(result: Comparison, published: bool) -> None:
    row = ROW.format
    print("", HEAD.format("", "without the cache", "with the cache", "voice", "same"), sep="\n")
    print(row("text", "prepare", "generate", "prepare", "generate", "from", "samples"))
    print("-" * 79)
    for text, one, other, same in zip(TEXTS, result.without, result.cached, result.same, strict=False):
        print(row(text, *_times(one), *_times(other), other.source, "yes" if same else "NO"))
    print("-" * 79)
    print(row("all four", *_times(*result.without), *_times(*result.cached), "", "").rstrip(), flush=True)
    new, verdict = result.restarted, "the same" if result.same[-1] else "NOT THE SAME"
    _say(
        "",
        f"After a new start (a new cache on the same folder) the first text's voice comes from {new.source}: prepared"
        f" in {_time(new.preparing)}, samples {verdict}.",
    )
    if not published:
        _say("The times of 'generate' are of random weights, cut short: not those of Chatterbox.")


def _memory(upstream: float | None, stats: Mapping[str, Any]) -> dict[str, float | None]:
    """Megabytes that stay in use for each voice that is kept."""
    return {
        "upstream_mb": None if upstream is None else upstream / 1e6,
        "cache_mb": stats["memory_size_mb"] / max(1, stats["memory_cached_items"]),
        "disk_mb": stats["disk_cache_size_mb"] / max(1, stats["disk_cached_items"]),
    }


def _print_memory(memory: Mapping[str, float | None], device: str) -> None:
    how, upstream = "resident memory" if device == "cpu" else "GPU memory", memory["upstream_mb"]
    held = "not measured on this system" if upstream is None else f"{upstream:.0f} MB of {how}"
    _say(
        "",
        "Memory that stays in use for each voice that is kept:",
        f"* upstream's own conditionals, with the autograd graph they hold: {held}",
        f"* the cache's copy: {memory['cache_mb']:.2f} MB in memory, {memory['disk_mb']:.2f} MB on disk",
    )


def _figures(result: Comparison) -> dict[str, Any]:
    """The tables of the comparison, for a program to read."""
    sides = zip(TEXTS, result.without, result.cached, result.same, strict=False)
    return {
        "same": all(result.same),
        "texts": [
            {"text": text, "same": same, "without_cache": _seconds(one), "with_cache": _seconds(other)}
            for text, one, other, same in sides
        ],
        "after_a_new_start": {"same": result.same[-1], **_seconds(result.restarted)},
    }


def _seconds(spoken: Spoken) -> dict[str, Any]:
    return {"voice_from": spoken.source, "prepare_seconds": spoken.preparing, "generate_seconds": spoken.generating}


def _write(out: Path, rate: int, result: Comparison, published: bool) -> list[Path]:
    """Write both sides of the comparison as wav files; with random weights their names say that they are noise."""
    soundfile = import_module("soundfile")
    paths = []
    for side, spoken in (("without-cache", result.without), ("with-cache", result.cached)):
        for number, one in enumerate(spoken, start=1):
            paths.append(out / f"{'speech' if published else 'noise'}-{number}-{side}.wav")
            soundfile.write(paths[-1], one.samples.squeeze(0).cpu().numpy(), rate)
    return paths


def _times(*spoken: Spoken) -> tuple[str, str]:
    return _time(sum(one.preparing for one in spoken)), _time(sum(one.generating for one in spoken))


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _say(*paragraphs: str) -> None:
    """Print, wrapped at 79 columns, and at once: in a pipe the order with what libraries print stays right."""
    for paragraph in paragraphs:
        indent = "  " if paragraph.startswith("* ") else ""
        print(textwrap.fill(paragraph, 79, subsequent_indent=indent, break_on_hyphens=False), flush=True)
