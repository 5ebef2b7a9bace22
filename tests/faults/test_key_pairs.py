"""A pair of keys: few machines sign, many only check, and who has taken over one of these forges nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import Valkey, running
from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.signing import HmacKey, Keyring, keyring, new_pair
from tests.support.breakages import entry_file, rewritten
from tests.support.commands import REPOSITORY
from tests.support.comparison import assert_same_conditionals
from tests.support.pairs import OTHER_PAIR, PAIR
from tests.support.small_voices import KEY, snapshot

SECRET = "a secret that machines share"
SIGNER, READER = {"signing_key": PAIR.private}, {"verify_keys": PAIR.public}


def served(model: Any, voice: Path, folder: Path, **keys: Any) -> tuple[str, dict[str, Any]]:
    """From where a new process with these keys has the voice, and its statistics."""
    cache = ConditionalCache(folder, **keys)
    cache.get_or_prepare(model, voice)
    now = cache.get_cache_stats()
    cache.close()
    return "disk" if now["disk_hits"] else "upstream", now


def test_readers_use_what_the_signer_has_made(english: Any, voice: Path, tmp_path: Path) -> None:
    assert served(english, voice, tmp_path, **SIGNER)[0] == "upstream"
    for keys in (READER, SIGNER, {"signing_key": SECRET, **READER}, {"verify_keys": [OTHER_PAIR.public, PAIR.public]}):
        source, now = served(english, voice, tmp_path, **keys)
        assert (source, now["errors"]) == ("disk", {})


def test_what_a_reader_prepares_is_kept_in_memory_only_and_it_says_so_once(
    english: Any, voice: Path, other_voice: Path, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "voices", **READER)
    with pytest.warns(CacheWarning, match="verify_keys and no signing_key.*memory.*warm") as warned:
        first, _ = [cache.get_or_prepare(english, each) for each in (voice, other_voice)]
    assert len([one for one in warned if one.category is CacheWarning]) == 1
    assert_same_conditionals(cache.get_or_prepare(english, voice), first)
    now = cache.get_cache_stats()
    cache.close()
    assert (now["memory_hits"], now["misses"], now["disk_cached_items"]) == (1, 2, 0)
    assert (now["not_stored"], now["errors"]) == ({"no key to sign with": 2}, {})
    assert not list(entries_of(tmp_path / "voices").rglob("*.val"))


@pytest.mark.parametrize("signed_with", [None, SECRET, OTHER_PAIR.private], ids=["nothing", "a secret", "another pair"])
def test_a_reader_believes_nothing_else_and_leaves_it_where_it_is(
    signed_with: str | None, english: Any, voice: Path, tmp_path: Path
) -> None:
    """It may be signed with a key that this reader will be told of tomorrow."""
    served(english, voice, tmp_path, signing_key=signed_with)
    before = entry_file(tmp_path).read_bytes()
    with pytest.warns(CacheWarning, match="signed"):
        source, now = served(english, voice, tmp_path, **READER)
    assert (source, now["errors"]) == ("upstream", {"signature": 1})
    assert entry_file(tmp_path).read_bytes() == before


def test_keys_are_changed_without_losing_a_voice(english: Any, voice: Path, tmp_path: Path) -> None:
    assert served(english, voice, tmp_path, **SIGNER)[0] == "upstream"
    told = {"verify_keys": [OTHER_PAIR.public, PAIR.public]}
    assert served(english, voice, tmp_path, **told)[0] == "disk"  # readers hear of the new one first
    cache = ConditionalCache(tmp_path, signing_key=[OTHER_PAIR.private, PAIR.private])
    cache.get_or_prepare(english, voice, force_refresh=True)
    cache.close()
    for keys in (told, {"verify_keys": OTHER_PAIR.public}, {"signing_key": OTHER_PAIR.private}):
        assert served(english, voice, tmp_path, **keys)[0] == "disk"
    with pytest.warns(CacheWarning, match="signed"):  # the old one is no longer worth anything
        assert served(english, voice, tmp_path, **READER)[0] == "upstream"


def test_secrets_are_left_for_a_pair_without_losing_a_voice(english: Any, voice: Path, tmp_path: Path) -> None:
    assert served(english, voice, tmp_path, signing_key=SECRET)[0] == "upstream"
    assert served(english, voice, tmp_path, signing_key=[PAIR.private, SECRET])[0] == "disk"


def test_machines_that_share_a_store_believe_the_signer_and_no_other_machine(
    english: Any, voice: Path, other_voice: Path, tmp_path: Path
) -> None:
    def machine(name: str, audio: Path, **keys: Any) -> dict[str, Any]:
        """What a new machine did that was asked for this voice."""
        return served(english, audio, tmp_path / name, shared=store.url, **keys)[1]

    with running(Valkey) as store:
        assert machine("signer", voice, **SIGNER)["misses"] == 1
        assert machine("reader", voice, **READER)["misses"] == 0
        kept = [entry_file(tmp_path / name).read_bytes() for name in ("signer", "reader")]
        assert kept[0] == kept[1]
        with pytest.warns(CacheWarning, match="verify_keys and no signing_key"):
            assert machine("reader", other_voice, **READER)["not_stored"] == {"no key to sign with": 1}
        assert machine("signer", other_voice, **SIGNER)["misses"] == 1  # so the reader had put nothing there
        with pytest.warns(CacheWarning, match="signed with another key"):
            assert machine("taken over", voice, signing_key=OTHER_PAIR.private)["misses"] == 1
        with pytest.warns(CacheWarning, match="signed with another key"):
            refused = machine("another reader", voice, **READER)
        assert (refused["misses"], set(refused["errors"])) == (1, {f"{store.url} signature"})
        assert machine("its like", voice, signing_key=OTHER_PAIR.private)["misses"] == 0  # it was left where it was


# What somebody can try who has all that a reader has: its keys, and entries that the signer has made.

PUBLIC = base64.b64decode(PAIR.public.removeprefix("ed25519-public:"))
SIGNED_BY_THEM = entry_format.encode(KEY, snapshot(), keyring([PAIR.private.encode()], []))
OF_ANOTHER_VOICE = KEY.replace("ab", "ef")
SCHEME, SIGNATURE, DIGEST, START = 22, slice(23, 87), slice(87, 119), 119


def made_with(secret: bytes, scheme: int = 1) -> bytes:
    """An entry of theirs with this as a secret, which says that it is of this scheme."""
    key = HmacKey(secret)
    entry = bytearray(entry_format.encode(KEY, snapshot(seed=1), Keyring(key, (key,))))
    entry[SCHEME] = scheme
    entry[SIGNATURE] = key.sign(bytes(entry[:SCHEME]), bytes([scheme]), bytes(entry[START:]))
    return redigested(entry)


def redigested(entry: bytearray) -> bytes:
    entry[DIGEST] = hashlib.sha256(entry[: DIGEST.start] + entry[START:]).digest()
    return bytes(entry)


def with_their_signature(entry: bytes, **changes: int) -> bytes:
    forged = bytearray(entry)
    forged[SCHEME], forged[SIGNATURE] = changes.get("scheme", SIGNED_BY_THEM[SCHEME]), SIGNED_BY_THEM[SIGNATURE]
    return redigested(forged)


FORGED: dict[str, Callable[[], bytes]] = {
    "the public key as a secret": lambda: made_with(PUBLIC),
    "the public key as it is written as a secret": lambda: made_with(PAIR.public.encode()),
    "the public key as a secret, called Ed25519": lambda: made_with(PUBLIC, scheme=2),
    "no secret": lambda: made_with(b""),
    "the public key as a private one": lambda: entry_format.encode(
        KEY, snapshot(seed=1), keyring([PAIR.public.replace("public:", "private:").encode()], [])
    ),
    "a pair of their own": lambda: entry_format.encode(KEY, snapshot(seed=1), keyring([new_pair()[0].encode()], [])),
    "no signature": lambda: entry_format.encode(KEY, snapshot(seed=1)),
    "a signature of zeros, called Ed25519": lambda: redigested(
        bytearray(entry_format.encode(KEY, snapshot(seed=1)))[:SCHEME]
        + b"\2"
        + entry_format.encode(KEY, snapshot(seed=1))[SCHEME + 1 :]
    ),
    "the signature of another voice": lambda: with_their_signature(entry_format.encode(KEY, snapshot(seed=1))),
    "the right signature, called an HMAC": lambda: with_their_signature(SIGNED_BY_THEM, scheme=1),
    "a scheme that there is not": lambda: with_their_signature(SIGNED_BY_THEM, scheme=3),
}


def found(tmp_path: Path, key: str, entry: bytes, **keys: Any) -> tuple[Any, list[str]]:
    """What a reader finds under a key where this entry is, and the kinds of errors that it has counted."""
    failed: list[str] = []
    store = VoiceStore(resolve({"cache_dir": tmp_path, **keys}), lambda place, _: failed.append(place))
    store.lower.put(key, entry)
    try:
        return store.find(key, "cpu"), failed
    finally:
        store.lower.close()


@pytest.mark.parametrize("reader", [READER, {"signing_key": SECRET, **READER}, SIGNER], ids=["reads", "both", "signs"])
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_who_has_what_a_reader_has_forges_nothing(
    forge: Callable[[], bytes], reader: dict[str, Any], tmp_path: Path
) -> None:
    assert found(tmp_path, KEY, SIGNED_BY_THEM, **reader)[1] == []
    assert found(tmp_path, KEY, forge(), **reader) == (None, ["signature"])


def test_a_signed_voice_is_not_passed_off_for_another(tmp_path: Path) -> None:
    renamed = SIGNED_BY_THEM.replace(KEY.encode(), OF_ANOTHER_VOICE.encode())
    assert found(tmp_path, OF_ANOTHER_VOICE, SIGNED_BY_THEM, **READER) == (None, ["entry"])
    assert found(tmp_path, OF_ANOTHER_VOICE, redigested(bytearray(renamed)), **READER) == (None, ["signature"])


def test_a_reader_itself_signs_nothing(english: Any, voice: Path, tmp_path: Path) -> None:
    """Not even where it replaces what it has found to be wrong."""
    served(english, voice, tmp_path, **SIGNER)
    changed = snapshot(seed=1)
    rewritten(
        tmp_path,
        lambda entry: entry_format.encode(
            entry_format.key_in(entry) or "", changed, keyring([PAIR.private.encode()], [])
        ),
    )
    cache = ConditionalCache(tmp_path, verify=1, **READER)
    with pytest.warns(CacheWarning, match="not what upstream makes"):
        cache.get_or_prepare(english, voice)
    now = cache.get_cache_stats()
    cache.close()
    assert now["errors"] == {"verify": 1}
    assert not list(entries_of(tmp_path).rglob("*.val"))


WITHOUT = """
import sys
sys.modules["cryptography"] = None  # what Python makes of a package that is not there
"""


def test_without_cryptography_secrets_work_and_keys_of_a_pair_say_what_to_install(tmp_path: Path) -> None:
    program = (
        WITHOUT
        + """
from chatterbox_cached.errors import SettingsError
from chatterbox_cached.settings import resolve
from chatterbox_cached.voice.entry_format import decode, encode
from benchmarks.servers import Valkey, running
from tests.support.small_voices import KEY, snapshot
keys = resolve({"signing_key": "a secret that machines share"}).keyring
decode(KEY, encode(KEY, snapshot(), keys), keys)
for name, key in zip(("signing_key", "verify_keys"), sys.argv[1:]):
    try:
        resolve({name: key})
    except SettingsError as error:
        print(error)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *PAIR],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in said] == ["signing_key", "verify_keys"]
    for line in said:
        assert "pip install 'chatterbox-cached[signing]'" in line
        assert not any(key in line for key in PAIR)


def test_secrets_alone_do_not_load_cryptography() -> None:
    program = """
import sys
from chatterbox_cached.settings import resolve
print(resolve({"signing_key": "a secret that machines share"}).keyring.scheme, "cryptography" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "False"]
