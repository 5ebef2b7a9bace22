"""A comparison: the same texts with and without the cache, pre-warming, and what a second start finds on disk.

    python with_caching.py my_voice.wav another_voice.wav

For a comparison from an empty cache, remove the folder ./tts_cache before you run it again.
"""

import argparse
import time
from pathlib import Path

import torch
import torchaudio
from chatterbox.mtl_tts import ChatterboxMultilingualTTS

from chatterbox_cached import ConditionalCache

TEXTS = ["Here is the news.", "It will rain in the north.", "The south stays dry.", "That was the weather."]
EXAGGERATION = 0.5


def main():
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    voice = options.voices[0]
    model = ChatterboxMultilingualTTS.from_pretrained(device=options.device)

    # The first preparation in a process also loads libraries. It is not timed, so that the comparison is a fair one.
    model.prepare_conditionals(voice, exaggeration=EXAGGERATION)

    print("Without the cache:")
    without = speak(model, options.out, "without", lambda: model.prepare_conditionals(voice, exaggeration=EXAGGERATION))

    print("Pre-warming: every voice once, before the first text is there.")
    cache = ConditionalCache(cache_dir=options.cache_dir)
    for each in options.voices:
        cache.get_or_prepare(model, each, exaggeration=EXAGGERATION, verbose=True)

    print("With the cache:")
    cached = speak(model, options.out, "with", lambda: cache.get_or_prepare(model, voice, exaggeration=EXAGGERATION))
    print(f"All preparations: {without:.2f} s without the cache, {cached:.3f} s with it.")

    print("A second cache on the same folder, as after a new start:")
    second = ConditionalCache(cache_dir=options.cache_dir)
    for each in options.voices:
        second.get_or_prepare(model, each, exaggeration=EXAGGERATION, verbose=True)

    print("Statistics of the first cache:")
    for name, value in cache.get_cache_stats().items():
        print(f"  {name}: {value}")
    print(f"The first:  {cache}")
    print(f"The second: {second}")


def speak(model, out, name, prepare):
    """Speak all texts and print the times of each; returns the seconds that went into preparations."""
    preparing = 0.0
    for number, text in enumerate(TEXTS, start=1):
        start = time.perf_counter()
        prepare()
        prepared = time.perf_counter()
        wav = model.generate(text, language_id="en", exaggeration=EXAGGERATION)
        generated = time.perf_counter()
        path = out / f"{name}-{number}.wav"
        torchaudio.save(str(path), wav, model.sr)
        print(f"  {path}: prepared in {prepared - start:.4f} s, generated in {generated - prepared:.2f} s")
        preparing += prepared - start
    return preparing


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", nargs="+", help="audio files with one reference voice each")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the wav files")
    parser.add_argument("--cache-dir", default="./tts_cache", help="folder that keeps the voices")
    parser.add_argument("--device", default=best_device(), help="cuda, mps or cpu")
    return parser.parse_args()


def best_device():
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


if __name__ == "__main__":
    main()
