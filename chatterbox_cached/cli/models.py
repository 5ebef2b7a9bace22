"""Loading a real model for the verbs that prepare voices."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ChatterboxCachedError
from ..families import named


class ModelError(ChatterboxCachedError):
    """A model can't be loaded."""


class Model(str, Enum):
    """The models that are cached."""

    english = "english"
    multilingual = "multilingual"


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

    Raises ChatterboxCachedError where that fails, with upstream's reason.
    """
    from ..fit import devices

    family = named(model.value)
    try:
        kind = getattr(import_module(family.module), family.class_name)
        chosen = device or devices()[0]
        return kind.from_pretrained(chosen) if checkpoint is None else kind.from_local(checkpoint, chosen)
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's
        raise ModelError(
            f"The {model.value} model can't be loaded ({in_short(error)}). Run: chatterbox-cached doctor"
        ) from error


def in_short(error: BaseException) -> str:
    """An error as one line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What other people's code prints goes to stderr, where it can't get into our figures, and no deprecations."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        yield
