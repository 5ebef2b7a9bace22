"""The parts of the report, each made from the savings."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence

from ...accounting.days import DayAccount
from ...figures import counted, duration, length, moment, size
from ...library.savings import NoHit, Savings, SettingInForce, VoiceSavings
from ...library.tier_states import TierState
from ...settings import DEFAULT, ENVIRONMENT, KEYWORD
from . import chart
from .markup import bar, name, section, sentence, small, table, text

_FIRST, _LISTED = 15, 500  # voices that are seen at once, and those that have a row at all
_FROM = {KEYWORD: "given with the command", DEFAULT: "default"}


def tiles(savings: Savings) -> str:
    """The main figures."""
    calls = savings.hits + savings.misses + savings.bypasses
    share = f"{savings.hits / calls:.0%} of {counted(calls, 'call', 'calls')}" if calls else "of no calls"
    shown = [
        (duration(savings.saved_seconds), "of preparation saved"),
        (f"{savings.hits:,}", f"hits, {share}"),
        (f"{savings.misses:,}", f"misses, prepared in {duration(savings.prepare_seconds)}"),
        (f"{savings.bypasses:,}", "calls that went round the cache"),
    ]
    cells = [f"<b>{text(figure)}</b>{text(what)}" for figure, what in shown]
    return (
        f'<ul class="tiles"><li class="first">{cells[0]}</li>{"".join(f"<li>{cell}</li>" for cell in cells[1:])}</ul>\n'
    )


def by_day(savings: Savings) -> str:
    """Bars, and the figures of every day."""
    if not savings.days:
        return section("Saved by day", "<p>No day has been counted yet.</p>\n")
    today = datetime.datetime.fromtimestamp(savings.looked_at, datetime.timezone.utc).date()
    rows = table(("Day", "Saved", "Hits", "Misses", "Round it"), map(_day, reversed(savings.days)))
    every = f"<details><summary>{counted(len(savings.days), 'day', 'days')} in figures</summary>\n{rows}</details>\n"
    return section("Saved by day", chart.by_day(savings.days, today), every)


def _day(day: DayAccount) -> tuple[str, ...]:
    numbers = (day.hits, day.misses, day.bypasses)
    return (text(day.day), text(duration(day.saved_seconds)), *(f"{number:,}" for number in numbers))


def by_voice(savings: Savings) -> str:
    """Those that saved most, then the others."""
    if not savings.voices:
        return section("Saved by voice", "<p>No voice is known by name yet.</p>\n")
    heads, top = ("Voice, last used", "Hits", "Saved"), savings.voices[0].saved_seconds
    first, more, others = savings.voices[:_FIRST], savings.voices[_FIRST:_LISTED], savings.voices[_LISTED:]
    parts = [table(heads, [_voice(voice, top) for voice in first])]
    if more:
        rows = [_voice(voice, top) for voice in more] + ([_others(others)] if others else [])
        summary = counted(len(more) + len(others), "other voice", "other voices")
        parts.append(f"<details><summary>{summary}</summary>\n{table(heads, rows)}</details>\n")
    return section("Saved by voice", *parts)


def _others(voices: Sequence[VoiceSavings]) -> tuple[str, ...]:
    hits, saved = sum(voice.hits for voice in voices), sum(voice.saved_seconds for voice in voices)
    return f"{len(voices):,} more", f"{hits:,}", text(duration(saved))


def _voice(voice: VoiceSavings, top: float) -> tuple[str, ...]:
    used = moment(voice.last_used)
    more = used if voice.duration is None else f"{used}, {length(voice.duration)}"
    said = name(voice.name) + small(text(more)) + bar(voice.saved_seconds / top if top > 0 else 0)
    return said, f"{voice.hits:,}", text(duration(voice.saved_seconds))


def by_tier(savings: Savings) -> str:
    """Where hits came from."""
    whole = max(1, savings.hits)
    rows = [
        (text(tier) + bar(hits / whole), f"{hits:,}", f"{hits / whole:.0%}")
        for tier, hits in savings.hits_by_tier.items()
    ]
    return section("Hits by tier", table(("Tier", "Hits", "Share"), rows))


def no_hits(savings: Savings) -> str:
    """Why calls were none and what would help, and what failed."""
    parts = [table(("Why", "Calls"), map(_no_hit, savings.no_hits))] if savings.no_hits else []
    if not parts:
        parts.append("<p>Every call was a hit.</p>\n" if savings.hits else "<p>There were no calls yet.</p>\n")
    if savings.errors:
        failures = [(text(place), f"{times:,}") for place, times in savings.errors.items()]
        parts.append(
            "<p>Failures of the cache itself, which no caller noticed. <code>chatterbox-cached doctor</code> says what"
            f" to do.</p>\n{table(('Place', 'Times'), failures)}"
        )
    return section("Why calls were no hits", *parts)


def _no_hit(why: NoHit) -> tuple[str, ...]:
    return f"{text(why.reason)}{small(text(why.kind), sentence(why.advice))}", f"{why.calls:,}"


def tiers(savings: Savings) -> str:
    """Each with its state, and how full it is."""
    return section("Tiers", table(("Tier, nearest first", "Holds"), map(_tier, savings.tiers)))


def _tier(tier: TierState) -> tuple[str, ...]:
    state = (
        f'<span class="warn">{text(tier.state)}. {sentence(tier.advice)}</span>' if tier.advice else text(tier.state)
    )
    full = "" if tier.nbytes is None or not tier.limit else bar(tier.nbytes / tier.limit, of_a_limit=True)
    return f"{text(tier.kind)}{small(name(tier.where), state)}{full}", "".join(_holds(tier))


def _holds(tier: TierState) -> Iterator[str]:
    if tier.voices is not None:
        yield text(counted(tier.voices, "voice", "voices"))
    room = "" if tier.limit is None else f"of {size(tier.limit)}"
    if tier.nbytes is not None:
        yield small(text(f"{size(tier.nbytes)} {room}".rstrip()))
    elif room:
        yield small(text(f"at most {size(tier.limit or 0)}"))


def settings(savings: Savings) -> str:
    """Those in force, with where each came from: what is not as it comes first."""
    ordered = sorted(savings.settings, key=lambda setting: setting.source == DEFAULT)
    return section(
        "Settings in force",
        f'<div class="words">\n{table(("Setting", "Value", "From"), map(_setting, ordered))}</div>\n',
    )


def _setting(setting: SettingInForce) -> tuple[str, ...]:
    source = f"<code>{text(setting.variable)}</code>" if setting.source == ENVIRONMENT else text(_FROM[setting.source])
    strong = "span" if setting.source == DEFAULT else "strong"
    return f"<code>{text(setting.name)}</code>", f"<{strong}>{text(setting.value)}</{strong}>", source


ALL: tuple[Callable[[Savings], str], ...] = (by_day, by_voice, by_tier, no_hits, tiers, settings)
