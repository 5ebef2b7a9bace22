"""Sizes and ages, as people type them."""

from __future__ import annotations

import re

import typer

from ..errors import SettingsError
from ..settings import resolve

_AGE_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def parse_size(text: str) -> int:
    """Bytes from "500MB", as for every setting. Wrong usage where it is none."""
    try:
        return resolve({"size_limit": text}).size_limit
    except SettingsError:
        raise typer.BadParameter(f"{text!r} is no size; write it like 500MB or 1.5GiB.") from None


def parse_age(text: str) -> float:
    """Seconds from "90d", "12h", "2w", "30m". Wrong usage where it is none."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no age; write it like 90d, 12h or 2w.")
    return float(match[1]) * _AGE_UNITS[match[2]]
