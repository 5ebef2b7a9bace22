"""The easiest way: a ConditionalCache, several texts in one voice, then several voices.

    python simple_caching.py my_voice.wav another_voice.wav

Run it twice: the second time every voice comes from the folder ./tts_cache.
"""

import argparse
from pathlib import Path

import torch
import torchaudio
from chatterbox.mtl_tts import ChatterboxMultilingualTTS

from chatterbox_cached import ConditionalCache

TEXTS = ["The first text needs the voice.", "The second one finds it ready.", "And so does the third."]


def main():
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    model = ChatterboxMultilingualTTS.from_pretrained(device=options.device)
    cache = ConditionalCache(cache_dir=options.cache_dir)

    print("Several texts in one voice:")
    for number, text in enumerate(TEXTS, start=1):
        # verbose prints where the voice came from: upstream (it was prepared just now), memory or disk.
        cache.get_or_prepare(model, options.voices[0], exaggeration=0.5, verbose=True)
        wav = model.generate(text, language_id="en", exaggeration=0.5)
        save(options.out / f"text-{number}.wav", wav, model.sr)

    print("Several voices, in turns:")
    for turn in (1, 2):
        for number, voice in enumerate(options.voices, start=1):
            cache.get_or_prepare(model, voice, exaggeration=0.5, verbose=True)
            wav = model.generate("Now it is my turn to speak.", language_id="en", exaggeration=0.5)
            save(options.out / f"voice-{number}-turn-{turn}.wav", wav, model.sr)

    print(cache)


def save(path, wav, sample_rate):
    torchaudio.save(str(path), wav, sample_rate)
    print(f"  wrote {path}")


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
