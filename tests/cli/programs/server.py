"""A server that speaks in the voice that it is sent, from a new temporary file each time."""

import os
from functools import cache
from tempfile import NamedTemporaryFile

from fastapi import FastAPI, Request

app = FastAPI()


@cache
def model():
    from chatterbox.tts import ChatterboxTTS

    return ChatterboxTTS.from_pretrained(device="cpu")


@app.post("/speak")
async def speak(request: Request):
    with NamedTemporaryFile(suffix=".wav") as file:
        file.write(await request.body())
        file.flush()
        wav = model().generate("Hello.", audio_prompt_path=file.name)
    return {"process": os.getpid(), "samples": wav.shape[-1]}
