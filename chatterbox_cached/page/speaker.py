"""The model that voices are prepared and tried with: it is loaded, and works, in the main thread, one job at a time.

There Ctrl-C reaches it at once, and no two calls are made of one model.
"""

from __future__ import annotations

import io
import queue
import wave
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ..cache import ConditionalCache
from ..errors import ChatterboxCachedError
from ..named.names import PREFIX

_Result = TypeVar("_Result")
_Job = tuple[Callable[[], Any], "Future[Any]"]
LONGEST_TEXT = 300
_TICK_SECONDS = 0.5  # for where a wait can't be interrupted


class Speaker:
    """``name``: of the model, None where the page has none. ``failed``: why it could not be loaded, or None."""

    def __init__(self, name: str | None, load: Callable[[], Any]) -> None:
        self.name, self._load = name, load
        self.model: Any = None
        self.failed: str | None = None
        self.ended = False
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    @property
    def is_there(self) -> bool:
        """Whether there is a model, or will be one in a moment."""
        return self.name is not None and self.failed is None

    @property
    def state(self) -> str:
        """How it is, in a few words; empty where there is no model."""
        if self.name is None:
            return ""
        if self.failed is not None:
            return self.failed
        return f"{self.name} is {'being loaded' if self.model is None else 'ready'}"

    @property
    def speaks(self) -> bool:
        """Whether it speaks texts, as far as is known before it is loaded."""
        return self.is_there and self.name != "vc"

    @property
    def wants_language(self) -> bool:
        return self.name == "multilingual"

    def work(self) -> None:
        """Load the model, then do one job after the other, until ``ended`` is set or an exception ends it."""
        if self.name is not None:
            try:
                self.model = self._load()
            except ChatterboxCachedError as error:
                self.failed = str(error)
        while not self.ended:
            try:
                do, future = self._jobs.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            _done(do, future)

    def do(self, job: Callable[[Any], _Result]) -> Future[_Result]:
        """Have the main thread call ``job`` with the model, as soon as it is loaded and idle."""
        future: Future[_Result] = Future()
        self._jobs.put((lambda: job(self._loaded()), future))
        return future

    def _loaded(self) -> Any:
        if self.model is None:
            raise ChatterboxCachedError(self.failed or "This page has no model. Start it with --model.")
        return self.model

    def say(self, cache: ConditionalCache, name: str, text: str, language: str) -> Future[bytes]:
        """What the model makes of a text in the voice that has this name, as a wav."""
        more = {"language_id": language} if self.wants_language else {}
        return self.do(lambda model: _said(cache, model, name, text, more))


def _done(do: Callable[[], Any], future: Future[Any]) -> None:
    try:
        result = do()
    except Exception as error:  # upstream's, whatever it thinks of this voice
        future.set_exception(error)
    except BaseException:
        future.cancel()
        raise
    else:
        future.set_result(result)


def _said(cache: ConditionalCache, model: Any, name: str, text: str, more: dict[str, str]) -> bytes:
    cache.get_or_prepare(model, f"{PREFIX}{name}")
    sound = model.generate(text, **more)
    samples = (sound.detach().cpu().float().flatten().clamp(-1, 1) * 32767).short().numpy()
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, int(model.sr), 0, "NONE", "not compressed"))
        file.writeframes(samples.astype("<i2").tobytes())
    return written.getvalue()
