"""Chatterbox is imported inside a function, and the voice is prepared apart from the text."""

import sys


def speak(voice):
    from chatterbox import ChatterboxTTS

    model = ChatterboxTTS.from_pretrained(device="cpu")
    for text in ("One.", "Two."):
        model.prepare_conditionals(voice, exaggeration=0.7)
        model.generate(text)


if __name__ == "__main__":
    speak(sys.argv[1])
