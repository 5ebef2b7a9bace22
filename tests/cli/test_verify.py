"""``verify`` when it is interrupted; what it finds is in test_warm."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import librosa
import pytest
import typer

from chatterbox_cached import ConditionalCache
from chatterbox_cached.cli.verbs import verify
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice import entry_format
from tests.support.beside import at_each_call


def test_an_interruption_leaves_it_at_what_was_done_and_says_so(
    english: Any,
    voice: Path,
    other_voice: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "voices"
    cache = ConditionalCache(root)
    for each in (voice, other_voice):
        cache.get_or_prepare(english, each)
    cache.close()
    tier = DiskTier(root, 10**9)
    key = tier.keys()[0]
    entry = tier.get(key) or b""
    header, payload = entry_format.opened(key, entry)
    tier.put(key, entry_format.seal(header, bytes(payload[:-1]) + bytes([payload[-1] ^ 1])))  # the last bit of a number

    loaded = list[int]()

    def ctrl_c_at_the_second() -> None:
        loaded.append(1)
        if len(loaded) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(verify, "load", lambda *_: english)
    with at_each_call(librosa.load, ctrl_c_at_the_second), pytest.raises(typer.Exit) as ended:
        verify.command([voice, other_voice], cache_dir=root, as_json=True)
    assert ended.value.exit_code == 130
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (list(found["different"]), found["same"], found["not_reached"]) == ([str(voice)], [], 1)
    assert f"different, and replaced: {voice}" in said.err
    assert said.err.endswith("chatterbox-cached: interrupted; 1 of 2 voices were looked at.\n")
    assert entry_format.decode(key, tier.get(key) or b"") is not None
    assert tier.get(key) != entry_format.seal(header, bytes(payload[:-1]) + bytes([payload[-1] ^ 1]))
    tier.close()
