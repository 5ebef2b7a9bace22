"""Pieces of HTML. What is a text becomes markup here alone, so that no name can be more than a name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ...library.voices import plain

_BAR_WIDTH = 100
_LONGEST = 1000  # characters: more than any advice with its paths has


def text(value: object) -> str:
    """A value as text: escaped, without what would steer what shows it, and cut where it would fill the page."""
    shown = plain(str(value))
    return escape(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}")


def name(value: object) -> str:
    """The same for what people have named, which may be written from right to left."""
    return f"<bdi>{text(value)}</bdi>"


def sentence(value: object) -> str:
    """The same for what this package says, in which `this` is to be typed."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(value))


def small(*lines: str) -> str:
    """Markup that says more below something, a line each; empty ones are left out."""
    return "".join(f"<small>{line}</small>" for line in lines if line)


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading."""
    return f"<section>\n<h2>{text(title)}</h2>\n{''.join(parts)}</section>\n"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of markup, its first column to the left and figures to the right."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def bar(share: float, *, of_a_limit: bool = False) -> str:
    """A bar for a share of 0 to 1, which a figure beside it says as well; where it is ``of_a_limit``, that is seen."""
    width = _BAR_WIDTH * min(1.0, max(0.0, share))
    track = f'<rect class="track" width="{_BAR_WIDTH}" height="4"/>' if of_a_limit else ""
    return (
        f'<svg class="bar" viewBox="0 0 {_BAR_WIDTH} 4" preserveAspectRatio="none" aria-hidden="true">'
        f'{track}<rect width="{width:.1f}" height="4"/></svg>'
    )
