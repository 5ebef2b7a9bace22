"""What the small programs share: a model with random weights in place of ``from_pretrained``, and what they print."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from chatterbox_cached.demo import rehearsal, shortening, tokenizers
from tests.matrix.digests import digest
from tests.support import shallow

RUNS = 3
TEXT = "Hello there."


def model(package: str = "chatterbox", class_name: str = "ChatterboxTTS") -> Any:
    """An English model of the Chatterbox that is called ``package`` here."""
    warnings.simplefilter("ignore")
    shallow.make_shallow()
    with _called(package):
        shallow.make_copy_shallow(package)
        kind = tokenizers.KINDS["english"]._replace(class_name=class_name)
        with mock.patch.dict(tokenizers.KINDS, english=kind):
            return rehearsal.english(max_new_tokens=6)


def converter() -> Any:
    """A ``ChatterboxVC`` likewise."""
    perth: Any = importlib.import_module("perth")
    with mock.patch.object(perth, "PerthImplicitWatermarker", perth.DummyWatermarker):
        return importlib.import_module("chatterbox.vc").ChatterboxVC(model().s3gen, "cpu")


def seeded(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    return act(*args, **kwargs)


def report(*made: Any) -> None:
    """Print what one run made, in short."""
    print("made", *map(digest, made), flush=True)


@contextmanager
def _called(package: str) -> Iterator[None]:
    """Have the rehearsal build models of a copy's classes: it imports those of ``chatterbox``."""

    def import_module(name: str) -> ModuleType:
        root, dot, rest = name.partition(".")
        return importlib.import_module(f"{package if root == 'chatterbox' else root}{dot}{rest}")

    with ExitStack() as patches:
        for module in (rehearsal, shortening, tokenizers):
            patches.enter_context(mock.patch.object(module, "import_module", import_module))
        yield
