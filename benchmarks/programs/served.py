"""A small server, as public ones are: one model, a thread for each request, the upload in a new temporary file.

FastAPI and what it needs are there wherever chatterbox-tts is, which brings gradio.
"""

from __future__ import annotations

import io
import shutil
import socket
import threading
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import soundfile
import torch
import uvicorn
from fastapi import FastAPI, Form, Response, UploadFile

from .. import ways
from ..parts.room import resident
from ..stage import Stage, begun_in_child
from .speech import SHORT, chunks, counted, say_the_voice

Figures = dict[str, Any]


def app(model: Any) -> FastAPI:
    """``POST /speech`` with the form fields ``text`` and ``voice``, a file, answers with a wav."""
    served = FastAPI()

    @served.post("/speech")
    def speech(text: Annotated[str, Form()], voice: UploadFile) -> Response:
        with NamedTemporaryFile(suffix=".wav") as file:
            shutil.copyfileobj(voice.file, file)
            file.flush()
            said = [model.generate(chunk, audio_prompt_path=file.name) for chunk in chunks(text)]
        return Response(_wav(torch.cat(said, dim=1), model.sr), media_type="audio/wav")

    return served


def _wav(said: torch.Tensor, rate: int) -> bytes:
    """As float32, so that what is said arrives bit for bit."""
    file = io.BytesIO()
    soundfile.write(file, said[0].numpy(), rate, subtype="FLOAT", format="WAV")
    return file.getvalue()


def while_served(stage: Stage, way: ways.Upstream, drive: Callable[[int], Any]) -> tuple[Any, Figures]:
    """What ``drive(port)`` gives in a fork of this process, which serves meanwhile; then what that took."""
    say_the_voice(way.model)
    way.model.generate(SHORT, audio_prompt_path=str(stage.clips[6]))  # the first allocates what later ones use again
    way.model.conds = None
    server = uvicorn.Server(uvicorn.Config(app(way.model), log_level="critical"))
    told: list[Any] = []

    def wait() -> None:
        try:
            told.append(driven())
        finally:
            server.should_exit = True

    before = resident()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        driven = begun_in_child(_driven, drive, listening)  # now, for a fork has only one of the threads
        waiting = threading.Thread(target=wait)
        with counted(way) as figures:
            waiting.start()
            server.run(sockets=[listening])
            waiting.join()
    (answer,) = told
    return answer, figures | {"memory grown by (MB)": (resident() - before) / 1e6}


def _driven(drive: Callable[[int], Any], listening: socket.socket) -> Any:
    port = listening.getsockname()[1]
    listening.close()  # else this process would wait for a server that is gone
    return drive(port)
