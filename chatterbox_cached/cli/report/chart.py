"""Seconds saved by day as bars; by week where days would be too many to see."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ...accounting.days import DayAccount
from ...figures import counted, duration
from .markup import text

_LEAST, _MOST = 14, 365  # days that are shown
_AS_DAYS = 92
_WEEK = 7
_STEP, _GAP, _HEIGHT, _SEEN = 10, 2, 100, 1.5


class _Period(NamedTuple):
    """A day or a week; its days by their numbers in Python's calendar, the first of which was a Monday."""

    first: int
    last: int
    saved: float
    hits: int

    def __str__(self) -> str:
        days = [datetime.date.fromordinal(day).isoformat() for day in dict.fromkeys((self.first, self.last))]
        return " to ".join(days)


def by_day(days: Sequence[DayAccount], today: datetime.date) -> str:
    """The last year at most, up to ``today``; each bar says in words what it shows."""
    periods = _periods(days, today.toordinal())
    top = max(each.saved for each in periods)
    if top <= 0:
        return "<p>No seconds were saved on these days.</p>\n"
    bars = "".join(_bar(number, each, top) for number, each in enumerate(periods))
    unit = "day" if periods[0].first == periods[0].last else "week"
    ends = f"{_date(periods[0].first)} to {_date(periods[-1].last)}"
    return (
        f'<figure>\n<div class="scale"><span>{text(duration(top))}</span><span>{text(duration(top / 2))}</span>'
        "<span>0</span></div>\n"
        f'<svg class="chart" role="img" aria-label="Saved by {unit}, {ends}" viewBox="0 0 {_STEP * len(periods)}'
        f' {_HEIGHT}" preserveAspectRatio="none">\n{_lines(len(periods))}{bars}</svg>\n'
        f'<div class="axis">{_axis(periods)}</div>\n<figcaption>Each bar is a {unit}, by UTC.</figcaption>\n</figure>\n'
    )


def _periods(days: Sequence[DayAccount], today: int) -> list[_Period]:
    counted_on = {datetime.date.fromisoformat(each.day).toordinal(): each for each in days}
    start = max(min(min(counted_on), today - _LEAST + 1), today - _MOST + 1, 1)
    length = 1 if today - start < _AS_DAYS else _WEEK
    saved, hits = defaultdict[int, float](float), defaultdict[int, int](int)
    for number, each in counted_on.items():
        saved[_first(number, length)] += each.saved_seconds
        hits[_first(number, length)] += each.hits
    firsts = range(_first(start, length), today + 1, length)
    return [_Period(first, min(first + length - 1, today), saved[first], hits[first]) for first in firsts]


def _first(day: int, length: int) -> int:
    """The first day of the period that a day is in."""
    return day - (day - 1) % length


def _bar(number: int, period: _Period, top: float) -> str:
    height = max(_SEEN, _HEIGHT * period.saved / top) if period.saved > 0 else 0.0
    said = f"{period}: {duration(period.saved)} saved, {counted(period.hits, 'hit', 'hits')}"
    return (
        f'<g><title>{text(said)}</title><rect class="all" x="{number * _STEP}" width="{_STEP}" height="{_HEIGHT}"/>'
        f'<rect x="{number * _STEP + _GAP / 2:g}" y="{_HEIGHT - height:.1f}" width="{_STEP - _GAP}"'
        f' height="{height:.1f}"/></g>\n'
    )


def _lines(periods: int) -> str:
    return "".join(f'<path d="M0 {y}H{_STEP * periods}"/>' for y in (0, _HEIGHT // 2, _HEIGHT))


def _axis(periods: Sequence[_Period]) -> str:
    shown = (periods[0].first, periods[len(periods) // 2].first, periods[-1].last)
    return "".join(f"<span>{_date(day)}</span>" for day in shown)


def _date(day: int) -> str:
    return datetime.date.fromordinal(day).isoformat()
