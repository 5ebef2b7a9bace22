"""Loading a real model for the verbs that prepare voices."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from ..errors import ChatterboxCachedError, in_short
from ..upstream.families import Family, variant


class ModelError(ChatterboxCachedError):
    """A model can't be loaded."""


class Model(str, Enum):
    """The models that are cached."""

    english = "english"
    multilingual = "multilingual"
    turbo = "turbo"
    nano = "nano"
    vc = "vc"

    @property
    def family(self) -> Family:
        """Its class."""
        return variant(self.value).family


ModelOption = Annotated[Model, typer.Option("--model", help="Which model prepares the voices.")]
Device = Annotated[
    str | None, typer.Option("--device", help="cuda, mps or cpu. Without it the first of these that is there.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="FOLDER", help="Load the weights from this folder, as from_local() does.", exists=True
    ),
]


def load(model: Model, device: str | None, checkpoint: Path | None = None) -> Any:
    """The model with its weights, as ``from_pretrained`` or ``from_local`` gives it.

    Raises ModelError where that fails, with upstream's reason.
    """
    from ..identity.compatibility import devices

    family, arguments = variant(model.value)
    try:
        with heeding_ctrl_c():
            kind = getattr(import_module(family.module), family.class_name)
            if not arguments.keys() <= inspect.signature(kind.from_pretrained).parameters.keys():
                raise ModelError(
                    f"This Chatterbox has no {model.value} model: it came after 0.1.7. Install a newer one."
                )
            chosen = device or devices()[0]
            if checkpoint is None:
                return kind.from_pretrained(chosen, **arguments)
            return kind.from_local(checkpoint, chosen, **arguments)
    except ModelError:
        raise
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's
        raise ModelError(
            f"The {model.value} model can't be loaded ({in_short(error)}). {_advice(error, checkpoint)}"
        ) from error


def _advice(error: Exception, checkpoint: Path | None) -> str:
    if isinstance(error, (ImportError, TypeError)):  # the watermarker is None where it can't be imported
        return "Run: chatterbox-cached doctor"
    if checkpoint is not None:
        return "Look at --checkpoint and --device."
    return "Look at the network and at --device, or give a folder with the weights: --checkpoint."


@contextlib.contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends this block even where a library swallows it.

    PyTorch does: when it is imported it imports NumPy, and takes any exception of that to mean that there is none.
    """
    came, before = False, signal.getsignal(signal.SIGINT)
    if not callable(before):  # it is ignored, or Python knows nothing of it
        yield
        return

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    except Exception:
        if not came:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What other people's code prints goes to stderr, where it can't get into our figures, and no deprecations."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        hush_libraries()
        yield


def hush_libraries() -> None:
    """No deprecations of other people's code, from here on; the cache's own warnings are shown."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message="PySoundFile failed")  # what comes of it is said
