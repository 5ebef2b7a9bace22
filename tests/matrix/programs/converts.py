"""Has a clip said by another voice, which it gives with each call: VOICE."""

import sys

from tests.matrix import studio

voice = sys.argv[1]
model = studio.converter()
for _ in range(studio.RUNS):
    audio = studio.seeded(model.generate, voice, target_voice_path=voice)
    studio.report(model.ref_dict, audio)
