"""With a signing key only entries that were signed with it are believed; a key can be changed without losing voices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import CacheWarning, ConditionalCache
from tests.support.comparison import assert_same_conditionals

OLD, NEW = "the key of last year", "the key of this year"


def served(model: Any, voice: Path, folder: Path, key: Any, errors: dict[str, int]) -> tuple[str, Any]:
    """From where a new process with this ``signing_key`` would have the voice, and what it is."""
    cache = ConditionalCache(folder, signing_key=key)
    got = cache.get_or_prepare(model, voice)
    now = cache.get_cache_stats()
    cache.close()
    assert now["errors"] == errors
    assert now["disk_cached_items"] == 1
    return "disk" if now["disk_hits"] else "upstream", got


@pytest.mark.parametrize("before", [None, OLD], ids=["unsigned", "signed with another key"])
def test_what_is_not_signed_with_the_key_is_prepared_again(
    before: str | None, english: Any, voice: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "voices"
    _, expected = served(english, voice, folder, before, {})
    with pytest.warns(CacheWarning, match="signed") as warned:
        source, got = served(english, voice, folder, NEW, {"signature": 1})
    assert len([one for one in warned if one.category is CacheWarning]) == 1
    assert source == "upstream"
    assert_same_conditionals(got, expected)
    assert served(english, voice, folder, NEW, {})[0] == "disk"


def test_a_key_is_changed_without_losing_a_voice(english: Any, voice: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    assert served(english, voice, folder, OLD, {})[0] == "upstream"
    assert served(english, voice, folder, [NEW, OLD], {})[0] == "disk"
    assert served(english, voice, folder, OLD, {})[0] == "disk"  # workers that have not been told yet
    cache = ConditionalCache(folder, signing_key=[NEW, OLD])
    cache.get_or_prepare(english, voice, force_refresh=True)  # stored anew, so with the first of the keys
    assert served(english, voice, folder, NEW, {})[0] == "disk"


def test_signed_entries_are_read_where_nobody_asks_for_signatures(english: Any, voice: Path, tmp_path: Path) -> None:
    assert served(english, voice, tmp_path / "voices", NEW, {})[0] == "upstream"
    assert served(english, voice, tmp_path / "voices", None, {})[0] == "disk"


def test_check_knows_the_signatures(english: Any, voice: Path, tmp_path: Path) -> None:
    assert served(english, voice, tmp_path / "voices", OLD, {})[0] == "upstream"
    assert ConditionalCache(tmp_path / "voices", signing_key=OLD).check().sound
    assert ConditionalCache(tmp_path / "voices", signing_key=NEW).check(fix=False).damaged == 1
