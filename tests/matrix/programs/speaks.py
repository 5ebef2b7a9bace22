"""Speaks as upstream's README has it, with a Chatterbox of any name: PACKAGE [CLASS] VOICE."""

import sys

from tests.matrix import studio

*which, voice = sys.argv[1:]
model = studio.model(*which)
for _ in range(studio.RUNS):
    audio = studio.seeded(model.generate, studio.TEXT, audio_prompt_path=voice)
    studio.report(model.conds, audio)
