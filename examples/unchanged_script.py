"""An ordinary Chatterbox script. One call makes it prepare the voice once, in this and in every later run.

    python unchanged_script.py my_voice.wav

The voices are kept in the user's cache folder.
"""

import argparse
from pathlib import Path

import torch
import torchaudio
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached

chatterbox_cached.enable()  # the one line that was added, with its import; all below is an ordinary script

best_device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("voice", help="audio file with the reference voice")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the wav files")
parser.add_argument("--device", default=best_device, help="cuda, mps or cpu")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

model = ChatterboxTTS.from_pretrained(device=options.device)

# In the model's own voice
wav = model.generate("This is the voice that comes with the model.")
torchaudio.save(str(options.out / "builtin.wav"), wav, model.sr)

# In the voice of an audio file
for number, text in enumerate(["And this is another voice.", "It needs no second preparation."], start=1):
    wav = model.generate(text, audio_prompt_path=options.voice)
    torchaudio.save(str(options.out / f"voice-{number}.wav"), wav, model.sr)

print(f"Wrote {len(list(options.out.glob('*.wav')))} files to {options.out}.")
print(chatterbox_cached.get_cache())  # only to see what was done; the script doesn't need it
