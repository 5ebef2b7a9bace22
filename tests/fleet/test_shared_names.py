"""Voices that are named on one machine and spoken with on another, on real servers and the real package."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile
import torch

import chatterbox_cached
from benchmarks.servers import Server, Valkey
from chatterbox_cached import CacheWarning, ConditionalCache, UnknownVoiceError, VoiceNameError
from chatterbox_cached.library.named_voices import Voices
from chatterbox_cached.named.names import folded
from chatterbox_cached.named.telling import place_of
from chatterbox_cached.tiers.shared_names import NamesTier
from tests.support.beside import at_each_call
from tests.support.speech import speak

KEY = "a key of the team, of 16 bytes and more"


class Machine:
    """With folders of its own, and a clock for its looks at the stores that is turned by hand."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.cache = ConditionalCache(
            root / "cache", voices_dir=root / "voices", **{"signing_key": KEY, "operation_seconds": 20, **settings}
        )
        self.voices = Voices(lambda: self.cache)
        self.now = 1000.0
        shared = self.cache.serving.naming.shared
        shared._clock = shared._publisher._clock = lambda: self.now
        for tier in self.cache.serving.store.shared.tiers:
            tier._clock = lambda: self.now

    def later(self) -> None:
        """After the seconds for which what was seen of a name is believed."""
        self.now += 61

    def puts(self) -> None:
        """Wait until what waits is put."""
        self.cache.close()

    def speaks(self, model: Any, name: str) -> Any:
        with chatterbox_cached.enabled(cache=self.cache):
            return speak(model, audio_prompt_path=f"voice:{name}")

    @property
    def names(self) -> NamesTier:
        (names,) = self.cache.serving.store.shared.names.values()
        return names

    @property
    def misses(self) -> int:
        """How often upstream has prepared here, where nothing else went wrong."""
        now = self.cache.get_cache_stats()
        assert (now["bypasses"], now["errors"]) == ({}, {})
        return int(now["misses"])


Make = Callable[..., Machine]


def maker(tmp_path: Path, url: str) -> Make:
    own = {"shared": url, "namespace": re.sub(r"\W", "-", tmp_path.name)}
    return lambda name, **settings: Machine(tmp_path / name, **{**own, **settings})


@pytest.fixture(params=["valkey", "s3"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A machine of this name; all share the store, in a namespace of this test."""
    server: Server = request.getfixturevalue(request.param)
    return maker(tmp_path, server.url)


@pytest.fixture
def on_valkey(valkey: Valkey, tmp_path: Path) -> Make:
    return maker(tmp_path, valkey.url)


@pytest.fixture
def clip(voice: Path, tmp_path: Path) -> Path:
    """A recording that only the machine has that names it: the others must do without."""
    return Path(shutil.copy(voice, tmp_path / "clip.wav"))


def test_a_voice_named_on_one_machine_speaks_on_another_and_upstream_prepares_nothing(
    machine: Make, english: Any, clip: Path, upstream_says: Any
) -> None:
    expected = upstream_says(english, 0.5)
    first, second = machine("first"), machine("second")
    said = {"aliases": ["Erzählerin"], "description": "warm", "consent": "by letter"}
    named = first.voices.add("Narrator", clip, model=english, **said)
    first.puts()
    clip.unlink()
    inference = type(english.s3gen.speaker_encoder).inference
    with at_each_call(inference, lambda: pytest.fail("upstream prepared")):
        for name in ("narrator", "ERZÄHLERIN", "Narrator"):
            assert torch.equal(second.speaks(english, name), expected)
    here = second.voices["narrator"]
    assert (here.name, here.aliases, here.description, here.consent) == (
        "Narrator",
        ("Erzählerin",),
        "warm",
        "by letter",
    )
    assert (here.digest, here.kind, here.seconds) == (named.digest, named.kind, named.seconds)
    assert (here.source, here.audio) == ("", None)
    assert len(second.voices.models("narrator")) == 1
    assert (first.misses, second.misses) == (1, 0)


def test_it_stays_when_the_store_is_gone(machine: Make, english: Any, clip: Path, upstream_says: Any) -> None:
    expected = upstream_says(english, 0.5)
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", clip, model=english)
    first.puts()
    clip.unlink()
    second.speaks(english, "narrator")
    alone = machine("second", shared=())
    alone.cache.clear_all()
    assert torch.equal(alone.speaks(english, "narrator"), expected)


def test_an_alias_is_enough_to_find_it(machine: Make, english: Any, clip: Path) -> None:
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", clip, model=english, aliases=["erz"])
    first.puts()
    second.speaks(english, "ERZ")
    assert list(second.voices) == ["Narrator"]


def test_with_kept_audio_another_model_prepares_it(machine: Make, english: Any, multilingual: Any, clip: Path) -> None:
    first, second, third = machine("first"), machine("second"), machine("third")
    first.voices.add("With", clip, model=english, keep_audio=True)
    content = clip.read_bytes()
    first.puts()
    clip.unlink()
    second.speaks(multilingual, "with")
    assert second.misses + second.cache.get_cache_stats()["shared_hits"] == 1
    kept = second.voices["with"].audio
    assert kept is not None
    assert kept.read_bytes() == content
    assert kept.is_relative_to(second.voices.folder)
    first.voices.remove("with")
    first.puts()
    with pytest.raises(UnknownVoiceError):
        third.speaks(english, "with")
    assert [key for key in first.names.tier.keys() if "file-" in key or "name-" in key] == []  # noqa: SIM118


def test_a_voice_that_came_from_a_pt_file_comes_with_it(
    machine: Make, english: Any, clip: Path, tmp_path: Path
) -> None:
    english.prepare_conditionals(clip)
    english.conds.save(tmp_path / "voice.pt")
    first, second = machine("first"), machine("second")
    first.voices.add("From a file", tmp_path / "voice.pt")
    first.puts()
    (tmp_path / "voice.pt").unlink()
    assert torch.equal(second.speaks(english, "from a file"), first.speaks(english, "from a file"))


def test_a_removed_name_is_removed_everywhere_and_does_not_come_back(machine: Make, english: Any, clip: Path) -> None:
    first, second, third = machine("first"), machine("second"), machine("third")
    first.voices.add("Narrator", clip, model=english, aliases=["erz"], keep_audio=True)
    first.puts()
    second.speaks(english, "narrator")
    kept = second.voices["narrator"].audio
    first.voices.remove("narrator")
    first.puts()
    second.speaks(english, "narrator")  # what was seen of it is believed for some seconds
    second.later()
    for each in (second, third, first):
        for name in ("narrator", "erz"):
            with pytest.raises(UnknownVoiceError):
                each.speaks(english, name)
    assert kept is not None
    assert not kept.exists()
    second.puts()
    for each in (first, second, third):
        each.later()
        assert "narrator" not in each.voices


def test_edits_reach_the_other_machines_and_so_do_theirs(machine: Make, english: Any, clip: Path) -> None:
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", clip, model=english, aliases=["erz"])
    first.puts()
    second.speaks(english, "erz")
    first.voices.rename("narrator", "Speaker")
    first.puts()
    second.later()
    second.speaks(english, "erz")
    assert list(second.voices) == ["Speaker"]
    assert "narrator" not in second.voices
    second.voices.describe("speaker", description="warm", aliases=["sp"])
    second.puts()
    first.later()
    assert (first.voices["speaker"].description, first.voices["sp"].name) == ("warm", "Speaker")
    assert "erz" not in first.voices


def test_a_replaced_voice_is_another_one_everywhere(
    machine: Make, english: Any, clip: Path, other_voice: Path, upstream_says: Any
) -> None:
    expected = upstream_says(english, 0.5)
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", other_voice, model=english, keep_audio=True)
    first.puts()
    second.voices.choose("narrator")
    with pytest.raises(VoiceNameError, match="replace"):
        second.voices.add("narrator", clip)
    second.voices.add("narrator", clip, model=english, replace=True)
    second.puts()
    first.later()
    assert torch.equal(first.speaks(english, "narrator"), expected)
    assert first.voices["narrator"].audio is None
    assert (first.voices.default, second.voices.default) == (None, "narrator")  # it is each machine's own


def test_a_name_that_another_machine_has_given_is_taken(machine: Make, clip: Path, other_voice: Path) -> None:
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", clip)
    first.puts()
    with pytest.raises(VoiceNameError, match="'Narrator'"):
        second.voices.add("narrator", other_voice)
    second.voices.add("other", other_voice)
    for edit in (lambda: second.voices.rename("other", "narrator"),
                 lambda: second.voices.describe("other", aliases=["narrator"])):  # fmt: skip
        with pytest.raises(VoiceNameError):
            edit()


def test_what_was_named_before_there_was_a_store_is_shared_when_it_is_used(
    machine: Make, english: Any, clip: Path
) -> None:
    machine("first", shared=()).voices.add("Narrator", clip, model=english)
    first, second = machine("first"), machine("second")
    with pytest.raises(UnknownVoiceError):
        second.speaks(english, "narrator")
    first.speaks(english, "narrator")
    first.puts()
    second.later()
    second.speaks(english, "narrator")
    assert second.misses == 0


def test_a_machine_keeps_its_own_voice_where_others_share_another_by_that_name(
    machine: Make, english: Any, clip: Path, other_voice: Path, upstream_says: Any
) -> None:
    expected = upstream_says(english, 0.5)
    for name in ("second", "third"):
        machine(name, shared=()).voices.add("Own" if name == "third" else "Narrator", clip, aliases=["erz"])
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", other_voice, model=english)
    first.voices.add("erz", other_voice)
    first.puts()
    for each, name in ((second, "narrator"), (machine("third"), "own")):
        with pytest.warns(CacheWarning, match="has a name of another one"):
            assert torch.equal(each.speaks(english, name), expected)
        each.puts()
    first.later()
    for name in ("narrator", "erz"):
        assert not torch.equal(first.speaks(english, name), expected)
    assert "own" not in first.voices


def test_forgetting_a_recording_takes_its_names_and_its_files_from_all(
    machine: Make, english: Any, clip: Path, other_voice: Path
) -> None:
    first, second, third = machine("first"), machine("second"), machine("third")
    first.voices.add("Narrator", clip, model=english, keep_audio=True)
    first.voices.add("Second name", clip)
    first.voices.add("Other", other_voice, model=english)
    first.puts()
    second.speaks(english, "narrator")
    second.speaks(english, "other")
    third.cache.forget(clip)  # it has no library, and has never heard of the name
    left = first.names.tier.keys()
    assert sorted(key.split("/")[1] for key in left) == sorted(["names", first.voices["other"].digest])
    for each in (first, second, third):
        each.later()
        with pytest.raises(UnknownVoiceError):
            each.speaks(english, "narrator")
        each.puts()
    assert list(first.voices) == list(second.voices) == ["Other"]
    assert sorted(first.names.tier.keys()) == sorted(left)


def test_a_machine_that_only_reads_writes_nothing(machine: Make, english: Any, clip: Path, other_voice: Path) -> None:
    first, reader = machine("first"), machine("reader", shared_mode="read")
    first.voices.add("Narrator", clip, model=english)
    first.puts()
    there = {key: first.names.tier.get(key) for key in first.names.tier.keys()}  # noqa: SIM118
    reader.speaks(english, "narrator")
    reader.voices.add("Own", other_voice, model=english)
    reader.voices.describe("narrator", description="changed here")
    reader.speaks(english, "own")
    reader.later()
    reader.speaks(english, "narrator")
    assert reader.voices["narrator"].description == "changed here"
    reader.voices.remove("narrator")
    reader.later()
    assert "narrator" not in reader.voices
    reader.puts()
    assert {key: first.names.tier.get(key) for key in first.names.tier.keys()} == there  # noqa: SIM118


def test_another_tenant_sees_nothing(machine: Make, english: Any, clip: Path) -> None:
    first, tenant = machine("first"), machine("tenant", namespace="another-tenant")
    first.voices.add("Narrator", clip, model=english, keep_audio=True)
    first.puts()
    with pytest.raises(UnknownVoiceError):
        tenant.speaks(english, "narrator")
    tenant.cache.clear_shared()
    assert "narrator" in machine("second").voices


def test_a_library_in_another_namespace_does_not_carry_names_there(machine: Make, english: Any, clip: Path) -> None:
    first = machine("first")
    first.voices.add("Narrator", clip, model=english)
    first.puts()
    elsewhere = machine("first", namespace="elsewhere")
    elsewhere.speaks(english, "narrator")
    elsewhere.puts()
    assert elsewhere.names.tier.keys() == []


def test_clearing_the_stores_drops_names_and_they_are_no_voices_in_lists(
    machine: Make, english: Any, clip: Path
) -> None:
    first, second = machine("first"), machine("second")
    first.voices.add("Narrator", clip, model=english, keep_audio=True)
    first.puts()
    (sizes,) = first.cache.serving.store.shared.sizes().values()
    assert len(sizes) == 1
    assert first.cache.clear_shared() == 1
    assert first.names.tier.keys() == []
    assert "narrator" not in second.voices
    again = machine("first")  # as after a restart
    again.speaks(english, "narrator")  # who has it gives it to a store that has lost it
    again.puts()
    second.later()
    second.speaks(english, "narrator")
    assert second.misses == 0


def test_keys_hold_no_names(machine: Make, clip: Path) -> None:
    first = machine("first")
    first.voices.add("Narrator", clip, keep_audio=True)
    first.puts()
    keys = first.names.tier.keys()
    assert len(keys) == 3
    assert not any("narrator" in folded(key) for key in keys)


def test_an_unknown_name_is_asked_for_once_in_some_seconds(on_valkey: Make, valkey: Valkey, clip: Path) -> None:
    here, there = on_valkey("here"), on_valkey("there")

    def asked() -> int:
        with pytest.raises(UnknownVoiceError):
            here.cache.serving.naming.resolved("voice:narrator")
        return int(valkey.client().info("commandstats")["cmdstat_eval"]["calls"])

    begun = asked()
    assert [asked() for _ in range(20)] == [begun] * 20
    there.voices.add("Narrator", clip)
    there.puts()
    here.later()
    assert str(here.cache.serving.naming.resolved("voice:narrator")) == "voice:Narrator"


def _seconds_of_calls(here: Machine, model: Any) -> list[float]:
    """How long each of 50 calls takes, before each of which what was seen in the store is too old to be believed."""
    took = []
    for _ in range(50):
        here.now += 6
        began = time.monotonic()
        here.cache.get_or_prepare(model, "voice:narrator")
        took.append(time.monotonic() - began)
    return took


@pytest.mark.parametrize("away", ["refuses", "hangs"])
def test_a_dead_store_costs_a_local_name_no_more_than_a_timeout_a_pause(
    away: str, on_valkey: Make, valkey: Valkey, english: Any, clip: Path
) -> None:
    from benchmarks.proxy import proxy

    with proxy(valkey.port) as between:
        here = on_valkey("here", shared=f"valkey://127.0.0.1:{between.port}", operation_seconds=1)
        here.voices.add("Narrator", clip, model=english)
        here.puts()
        here.later()
        if away == "refuses":
            between.refuse()
        else:
            between.delay = 30.0
        took = []
        with pytest.warns(CacheWarning):
            took.extend(_seconds_of_calls(here, english))
        assert len([seconds for seconds in took if seconds > 0.5]) <= 3  # as many pauses as begin meanwhile
        assert here.cache.get_cache_stats()["memory_hits"] == 50
        with pytest.raises(UnknownVoiceError):
            here.cache.get_or_prepare(english, "voice:nobody")
        between.delay = 0.0


def _refused(machine: Machine, match: str) -> None:
    """It is said, once, and there is no such voice."""
    with pytest.warns(CacheWarning, match=match), pytest.raises(UnknownVoiceError):
        machine.cache.serving.naming.resolved("voice:narrator")


@pytest.mark.parametrize("hostile", ["changed", "of another name", "huge", "unsigned", "another key"])
def test_what_is_said_wrongly_of_a_name_is_refused_and_said(
    hostile: str, on_valkey: Make, clip: Path, other_voice: Path
) -> None:
    first, second = on_valkey("first"), on_valkey("second")
    if hostile in ("unsigned", "another key"):
        keys = {"signing_key": None, "signed": False} if hostile == "unsigned" else {"signing_key": "another " + KEY}
        first = on_valkey("first", **keys)
    first.voices.add("Narrator", clip)
    first.voices.add("Other", other_voice)
    first.puts()
    store, namespace = first.names.tier, first.cache.settings.namespace
    place, other = (f"v1/names/{place_of(namespace, name)}" for name in ("narrator", "other"))
    said, of_other = store.get(place), store.get(other)
    assert said is not None
    assert of_other is not None
    put = {
        "changed": said[:-9] + bytes([said[-9] ^ 1]) + said[-8:],
        "of another name": of_other,
        "huge": bytes(17 * 2**20),
    }
    store.put(place, put.get(hostile, said))
    _refused(second, "signature" if hostile in ("changed", "unsigned", "another key") else "name")
    first.later()
    if hostile in put:
        with pytest.warns(CacheWarning):
            assert "narrator" in first.voices  # who knew it better goes on with that
        assert hostile == "huge" or store.get(place) == put[hostile]
    second.voices.add("Narrator", clip)  # and it keeps no one from giving the name
    second.puts()
    assert "narrator" in on_valkey("third").voices


def test_what_was_once_said_of_a_name_can_not_be_said_again(on_valkey: Make, clip: Path) -> None:
    first, second = on_valkey("first"), on_valkey("second")
    first.voices.add("Narrator", clip)
    first.puts()
    (key,) = first.names.tier.keys("v1/names/")
    said = first.names.tier.get(key)
    assert said is not None
    first.voices.remove("narrator")
    first.puts()
    assert "narrator" not in second.voices
    first.names.tier.put(key, said)
    first.later()
    assert "narrator" not in first.voices
    first.puts()
    second.later()
    assert "narrator" not in second.voices


def test_a_recording_that_was_changed_in_the_store_is_refused_and_said(
    on_valkey: Make, english: Any, clip: Path
) -> None:
    first, second = on_valkey("first"), on_valkey("second")
    first.voices.add("Narrator", clip, model=english, keep_audio=True)
    first.puts()
    (key,) = (key for key in first.names.tier.keys() if "file-" in key)  # noqa: SIM118
    first.names.tier.put(key, b"another voice")
    with pytest.warns(CacheWarning, match="recording"):
        assert second.voices["narrator"].audio is None
    assert not (second.voices.folder / "audio").exists()
    clip.unlink()
    second.speaks(english, "narrator")


def test_a_library_that_can_not_take_what_is_newer_serves_what_it_has(
    on_valkey: Make, english: Any, clip: Path, other_voice: Path, upstream_says: Any
) -> None:
    expected = upstream_says(english, 0.5)
    first, second = on_valkey("first"), on_valkey("second")
    first.voices.add("Narrator", clip, model=english)
    first.puts()
    second.speaks(english, "narrator")
    (second.voices.folder / "audio").write_text("where a folder should be")
    first.voices.add("narrator", other_voice, keep_audio=True, replace=True)
    first.puts()
    second.later()
    with pytest.warns(CacheWarning, match="voices put"):
        assert torch.equal(second.speaks(english, "narrator"), expected)


def test_few_sign_and_many_only_check(on_valkey: Make, english: Any, clip: Path, other_voice: Path) -> None:
    from chatterbox_cached.voice.signing import new_pair

    private, public = new_pair()
    first = on_valkey("first", signing_key=private)
    second = on_valkey("second", signing_key=None, verify_keys=public)
    first.voices.add("Narrator", clip, model=english, keep_audio=True)
    first.puts()
    second.speaks(english, "narrator")
    second.voices.add("Own", other_voice)
    second.voices.remove("narrator")
    second.puts()
    third = on_valkey("third", signing_key=private).voices
    assert ("narrator" in third, "own" in third) == (True, False)


def test_an_edit_made_while_the_store_is_away_reaches_it_later(on_valkey: Make, valkey: Valkey, clip: Path) -> None:
    from benchmarks.proxy import proxy

    first, second = on_valkey("first"), on_valkey("second")
    first.voices.add("Narrator", clip)
    first.puts()
    assert "narrator" in second.voices
    with proxy(valkey.port) as between:
        between.refuse()
        cut_off = on_valkey("first", shared=f"valkey://127.0.0.1:{between.port}")
        with pytest.warns(CacheWarning, match="valkey://"):
            cut_off.voices.remove("narrator")
        cut_off.puts()
    again = on_valkey("first")
    assert "another" not in again.voices  # any look will do
    again.puts()
    second.later()
    assert "narrator" not in second.voices
    assert "narrator" not in again.voices


def test_of_many_threads_that_ask_for_a_new_name_all_have_it(on_valkey: Make, clip: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    first, second = on_valkey("first"), on_valkey("second")
    first.voices.add("Narrator", clip)
    first.puts()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: second.voices["narrator"].name, range(32)))
    assert found == ["Narrator"] * 32


def test_a_recording_that_is_too_large_for_a_store_is_said_to_stay_here(on_valkey: Make, tmp_path: Path) -> None:
    here, there = on_valkey("here"), on_valkey("there")
    soundfile.write(tmp_path / "long.wav", numpy.zeros(9 * 2**20, dtype="int16"), 48000)

    def share() -> None:
        here.voices.add("Long", tmp_path / "long.wav", keep_audio=True)
        here.puts()

    with pytest.warns(CacheWarning, match="'Long' stays on this machine.*16 MiB"):
        share()
    assert there.voices["long"].audio is None
