"""The exaggeration guard speaks up when it should, once, about the caller's own line, and not otherwise."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import chatterbox_cached
from chatterbox_cached import notices
from chatterbox_cached.errors import CacheWarning, ExaggerationMismatchError, ExaggerationMismatchWarning
from chatterbox_cached.notices import tell, warn_caller
from chatterbox_cached.upstream import guard

DEFAULT = 0.5


class Conditionals:
    """As far as the guard is concerned."""


def prepared_with(exaggeration: Any) -> Conditionals:
    conditionals = Conditionals()
    guard.remember(conditionals, exaggeration)
    return conditionals


def ask(conditionals: Any, action: str = "warn", **passed: Any) -> tuple[Any, list[Warning]]:
    """What generate should use, and the warnings, as in a program that is at this place for the first time."""
    notices._said.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use = guard.exaggeration_to_use(action, conditionals, passed, DEFAULT)
    return use, [warning.message for warning in caught]  # type: ignore[misc]


ACTIONS = ("warn", "error", "follow", "off")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("passed", [{}, {"exaggeration": DEFAULT}])
def test_nothing_is_said_where_it_speaks_as_prepared(action: str, passed: dict[str, float]) -> None:
    assert ask(prepared_with(DEFAULT), action, **passed) == (None, [])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("passed", [{}, {"exaggeration": 0.9}])
def test_nothing_is_said_of_conditionals_that_were_not_prepared_on_purpose(
    action: str, passed: dict[str, float]
) -> None:
    assert ask(Conditionals(), action, **passed) == (None, [])
    assert ask(None, action, **passed) == (None, [])


@pytest.mark.parametrize("passed", [{}, {"exaggeration": 0.9}])
def test_off_says_nothing(passed: dict[str, float]) -> None:
    assert ask(prepared_with(0.7), "off", **passed) == (None, [])


def test_warn_says_that_the_default_wins_and_what_to_do() -> None:
    use, (warning,) = ask(prepared_with(0.7))
    assert use is None
    assert type(warning) is ExaggerationMismatchWarning
    for part in ("prepared with exaggeration=0.7", "spoken with exaggeration=0.5", "pass exaggeration=0.7"):
        assert part in str(warning)


@pytest.mark.parametrize("action", ["warn", "follow"])
def test_an_explicit_mismatch_is_warned_of_and_kept(action: str) -> None:
    use, (warning,) = ask(prepared_with(0.7), action, exaggeration=0.9)
    assert use is None
    for part in ("prepared with exaggeration=0.7", "passed exaggeration=0.9", "spoken with exaggeration=0.9"):
        assert part in str(warning)


def test_follow_uses_what_was_prepared() -> None:
    assert ask(prepared_with(0.7), "follow") == (0.7, [])


@pytest.mark.parametrize("passed", [{}, {"exaggeration": 0.9}])
def test_error_raises_and_says_what_to_do(passed: dict[str, float]) -> None:
    with pytest.raises(ExaggerationMismatchError, match=r"exaggeration=0.7.*Nothing was generated"):
        guard.exaggeration_to_use("error", prepared_with(0.7), passed, DEFAULT)


NUMBERS = (float, np.float32, np.float64, torch.tensor, lambda value: torch.full((1, 1), value))


@pytest.mark.parametrize("prepared", NUMBERS)
@pytest.mark.parametrize("spoken", NUMBERS)
def test_numbers_of_every_kind_are_compared_as_float32(prepared: Any, spoken: Any) -> None:
    assert ask(prepared_with(prepared(0.7)), exaggeration=spoken(0.7)) == (None, [])
    assert ask(prepared_with(prepared(0.7)), exaggeration=spoken(0.71))[1]


def test_whole_numbers_are_numbers() -> None:
    for one in (1, 1.0, np.int64(1), torch.tensor(1)):
        assert ask(prepared_with(one), exaggeration=1) == (None, [])
        assert ask(prepared_with(one), exaggeration=2)[1]


@pytest.mark.parametrize(
    "odd",
    ["loud", None, [0.5], object(), torch.ones(2), np.ones(2), 1j, 10**400],
    ids=["text", "None", "list", "object", "two-element tensor", "two-element array", "complex", "huge"],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_of_what_is_no_number_nothing_is_said(odd: Any, action: str) -> None:
    assert ask(prepared_with(0.7), action, exaggeration=odd) == (None, [])
    assert ask(prepared_with(odd), action) == (None, [])


def test_what_was_prepared_by_the_way_is_no_intention_whatever_was_before_or_after() -> None:
    conditionals = prepared_with(0.7)
    guard.remember(conditionals, 0.3, on_purpose=False)
    assert ask(conditionals) == (None, [])
    guard.remember(conditionals, 0.9)
    assert ask(conditionals)[1]


def test_the_last_preparation_counts() -> None:
    conditionals = prepared_with(0.7)
    guard.remember(conditionals, DEFAULT)
    assert ask(conditionals) == (None, [])


def test_what_was_prepared_is_remembered_per_object_and_keeps_none_alive() -> None:
    one, two = prepared_with(0.7), prepared_with(0.9)
    assert guard.prepared_exaggeration(one) == 0.7
    assert guard.prepared_exaggeration(two) == 0.9
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None
    assert guard.prepared_exaggeration(two) == 0.9


def test_what_is_remembered_of_conditionals_that_are_gone_does_not_grow() -> None:
    kept = prepared_with(0.7)
    for _ in range(3000):
        prepared_with(0.9)
    assert guard.prepared_exaggeration(kept) == 0.7
    assert len(guard._prepared) < 1000


@pytest.mark.parametrize("unwatchable", [None, {"t3": 1}, (1, 2)])
def test_conditionals_that_cannot_be_watched_are_not_remembered(unwatchable: Any) -> None:
    guard.remember(unwatchable, 0.7)
    assert ask(unwatchable) == (None, [])


@pytest.mark.parametrize("action", ["default", "always"])
def test_the_warning_points_at_the_callers_own_line_and_is_shown_once_per_place(action: Any) -> None:
    conditionals = prepared_with(0.7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter(action)
        for value in (0.1, 0.2, 0.3):
            guard.exaggeration_to_use("warn", conditionals, {"exaggeration": value}, DEFAULT)
        guard.exaggeration_to_use("warn", conditionals, {}, DEFAULT)
    assert [warning.filename for warning in caught] == [__file__] * 2
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert all("guard.exaggeration_to_use" in lines[warning.lineno - 1] for warning in caught)
    assert caught[0].lineno != caught[1].lineno


PACKAGE = Path(chatterbox_cached.__file__).parent


@pytest.mark.parametrize(
    ("place", "theirs"),
    [
        (PACKAGE / "guard.py", False),
        (PACKAGE / "tiers" / "disk.py", False),
        (PACKAGE.parent / "app.py", True),
        (PACKAGE.with_name(PACKAGE.name + "_server") / "app.py", True),
    ],
)
def test_a_warning_skips_the_packages_own_frames_and_no_others(place: Path, theirs: bool) -> None:
    scope = {"warn_caller": warn_caller}
    exec(compile("def call():\n    warn_caller('Hear!', CacheWarning)", str(place), "exec"), scope | globals(), scope)
    with pytest.warns(CacheWarning) as caught:
        scope["call"]()  # type: ignore[operator]
    assert caught[0].filename == (str(place) if theirs else __file__)


def test_a_notice_does_not_raise_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell("Something failed.")


def test_a_warning_that_a_hook_fails_to_show_does_not_reach_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise LookupError("somebody's way of showing warnings")

    monkeypatch.setattr(warnings, "showwarning", fails)
    tell("Something failed.")
    assert guard.exaggeration_to_use("warn", prepared_with(0.7), {}, DEFAULT) is None


def test_a_warning_does_not_reach_the_caller_where_stderr_is_closed() -> None:
    code = "import sys; from chatterbox_cached.notices import tell; sys.stderr.close(); tell('Oh'); print('went on')"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_a_mismatch_raises_where_the_caller_made_such_warnings_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExaggerationMismatchWarning)
        for _ in range(2):  # each time, at the same place
            with pytest.raises(ExaggerationMismatchWarning):
                guard.exaggeration_to_use("warn", prepared_with(0.7), {}, DEFAULT)


def test_a_notice_is_a_cache_warning_about_the_callers_line() -> None:
    with pytest.warns(CacheWarning, match="Something failed") as caught:
        tell("Something failed.")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("action", "prepared", "passed", "seen"),
    [
        ("warn", 0.7, {}, 1),
        ("warn", 0.7, {"exaggeration": 0.9}, 1),
        ("follow", 0.7, {}, 1),
        ("error", 0.7, {}, 1),
        ("off", 0.7, {}, 0),
        ("warn", 0.5, {}, 0),
        ("warn", 0.7, {"exaggeration": 0.7}, 0),
    ],
)
def test_a_mismatch_is_counted_whatever_is_then_done(
    action: str, prepared: float, passed: dict[str, float], seen: int
) -> None:
    noticed: list[None] = []
    with warnings.catch_warnings(), contextlib.suppress(ExaggerationMismatchError):
        warnings.simplefilter("ignore")
        guard.exaggeration_to_use(action, prepared_with(prepared), passed, DEFAULT, lambda: noticed.append(None))
    assert len(noticed) == seen
