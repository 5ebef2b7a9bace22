"""A bundle gives back exactly the entries that went in, or nothing at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from chatterbox_cached.errors import BundleError, EntryError
from chatterbox_cached.library import exchange
from chatterbox_cached.library.exchange_names import Newcomers
from chatterbox_cached.named.library import Library
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice import bundle, entry_format
from chatterbox_cached.voice.bundle import VoiceEntry
from chatterbox_cached.voice.fields import REFERENCE
from chatterbox_cached.voice.key_format import digest_of, voice_prefix
from chatterbox_cached.voice.signing import NO_KEYS, keyring
from chatterbox_cached.voice.snapshot import equal
from tests.support.bundles import entry_of, key_of, made_by, origin, voice_of, voice_of_vc, written
from tests.support.hostile import ENTRIES, START
from tests.support.small_voices import snapshot, snapshot_of_vc

OWN_KEY, OTHER_KEY = b"a key of sixteen or more", b"somebody else's secret"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "voices.cbv"


def folder(root: Path, *signing_keys: bytes, **changes: Any) -> tuple[DiskTier, Settings]:
    settings = Settings(cache_dir=root, signing_key=signing_keys, **changes)
    return exchange.open_folder(settings), settings


def take_in(path: Path, tier: DiskTier, settings: Settings) -> exchange.TakenIn:
    return exchange.take_in(path, tier, settings, Newcomers(Library(settings)))


def exported(tier: DiskTier, settings: Settings, path: Path) -> bytes:
    bundle.write(path, tier.keys(), lambda key: exchange.read_entry(tier, key, settings.keyring))
    return path.read_bytes()


def test_voices_come_back_bit_for_bit(path: Path) -> None:
    written(path, voice_of(1), voice_of(2))
    for voice in bundle.read(path):
        seed = next(seed for seed in (1, 2) if key_of(seed) == voice.header.key)
        again = entry_format.decode(voice.header.key, entry_format.seal(voice.header, voice.payload))
        assert equal(again, snapshot(seed=seed))
        assert again.prepare_seconds == snapshot().prepare_seconds
        assert voice.header.made_by == made_by()


def test_a_voice_for_speech_is_carried_as_one(path: Path, tmp_path: Path) -> None:
    written(path, voice_of(1), voice_of_vc(2))
    tier, settings = folder(tmp_path / "mine")
    assert take_in(path, tier, settings).new == 2
    again = entry_format.decode(key_of(2), tier.get(key_of(2)) or b"")
    assert equal(again, snapshot_of_vc(seed=2))
    assert {voice.header.key: voice.header.fields for voice in bundle.read(path)} == {
        key_of(1): snapshot().names(),
        key_of(2): [*REFERENCE],
    }


def test_any_zip_program_and_any_reader_of_safetensors_opens_a_bundle(path: Path) -> None:
    written(path, voice_of(1))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "0000.safetensors"]
        stated = json.loads(archive.read("manifest.json"))
        tensors = safetensors.torch.load(archive.read("0000.safetensors"))
    assert tensors.keys() == snapshot().tensors().keys()
    assert stated["made_by"][digest_of(made_by())]["python"] == "3.11"


def test_an_imported_bundle_is_exported_as_the_same_bytes(path: Path, tmp_path: Path) -> None:
    mine, settings = folder(tmp_path / "mine")
    for seed in (3, 1, 2):
        mine.put(*entry_of(seed))
    sent = exported(mine, settings, path)
    other, others = folder(tmp_path / "other")
    assert take_in(path, other, others).new == 3
    assert exported(other, others, tmp_path / "again.cbv") == sent


def test_the_order_in_which_voices_are_given_does_not_matter(tmp_path: Path) -> None:
    one, other = voice_of(1), voice_of(2)
    assert written(tmp_path / "a", one, other) == written(tmp_path / "b", other, one)


def test_imported_entries_are_signed_with_ones_own_key(path: Path, tmp_path: Path) -> None:
    mine, settings = folder(tmp_path / "mine", OTHER_KEY)
    mine.put(*entry_of(1, keyring([OTHER_KEY], [])))
    sent = exported(mine, settings, path)
    other, others = folder(tmp_path / "other", OWN_KEY)
    take_in(path, other, others)
    entry = other.get(key_of(1))
    assert entry is not None
    assert equal(entry_format.decode(key_of(1), entry, keyring([OWN_KEY], [])), snapshot(seed=1))
    assert exported(other, others, tmp_path / "again.cbv") == sent


def test_what_is_not_signed_with_ones_key_is_not_exported(tmp_path: Path) -> None:
    tier, settings = folder(tmp_path / "mine", OWN_KEY)
    tier.put(*entry_of(1, keyring([OTHER_KEY], [])))
    with pytest.raises(EntryError, match="signed"):
        exchange.read_entry(tier, key_of(1), settings.keyring)


def test_an_entry_that_does_not_say_what_made_it_is_not_exported(tmp_path: Path) -> None:
    tier, _ = folder(tmp_path / "mine")
    tier.put(key_of(1), entry_format.encode(key_of(1), snapshot()))
    with pytest.raises(EntryError, match="what made it"):
        exchange.read_entry(tier, key_of(1), NO_KEYS)


def test_what_is_there_already_stays_and_what_is_damaged_is_replaced(path: Path, tmp_path: Path) -> None:
    tier, settings = folder(tmp_path / "mine")
    written(path, voice_of(1), voice_of(2))
    own = entry_format.encode(key_of(1), snapshot(seed=9), made_by=made_by())
    tier.put(key_of(1), own)
    tier.put(key_of(2), entry_of(2)[1][:-1])
    assert take_in(path, tier, settings).new == 1
    assert tier.get(key_of(1)) == own
    assert equal(entry_format.decode(key_of(2), tier.get(key_of(2)) or b""), snapshot(seed=2))


def test_a_bundle_that_the_folder_has_no_room_for_drops_nothing(path: Path, tmp_path: Path) -> None:
    written(path, voice_of(1), voice_of(2))
    key, entry = entry_of(3)
    tier, settings = folder(tmp_path / "mine")
    tier.put(key, entry)
    with pytest.raises(BundleError, match="SIZE_LIMIT"):
        take_in(path, tier, settings._replace(size_limit=len(entry) + 100))
    assert tier.keys() == [key]


def test_older_entries_that_make_room_are_counted(path: Path, tmp_path: Path) -> None:
    written(path, voice_of(1), voice_of(2))
    key, entry = entry_of(3)
    tier, _ = folder(tmp_path / "mine")
    tier.put(key, entry)
    smaller, settings = folder(tmp_path / "mine", size_limit=tier.nbytes() + int(1.5 * len(entry)))
    assert take_in(path, smaller, settings).made_room == 1
    assert key not in tier.keys()  # noqa: SIM118


def test_an_export_that_fails_leaves_the_old_bundle_and_nothing_else(path: Path) -> None:
    before, voices = written(path, voice_of(1)), {key_of(1): voice_of(1), key_of(2): voice_of(2)}
    with pytest.raises(KeyError):
        bundle.write(path, [*voices, key_of(3)], voices.__getitem__)
    changing = iter((voice_of(1), voice_of(1)._replace(payload=b"other")))
    with pytest.raises(BundleError, match="changed"):
        bundle.write(path, [key_of(1)], lambda _: next(changing))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# Hostile ones. Each is written down by hand, by somebody who knows the format.


def archive(*parts: tuple[str, bytes], lie: Callable[[int, bytes], bytes] = lambda _, local: local) -> bytes:
    """A zip of these parts; ``lie`` changes the header of one."""
    made, listed = b"", b""
    for number, (name, content) in enumerate(parts):
        crc, size = zlib.crc32(content), len(content)
        fields = (20, 0, 0, 0, 33, crc, size, size, len(name), 0)
        listed += struct.pack("<4s6H3L5H2L", b"PK\1\2", 3 << 8 | 20, *fields, 0, 0, 0, 0o100600 << 16, len(made))
        listed += name.encode()
        made += lie(number, struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name.encode()) + content
    return made + listed + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(parts), len(parts), len(listed), len(made), 0)


def manifest(*voices: VoiceEntry, change: Callable[[dict[str, Any]], object] = lambda _: None, **more: Any) -> bytes:
    """The manifest of these voices; ``change`` alters it."""
    listed = []
    for voice in voices:
        header = {name: value for name, value in vars(voice.header).items() if name not in ("made_by", "origin")}
        listed.append(
            {
                **header,
                "origin": json.loads(voice.header.origin),
                "bytes": len(voice.payload),
                "sha256": hashlib.sha256(voice.payload).hexdigest(),
            }
        )
    makers = {digest_of(voice.header.made_by): json.loads(voice.header.made_by) for voice in voices}
    content = {"format": bundle.FORMAT, "version": 3, "made_by": makers, "voices": listed, **more}
    change(content)
    return f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode()


GOOD = voice_of(1)
PARTS = (("manifest.json", manifest(GOOD)), ("0000.safetensors", GOOD.payload))


def of(voice: VoiceEntry) -> bytes:
    """A bundle that is right in every way but for the voice in it."""
    return archive(("manifest.json", manifest(voice)), ("0000.safetensors", voice.payload))


def stating(change: Callable[[dict[str, Any]], object]) -> bytes:
    return archive(("manifest.json", manifest(GOOD, change=change)), PARTS[1])


def first(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["voices"][0].update({name: value})


def maker(name: str, value: Any) -> bytes:
    """A bundle whose voice was made by something strange; key and digests are right."""
    return of(voice_of(1, **{name: value}))


def claiming(size: int) -> Callable[[int, bytes], bytes]:
    """The voice is of this size, says its header."""
    return lambda n, local: local if n == 0 else local[:18] + struct.pack("<2L", size, size) + local[26:]


def squeezed(size: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(*PARTS[0])
        with zipped.open("0000.safetensors", "w") as part:
            for _ in range(size // 2**20):
                part.write(bytes(2**20))
    return made.getvalue()


def renamed(name: str) -> bytes:
    return archive(PARTS[0], (name, GOOD.payload))


def entry_in_bundle(make: Callable[[str], bytes]) -> bytes:
    """A hostile entry, taken apart and put into a bundle."""
    key = GOOD.header.key
    entry = make(key)
    header = struct.unpack_from("<8sHIQ", entry)[2]
    stated = json.loads(entry[START : START + header])
    return of(
        VoiceEntry(entry_format.Header(**{**stated, "made_by": made_by(), "origin": origin()}), entry[START + header :])
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: b"voices" * 100,
    "a pickle": lambda: b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "a zip of somebody else's": lambda: archive(("hello.txt", b"hello")),
    "an empty zip": lambda: archive(),
    "a zip bomb": lambda: squeezed(2**30),
    "a voice of 4 GB, says its header": lambda: archive(*PARTS, lie=claiming(2**32 - 1)),
    "a voice that goes on after the end": lambda: archive(*PARTS, lie=claiming(len(GOOD.payload) + 1000)),
    "a voice of 17 MiB": lambda: of(GOOD._replace(payload=bytes(17 * 2**20))),
    "a manifest of 9 MiB": lambda: archive(("manifest.json", b" " * 9 * 2**20), PARTS[1]),
    "a name that leads out": lambda: renamed("../../../evil"),
    "a name of the same length that leads out": lambda: renamed("../0.safetensors"),
    "an absolute name": lambda: renamed("/tmp/evil.sh"),
    "the same name twice": lambda: archive(*PARTS, PARTS[1]),
    "the same voice twice": lambda: archive(
        ("manifest.json", manifest(GOOD, GOOD)), PARTS[1], ("0001.safetensors", GOOD.payload)
    ),
    "one part more than there should be": lambda: archive(*PARTS, ("0001.safetensors", b"")),
    "a voice for texts that says it is one for speech": lambda: stating(first("fields", [*REFERENCE])),
    "one part less": lambda: archive(PARTS[0]),
    "parts in another order": lambda: archive(*reversed(PARTS)),
    "something after the end": lambda: archive(*PARTS) + b"\0",
    "something before the beginning": lambda: b"#!/bin/sh\n" + archive(*PARTS),
    "a comment": lambda: archive(*PARTS)[:-2] + b"\3\0abc",
    "a directory that names other files": lambda: archive(*PARTS)[:-100].replace(b"x", b"y") + archive(*PARTS)[-100:],
    "a wrong digest": lambda: stating(first("sha256", "00" * 32)),
    "another's digest": lambda: archive(PARTS[0], ("0000.safetensors", voice_of(2).payload)),
    "a digest that is none": lambda: stating(first("sha256", "../" * 21)),
    "a wrong size": lambda: stating(first("bytes", 5)),
    "a size of 2**63": lambda: stating(first("bytes", 2**63)),
    "a size below zero": lambda: stating(first("bytes", -1)),
    "a size that is true": lambda: stating(first("bytes", True)),
    "a key that leads out": lambda: stating(first("key", "v3/../../etc/passwd")),
    "a key with more after it": lambda: stating(first("key", GOOD.header.key + "\n")),
    "a key that is no text": lambda: stating(first("key", 5)),
    "a key of another model": lambda: stating(first("key", voice_prefix("ab" * 32) + "cd" * 32)),
    "a field more": lambda: stating(first("path", "/home/somebody/anna.wav")),
    "a field less": lambda: stating(lambda content: content["voices"][0].pop("strides")),
    "something more in the manifest": lambda: stating(lambda content: content.update(more=1)),
    "no voices but a number": lambda: stating(lambda content: content.update(voices=5)),
    "voices that are numbers": lambda: stating(lambda content: content.update(voices=[1, 2])),
    "another version": lambda: stating(lambda content: content.update(version=1)),
    "a version that is true": lambda: stating(lambda content: content.update(version=True)),
    "a maker that none of the voices has": lambda: stating(
        lambda content: content["made_by"].update({"00" * 32: json.loads(made_by())})
    ),
    "a maker under another's digest": lambda: stating(
        lambda content: content.update(made_by={digest_of(made_by()): json.loads(made_by(weights="other"))})
    ),
    "a maker that is a list": lambda: stating(lambda content: content.update(made_by=[])),
    "a maker that says too little": lambda: of(voice_of(1, libraries=None)),
    "a maker that commands the terminal": lambda: maker("python", "\x1b]0;owned\x07\x1b[2J"),
    "an origin that commands the terminal": lambda: maker("chatterbox", "\x1b[2J"),
    "an origin that says too little": lambda: stating(first("origin", {})),
    "an origin that is a text": lambda: stating(first("origin", "here")),
    "a library that commands the terminal": lambda: maker("libraries", {"\x1b[2J": "1"}),
    "a manifest of lists in lists": lambda: archive(("manifest.json", b"[" * 2**20), PARTS[1]),
    "a manifest of many numbers": lambda: archive(("manifest.json", b"[" + b"0," * 2**21 + b"0]"), PARTS[1]),
    "a manifest that is no text": lambda: archive(("manifest.json", b"\xff\xfe"), PARTS[1]),
    "a number without an end": lambda: stating(first("prepare_seconds", 10**400)),
    "a time that is no number": lambda: stating(first("prepare_seconds", float("nan"))),
    "a time that is a text": lambda: stating(first("prepare_seconds", "long")),
    **{
        f"an entry with {name}": lambda make=make: entry_in_bundle(make)  # type: ignore[misc]
        for name, make in ENTRIES.items()
        if make(GOOD.header.key)[START : START + 2]
        == b'{"'  # else its header is what is hostile, and there is none in a bundle
    },
}


def test_what_is_written_by_hand_is_a_bundle(path: Path, tmp_path: Path) -> None:
    path.write_bytes(archive(*PARTS))
    assert [voice.header.key for voice in bundle.read(path)] == [GOOD.header.key]
    assert path.read_bytes() == written(tmp_path / "other", GOOD)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_and_nothing_of_it_is_kept(name: str, path: Path, tmp_path: Path) -> None:
    path.write_bytes(HOSTILE[name]())
    tier, settings = folder(tmp_path / "folder")
    with pytest.raises(BundleError) as refused:
        take_in(path, tier, settings)
    assert str(path) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["voices.cbv"]


def test_every_cut_and_every_flipped_bit_is_refused(path: Path) -> None:
    whole = written(path, GOOD, voice_of(2))
    for length in (*range(0, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            list(bundle.read(path))
    for place in range(0, len(whole), 41):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(BundleError):
            list(bundle.read(path))


def test_a_good_voice_before_a_bad_one_is_not_kept_either(path: Path, tmp_path: Path) -> None:
    whole = written(path, GOOD, voice_of(2))
    path.write_bytes(whole[:-1])
    tier, settings = folder(tmp_path / "folder")
    with pytest.raises(BundleError):
        take_in(path, tier, settings)
    assert tier.keys() == []


LIMIT = 256 * 2**20
READ = """
import resource, sys
from pathlib import Path
import safetensors.torch, torch
from chatterbox_cached.errors import BundleError
from chatterbox_cached.voice import bundle
from tests.support.bundles import voice_of, written

written(Path(sys.argv[1], "good"), voice_of(1))
list(bundle.read(Path(sys.argv[1], "good")))  # whatever is loaded late is loaded now
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {limit}, size + {limit}))
for path in sorted(Path(sys.argv[1]).glob("*.cbv")):
    try:
        list(bundle.read(path))
        print(path.name, "read")
    except BundleError as error:
        cause = error
        while cause is not None:
            print(path.name, type(cause).__name__)
            cause = cause.__cause__
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is set from /proc")
def test_no_hostile_bundle_takes_much_memory(tmp_path: Path) -> None:
    for number, make in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.cbv").write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ.format(limit=LIMIT), str(tmp_path)],
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert {name for name, _ in said} == {f"{number}.cbv" for number in range(len(HOSTILE))}
    assert not {what for _, what in said} & {"read", "MemoryError"}, done.stdout
