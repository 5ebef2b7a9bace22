"""Whether an entry that was made elsewhere is used here, and why not: what made it, compared with what is here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..upstream import packages
from . import setup
from .setup import PYTHON


@dataclass(frozen=True)
class Here:
    """What makes voices on this machine, as a program that changes no settings of PyTorch finds it."""

    chatterbox: str | None
    python: str
    libraries: Mapping[str, str | None]
    numerics: Mapping[str, tuple[str, ...]]
    devices: tuple[str, ...]


def here() -> Here:
    """Looks at what is installed. It loads PyTorch, which knows the devices, and not Chatterbox.

    ``numerics`` are the settings of PyTorch by type of device, the one to prefer first.
    """
    known = devices()
    numerics = {device: setup.numerics(device) for device in known}
    return Here(packages.installed_chatterbox(), PYTHON, packages.library_versions(), numerics, known)


def devices() -> tuple[str, ...]:
    """The types of the devices that PyTorch finds, the one to prefer first."""
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return tuple(device for device, is_there in found.items() if is_there)


def misfits(made_by: Mapping[str, Any], here: Here) -> list[str]:
    """Why an entry that was ``made_by`` this can't be a hit here, as phrases.

    Empty where only the weights, and the code of what Chatterbox is installed, decide.
    """
    said = []
    if here.chatterbox is None:
        said.append("Chatterbox is not installed here")
    if made_by["python"] != here.python:
        said.append(f"made with Python {made_by['python']}, here is {here.python}")
    theirs, ours = made_by["libraries"], here.libraries
    said.extend(
        f"made with {name} {theirs.get(name) or '(none)'}, here is {ours.get(name) or 'none'}"
        for name in sorted(ours)  # of others that it names it is not known here whether they count
        if theirs.get(name) != ours[name]
    )
    device = made_by["device"]
    if device not in here.devices:
        said.append(f"made on {device}, which is not here")
    elif tuple(made_by["numerics"]) != here.numerics[device]:
        ours_set = _listed(here.numerics[device])
        said.append(f"made with PyTorch set to {_listed(made_by['numerics'])}, here it is {ours_set}")
    return said


# What the fields of a made_by are called where a user is told why a voice was prepared again.
_PARTS = {"setup": "set-up", "code": "code", "python": "versions", "weights": "weights", "libraries": "versions"}


def new_parts(made_by: str, kept: Iterable[str]) -> tuple[str, ...]:
    """Which parts of ``made_by`` (see identity.Key) are new to all of ``kept``, going by the nearest of them.

    Such as ("weights",); code, versions, settings and set-up are the other parts. Empty where one is the same.
    """
    own = json.loads(made_by)
    nearest: set[str] | None = None
    for other in [json.loads(text) for text in kept if text]:
        new = {_PARTS.get(name, "settings") for name in {*own, *other} if own.get(name) != other.get(name)}
        nearest = new if nearest is None or len(new) < len(nearest) else nearest
    return tuple(sorted(nearest or ()))


def misfits_of_model(made_by: Mapping[str, Any], model: str) -> list[str]:
    """The same for one model, whose own ``made_by`` is the text ``model``; empty only where it is a hit for it."""
    own = json.loads(model)
    differing = [name for name in sorted({*own, *made_by}) if made_by.get(name) != own.get(name)]
    return [f"made by another model: {', '.join(differing)} differ"] if differing else []


def _listed(settings: Any) -> str:
    return " ".join(str(each) for each in settings if each)
