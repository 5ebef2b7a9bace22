"""A dialogue: two speakers, each with a voice and an exaggeration, and no way to mix them up.

    python dialogue.py anna.wav ben.wav

The voices are kept in ./tts_cache, each once, whatever exaggeration it is used with.
"""

import argparse
from pathlib import Path

import torch
import torchaudio
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached

LINES = [
    ("Anna", "Did you hear that?"),
    ("Ben", "Hear what?"),
    ("Anna", "Someone is at the door!"),
    ("Ben", "It is only the wind."),
]


def main():
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    speakers = {"Anna": (options.anna, 0.7), "Ben": (options.ben, 0.3)}

    # on_mismatch="follow": a generate() without an exaggeration speaks with the one that the voice was prepared with.
    # (Chatterbox by itself would silently speak with 0.5.)
    cache = chatterbox_cached.enable(options.cache_dir, on_mismatch="follow")
    model = ChatterboxTTS.from_pretrained(device=options.device)

    # One way: voice and exaggeration go to generate(), together with the text. Nothing else is needed.
    wavs = []
    for number, (speaker, text) in enumerate(LINES):
        voice, exaggeration = speakers[speaker]
        torch.manual_seed(number)
        wavs.append(model.generate(text, audio_prompt_path=voice, exaggeration=exaggeration))
        path = options.out / f"{number + 1}-{speaker}.wav"
        torchaudio.save(str(path), wavs[-1], model.sr)
        print(f"wrote {path}, exaggeration {exaggeration}")

    # The other way: the voice is set first, and generate() follows it. Shown with the first line of each.
    for number, (speaker, text) in enumerate(LINES[:2]):
        voice, exaggeration = speakers[speaker]
        cache.get_or_prepare(model, voice, exaggeration=exaggeration, verbose=True)
        torch.manual_seed(number)
        wav = model.generate(text)
        print(f"{speaker}, exaggeration {exaggeration} followed: same samples = {torch.equal(wav, wavs[number])}")

    print(cache)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("anna", help="audio file with Anna's voice")
    parser.add_argument("ben", help="audio file with Ben's voice")
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
