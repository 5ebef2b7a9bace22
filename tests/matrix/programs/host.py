"""Registers nodes by the path of their files and runs them in inference mode, each time with a new file: NODE VOICE."""

import importlib.util
import sys
import time
from pathlib import Path

import soundfile
import torch

from tests.matrix import studio

node, voice = map(Path, sys.argv[1:])
name = str(node).replace(".", "_x_")
with torch.inference_mode():
    spec = importlib.util.spec_from_file_location(name, node / "__init__.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    samples, rate = soundfile.read(voice, dtype="float32")
    speaker = module.NODE_CLASS_MAPPINGS["Speak"]()
    for _ in range(studio.RUNS):
        studio.report(
            speaker.speak(studio.TEXT, {"waveform": torch.from_numpy(samples)[None, None], "sample_rate": rate})
        )
        time.sleep(1)  # libsndfile writes the second into a file of floats
