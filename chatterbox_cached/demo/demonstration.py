"""Four texts in one voice, without the cache and with it: timed, compared, and written as sound."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..upstream.families import Family, variant
from . import comparison, loading, memory, rehearsal
from .comparison import Comparison, Spoken
from .presentation import print_memory, print_table, say


def run(voice: Path | None, out: Path, device: str, model_name: str) -> dict[str, Any]:
    """Run the demo and print what it finds; gives the same as figures. ``same`` is whether no sample was changed."""
    out.mkdir(parents=True, exist_ok=True)
    reference = voice or rehearsal.reference_clip(out / "reference.wav")
    say(f"Reference voice: {reference}" + ("" if voice else " (synthetic; --voice FILE takes a real one)"))
    say("Loading Chatterbox and looking for its published weights ...")
    model, published = loading.load(model_name, device)
    family = variant(model_name).family
    kept_by_upstream = memory.warm_up_and_weigh(model, family, reference)
    if published and device == "cpu":
        say("On a CPU a generation takes far longer than a preparation: this may take several minutes.")
    calls = calls_of(family, out)
    result = comparison.compare(
        model, family, [{**call, family.prompt: str(reference)} for call in calls.values()], say
    )
    print_table(_given(family), list(calls), result, published)
    kept = memory.per_voice(kept_by_upstream, result.stats)
    print_memory(kept, device)
    say("", "Written:" if published else "Written (noise, see above):")
    written = _write(out, model.sr, result, published)
    for path in written:
        print(f"  {path}", flush=True)
    if all(result.same):
        say("", "All samples are equal with the cache and without it (torch.equal).")
    else:
        say("", "THE SAMPLES DIFFER with the cache: this is a bug in it. Please report it with this output.")
    about = {"model": model_name, "device": device, "voice": str(reference), "published_weights": published}
    figures = _figures(_given(family), list(calls), result)
    return {**about, **figures, "memory_per_voice": kept, "files": [str(path) for path in written]}


def _given(family: Family) -> str:
    """What such a model is given to speak, in a word."""
    return "text" if family.speaks_texts else "clip"


def calls_of(family: Family, out: Path) -> dict[str, dict[str, Any]]:
    """The arguments of four calls without the voice, by what the tables call them; clips are made up, in ``out``."""
    if family.speaks_texts:
        language = {"language_id": "en"} if family.name == "multilingual" else {}
        return {text: {"text": text, **language} for text in comparison.TEXTS}
    clips = [out / f"source-{number}.wav" for number in range(1, len(comparison.TEXTS) + 1)]
    for seed, clip in enumerate(clips, start=1):
        rehearsal.reference_clip(clip, seconds=2, seed=seed)
    return {clip.name: {"audio": str(clip)} for clip in clips}


def _figures(given: str, names: list[str], result: Comparison) -> dict[str, Any]:
    """The tables of the comparison, for a program to read."""
    sides = zip(names, result.without, result.cached, result.same, strict=False)
    return {
        "same": all(result.same),
        f"{given}s": [
            {given: name, "same": same, "without_cache": _seconds(one), "with_cache": _seconds(other)}
            for name, one, other, same in sides
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
