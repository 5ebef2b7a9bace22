"""A node with a Chatterbox of its own beside it, as host.py loads it from a folder."""

import os
import tempfile

import soundfile

from tests.matrix import studio


class Speak:
    model = None

    def speak(self, text, audio):
        if Speak.model is None:
            Speak.model = studio.model(f"{__name__}.local_chatterbox")
        handle, path = tempfile.mkstemp(suffix=".wav")
        try:
            soundfile.write(path, audio["waveform"][0, 0].numpy(), audio["sample_rate"], subtype="FLOAT")
            return studio.seeded(Speak.model.generate, text, audio_prompt_path=path)
        finally:
            os.close(handle)
            os.unlink(path)


NODE_CLASS_MAPPINGS = {"Speak": Speak}
