"""Several processes speak, each with a model of its own, which it inherits from the one that starts them."""

import multiprocessing
import sys

from chatterbox.tts import ChatterboxTTS

model = None


def speak(voice):
    return model.generate("Hello.", audio_prompt_path=voice).shape[-1]


if __name__ == "__main__":
    model = ChatterboxTTS.from_pretrained(device="cpu")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.map(speak, sys.argv[1:] * 2, chunksize=1))
