"""HTML from the templates beside this module; whatever is filled in is escaped."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import figures

_UNKNOWN = "\N{EN DASH}"


def _ago(moment: float) -> str:
    return f"{figures.span(time.time() - moment)} ago" if moment > 0 else _UNKNOWN


def _length(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else figures.length(seconds)


def list_at(wanted: str, order: str, page: int) -> str:
    """The address of a page of the list."""
    return f"/?{urlencode({'q': wanted, 'sort': order, 'page': page})}"


def turned(by: str, order: str) -> str:
    """The order that a click on the head of this column asks for, where the list is in this order."""
    if order.lstrip("-") == by:
        return by if order.startswith("-") else f"-{by}"
    return by if by == "name" else f"-{by}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=_ago, count=lambda number: f"{number:,}", counted=figures.counted, duration=figures.duration,
        length_of=_length, moment=figures.moment, segment=lambda text: quote(text, safe=""),
        size=figures.size, span=figures.span,
    )  # fmt: skip
    made.globals.update(at=list_at, turned=turned)
    return made


_TEMPLATES = _environment()


def rendered(template: str, **values: Any) -> str:
    """A page. Raises jinja2.UndefinedError for what it wants to say and was not told."""
    return _TEMPLATES.get_template(f"{template}.html").render(**values)
