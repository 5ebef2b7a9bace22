"""Its copy's ``prepare_conditionals`` returns the conditionals, and ``generate`` takes them: PACKAGE VOICE."""

import sys

from tests.matrix import studio

package, voice = sys.argv[1:]
model = studio.model(package)
for _ in range(studio.RUNS):
    conditionals = model.prepare_conditionals(voice, exaggeration=0.6)
    studio.report(conditionals)
    studio.report(studio.seeded(model.generate, studio.TEXT, conditionals, exaggeration=0.6))
