"""A cache folder and .pt files by somebody who knows the formats, and a process in which to read them.

``python -m tests.support.hostile FOLDER`` reads everything in ``FOLDER`` with at most LIMIT bytes of memory more than
it has when PyTorch is loaded, and prints what became of each as JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import resource
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from chatterbox_cached.errors import ChatterboxCachedError
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.upstream import pt_file
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.key_format import digest_of
from tests.support.readers import LOOKS, PREFIX, verb
from tests.support.small_voices import live, snapshot

START = 119  # bytes before an entry's header
LIMIT = 256 * 2**20  # an entry or a file of 16 MiB, a few times over, and what allocators take at once


def key_of(number: int) -> str:
    """The key of something planted."""
    return f"{PREFIX}{number:064x}"


def signed(header: bytes, payload: bytes, lengths: tuple[int, int] | None = None) -> bytes:
    """An entry with the right digest."""
    start = struct.pack("<8sHIQ65x", b"CBXVOICE", 3, *(lengths or (len(header), len(payload))))
    return start + hashlib.sha256(start + header + payload).digest() + header + payload


def header_for(key: str, **changes: Any) -> bytes:
    entry = entry_format.encode(key, snapshot())
    header = json.loads(entry[START : START + struct.unpack_from("<8sHIQ", entry)[2]])
    return json.dumps({**header, **changes}).encode()


def payload_of(claims: dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """safetensors by hand."""
    head = json.dumps(claims).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + data


def one(name: str, shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


def with_field(name: str, value: torch.Tensor | None) -> Callable[[str], bytes]:
    """An entry that is right in every other way."""
    part, _, field = name.partition(".")
    made = snapshot()
    changed = {part: dict(fields) for part, fields in made.parts.items()}
    changed[part][field] = value
    return lambda key: entry_format.encode(key, type(made)(changed, 1.0))


def a_voice(key: str, **changes: Any) -> bytes:
    """An entry that is right but for its header."""
    return signed(header_for(key, **changes), entry_format.encode(key, snapshot())[START + len(header_for(key)) :])


def with_payload(payload: bytes, **changes: Any) -> Callable[[str], bytes]:
    return lambda key: signed(header_for(key, **changes), payload)


_STRIDES = {"strides": {"gen.prompt_feat": [2**62, 2**61, 2**60]}}
ENTRIES: dict[str, Callable[[str], bytes]] = {
    "a header of 4 GB that is not there": lambda key: signed(b"{}", b"", (2**32 - 1, 0)),
    "a payload of 2**63 bytes that is not there": lambda key: signed(b"{}", b"", (2, 2**63)),
    "a deep header": lambda key: signed(b"[" * 2**16, b""),
    "a header of many numbers": lambda key: signed(b"[" + b"0," * 2**22 + b"0]", b""),
    "a header of many lists": lambda key: signed(b"[" + b"[]," * 5_000_000 + b"0]", b""),
    "safetensors with a header of 4 GB": with_payload(payload_of({}, length=2**32)),
    "safetensors with a header of 2**63 bytes": with_payload(payload_of({}, length=2**63)),
    "a billion by a billion elements": with_payload(payload_of(one("gen.prompt_feat", [10**9, 10**9], 0, 4), b"1234")),
    "sizes whose product is small again": with_payload(payload_of(one("gen.prompt_feat", [2**32, 2**32], 0, 0))),
    "no elements, but a billion rows": with_payload(
        payload_of(one("gen.prompt_feat", [10**9, 0, 80], 0, 0)), **_STRIDES
    ),
    "strides beyond the tensor": with_payload(
        payload_of(one("gen.prompt_feat", [1, 1, 80], 0, 320), bytes(320)), **_STRIDES
    ),
    "data after the end": with_payload(payload_of(one("gen.prompt_feat", [1, 1, 80], 10**9, 10**9 + 320))),
    "offsets that overlap": with_payload(
        payload_of({**one("gen.embedding", [80], 0, 320), **one("gen.prompt_feat", [80], 160, 480)}, bytes(480)),
        strides={"gen.embedding": [1], "gen.prompt_feat": [1]},
    ),
    "an offset below zero": with_payload(payload_of(one("gen.prompt_feat", [80], -320, 0))),
    "ten thousand tensors": with_payload(payload_of({str(n): one("x", [0], 0, 0)["x"] for n in range(10_000)})),
    "a wrong type": with_field("gen.prompt_token", torch.ones(1, 7)),
    "whole numbers for an embedding": with_field("gen.embedding", torch.ones(1, 192, dtype=torch.int16)),
    "a wrong shape": with_field("gen.prompt_feat", torch.ones(1, 14, 100)),
    "no such number": with_field("gen.embedding", torch.full((1, 192), float("nan"))),
    "infinity": with_field("t3.speaker_emb", torch.full((1, 256), float("inf"))),
    "an embedding of another width": with_field("gen.embedding", torch.ones(1, 5)),
    "more tokens than there are": with_field("gen.prompt_token_len", torch.tensor([8])),
    "one T3's own embedding": with_field("t3.cond_prompt_speech_emb", torch.ones(1, 7, 3)),
    "a field that upstream leaves empty": with_field("t3.clap_emb", torch.ones(1, 1)),
    "a field that upstream does not have": with_field("gen.further", torch.ones(3)),
    "an empty field that upstream does not have": with_field("gen.further", None),
    "a field too few": with_payload(
        entry_format.encode("", snapshot())[START + len(header_for("")) :],
        fields=[name for name in snapshot().names() if name != "gen.prompt_feat_len"],
    ),
    "a token beyond the vocabulary": with_field("t3.cond_prompt_speech_tokens", torch.tensor([[6561]])),
    "a token below zero": with_field("gen.prompt_token", torch.tensor([[-1]])),
    "a time that is no number": lambda key: a_voice(key, prepare_seconds=float("nan")),
    "a time that is a list": lambda key: a_voice(key, prepare_seconds=[]),
    "a time beyond all floats": lambda key: a_voice(key, prepare_seconds=10**400),
}

# What voices that are whole say of what made them, which nobody reads but who looks at them by hand.
MAKERS = {
    "no JSON": "{",
    "a deep list": "[" * 30_000,
    "a number of many digits": "9" * 5_000,
    "a list": "[]",
    "an object without a class": "{}",
    "a class that is an object": '{"class": {}, "libraries": 1, "device": []}',
    "what a terminal would obey": '{"class": "\\u001b[2J"}',
}


def archive(pickled: bytes | None = None, *, packed: int = 0, change: Callable[[bytes], bytes] | None = None) -> bytes:
    """A voice as torch.save writes it, with another pickle in it, or with so many zeros packed into it."""
    saved, made = io.BytesIO(), io.BytesIO()
    torch.save({"t3": vars(live().t3), "gen": live().gen}, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                data = change(data) if change else pickled or data
            target.writestr(name, data)
        if packed:
            target.writestr("archive/data/99", bytes(packed), compress_type=zipfile.ZIP_DEFLATED, compresslevel=1)
    return made.getvalue()


KNOT = b"\x80\x02}(K\x01\x85q\x00" + b"".join(b"h%ch%c\x86q%c0" % (n, n, n + 1) for n in range(60)) + b"h<Nu."


def in_capitals() -> bytes:
    """A knot under a name that PyTorch takes for data.pkl."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive(KNOT))) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name.replace("data.pkl", "DATA.PKL"), source.read(name))
    return made.getvalue()


def and_more(name: str, content: bytes) -> bytes:
    """A good voice with one more part."""
    made = io.BytesIO(archive())
    with zipfile.ZipFile(made, "a") as target:
        target.writestr(name, content)
    return made.getvalue()


def claiming_more(pickled: bytes) -> bytes:
    """The speaker embedding's 256 numbers become a hundred million."""
    claimed = re.sub(rb"M\x00\x01(N?tq)", b"J" + struct.pack("<i", 10**8) + rb"\1", pickled, count=1)
    assert claimed != pickled
    return claimed


def in_the_old_format() -> bytes:
    saved = io.BytesIO()
    torch.save({"t3": vars(live().t3), "gen": live().gen}, saved, _use_new_zipfile_serialization=False)
    return claiming_more(saved.getvalue())


def lying_directory() -> bytes:
    """The archive's directory says that a part which is not packed is of 4 GB."""
    made = bytearray(archive())
    place = made.rindex(b"PK\x01\x02")
    made[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    return bytes(made)


VOICE_FILES: dict[str, Callable[[], bytes]] = {
    "a gigabyte of zeros, packed": lambda: archive(packed=2**30),
    "a tensor of more than there is": lambda: archive(
        change=lambda pickled: claiming_more(pickled).replace(b"K\x01M\x00\x01\x86", b"K\x01M\x30\x75\x86", 1)
    ),
    "the old format, with a tensor of 400 MB that is not there": in_the_old_format,
    "a directory that lies": lying_directory,
    "a bytearray of 2 GB": lambda: archive(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
    "a pickle of many things": lambda: archive(b"\x80\x02](" + b"K\x01" * 2**22 + b"e."),
    "a knot of tuples": lambda: archive(KNOT),
    "a knot of tuples in capitals": in_capitals,
    "a knot of tuples in another folder": lambda: and_more("other/data.pkl", KNOT),
    "a pickle in a pickle": lambda: archive(b"\x80\x02c_pickle\nloads\nC\x05\x80\x02K\x01.\x85R."),
    "a number strided into a billion": lambda: archive(
        change=lambda pickled: pickled.replace(b"K\x01M\x00\x01\x86", b"K\x01J" + struct.pack("<i", 10**9) + b"\x86", 1)
    ),
    "more than 16 MiB": lambda: archive() + bytes(2**24),
    "nothing": lambda: b"",
}


def write(folder: Path) -> None:
    """Everything above, in ``folder``."""
    tier = DiskTier(folder / "cache", 10**9)
    for number, make in enumerate(ENTRIES.values()):
        tier.put(key_of(number), make(key_of(number)))
    for made_by in MAKERS.values():
        key = PREFIX + digest_of(made_by)
        tier.put(key, entry_format.encode(key, snapshot(), made_by=made_by))
    tier.close()
    shutil.copytree(folder / "cache", folder / "mended")
    for number, make_file in enumerate(VOICE_FILES.values()):
        (folder / f"{number}.pt").write_bytes(make_file())


def told_of(error: BaseException | None) -> str:
    """The error and what it came of, so that nobody takes one that ran into the limit for a refusal."""
    return "" if error is None else f"{type(error).__name__}: {error} {told_of(error.__cause__)}"


def _within_limit(read: Callable[[], Any]) -> dict[str, Any]:
    started, before = time.monotonic(), _occupied()
    try:
        said, raised = str(read()), None
    except Exception as error:
        said = told_of(error)
        # What the command line says in a line; all else would end it with a traceback.
        raised = None if isinstance(error, (ChatterboxCachedError, OSError)) else type(error).__name__
    return {"said": said, "raised": raised, "seconds": time.monotonic() - started, "peak": _occupied() - before}


def _occupied() -> int:
    """The most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(folder: Path) -> None:
    torch.save(torch.ones(1), io.BytesIO())  # whatever is loaded late is loaded now
    safetensors.torch.load(safetensors.torch.save({"a": torch.ones(1)}))
    pt_file.write(folder / "good.pt", snapshot(), 0.5)
    pt_file.read(folder / "good.pt", "cpu")
    told: list[str] = []
    store = VoiceStore(
        resolve({"cache_dir": folder / "cache"}), lambda where, error: told.append(f"{where}: {told_of(error)}")
    )
    store.lower.open()
    for look in LOOKS.values():
        _within_limit(lambda look=look: look(folder / "nothing"))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LIMIT, size + LIMIT))
    outcomes = {name: _within_limit(lambda look=look: look(folder / "cache")) for name, look in LOOKS.items()}
    outcomes["check"] = _within_limit(lambda: verb("check")(folder / "mended"))
    for number, name in enumerate(ENTRIES):
        told.clear()
        outcomes[name] = _within_limit(lambda number=number: store.from_lower_tiers(key_of(number), "cpu"))
        outcomes[name]["told"] = list(told)
    for number, name in enumerate(VOICE_FILES):
        outcomes[name] = _within_limit(lambda path=folder / f"{number}.pt": pt_file.read(path, "cpu"))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
