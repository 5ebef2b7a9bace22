"""A lease ends with what it is for, and is a courtesy: whatever goes wrong with it, the caller goes on."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from benchmarks.servers import Valkey
from chatterbox_cached.tiers import sharing
from chatterbox_cached.tiers.shared.stores import store_at
from chatterbox_cached.tiers.sharing import SharingTier
from chatterbox_cached.tiers.writer import Write
from tests.support.scenery import until

KEY = f"v3/{'a' * 64}/{'b' * 64}"
SECONDS = 20.0


@pytest.fixture
def tier(valkey: Valkey, tmp_path: Path) -> SharingTier:
    return SharingTier(store_at(valkey.url, tmp_path.name, SECONDS, SECONDS), lambda place, error: None, writes=True)


def another_may_have_it(tier: SharingTier) -> bool:
    return tier.shared.acquire(KEY.replace("/", "-"), "another", 1.0)


def test_where_no_thread_can_begin_the_caller_goes_on(tier: SharingTier, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    entered = False
    with monkeypatch.context() as none_can_begin:
        none_can_begin.setattr(threading.Thread, "start", start)
        with tier.lease(KEY, time.monotonic() + SECONDS):
            entered = True
            assert not another_may_have_it(tier)
    assert entered
    tier.close()
    assert another_may_have_it(tier)


def test_an_entry_that_is_of_no_use_is_not_what_is_waited_for(tier: SharingTier) -> None:
    tier.shared.put(KEY, b"damaged")
    tier.leave(KEY, b"damaged")
    assert tier.get(KEY) is None
    assert another_may_have_it(tier)
    entered = threading.Event()

    def wait_for_it() -> None:
        with tier.lease(KEY, time.monotonic() + SECONDS):
            entered.set()

    assert tier.shared.renew(KEY.replace("/", "-"), "another", SECONDS)
    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    assert not entered.wait(1)
    tier.shared.put(KEY, b"an entry")
    assert entered.wait(SECONDS / 2)
    waiting.join()
    assert tier.get(KEY) == b"an entry"


def test_what_cannot_be_put_does_not_keep_a_lease_for_ever(tier: SharingTier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LEASE_SECONDS", 0.6)
    go_on = threading.Event()
    with tier.lease(KEY, time.monotonic() + SECONDS):
        tier.writer.submit(Write(lambda: go_on.wait(60), 1))
        time.sleep(1.5)
        assert not another_may_have_it(tier)  # it is renewed for as long as the voice is being prepared
    until(lambda: another_may_have_it(tier))
    go_on.set()
