"""The model that the demo speaks with: the published one or, where it can't be had, one with random weights."""

from __future__ import annotations

import contextlib
import functools
import textwrap
from importlib import import_module
from typing import Any
from unittest import mock

from ..errors import in_short
from ..upstream.families import Variant, variant
from . import rehearsal
from .presentation import say

HUB_SECONDS = 10.0  # the longest that the hub may take to answer; a download may then take as long as it likes


def load(name: str, device: str) -> tuple[Any, bool]:
    """The model with its published weights and True or, where they can't be had, one with random weights and False."""
    try:
        return _published(variant(name), device), True
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's
        why = textwrap.shorten(in_short(error), 120, placeholder=" ...")
        say(
            f"The published weights can't be loaded here ({why}). So this goes on with RANDOM WEIGHTS.",
            "* A preparation is the full work on full-size encoders: its times are real.",
            "* A generation is cut short: its times are NOT those of Chatterbox.",
            "* What is said is noise, not speech.",
        )
    model: Any = getattr(rehearsal, name)(device=device)
    for module in ("chatterbox.models.t3.t3", "chatterbox.models.s3gen.flow_matching"):
        steps: Any = import_module(module)
        if hasattr(steps, "tqdm"):
            steps.tqdm = functools.partial(steps.tqdm, disable=True)  # a dozen steps need no progress bar
    return model, False


def _published(variant: Variant, device: str) -> Any:
    """What the class's own ``from_pretrained`` gives.

    The hub's client retries for minutes when there is no network, so the hub is asked for a sign of life first. Without
    one, only what was downloaded before is looked at. Raises what the hub's client raises.
    """
    family, arguments = variant
    module, hub, constants = map(import_module, (family.module, "huggingface_hub", "huggingface_hub.constants"))
    silence: Exception | None = None
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(module.REPO_ID, "conds.pt"), timeout=HUB_SECONDS)
    except Exception as error:
        silence = error
    offline = mock.patch.object(constants, "HF_HUB_OFFLINE", True) if silence else contextlib.nullcontext()
    try:
        with offline:
            return getattr(module, family.class_name).from_pretrained(device, **arguments)
    except OSError as error:
        raise silence or error from error
