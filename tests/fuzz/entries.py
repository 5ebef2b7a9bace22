"""Feeds what reads entries with what atheris makes up; run by ``make fuzz``, ends with an error at the first finding.

The lengths and the digest are put right, or nothing would get beyond them. All else is atheris's: the header, the
payload, and now and then the lengths too. Whatever is no entry must be an EntryError, and nothing else.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["chatterbox_cached", "safetensors", "json"]):
    from chatterbox_cached.errors import EntryError, Unidentifiable
    from chatterbox_cached.identity.key import Identity, _arguments
    from chatterbox_cached.voice import entry_format
    from chatterbox_cached.voice.key_format import SCHEMA
    from chatterbox_cached.voice.signing import NO_KEYS, SIGNATURE_SIZE, UNSIGNED

import contextlib

from tests.support.small_voices import ENTRY, KEY


def read(entry: bytes) -> None:
    with contextlib.suppress(EntryError):
        entry_format.decode(KEY, entry).flaw()


def sealed(header: bytes, payload: bytes) -> bytes:
    lengths = entry_format._LENGTHS.pack(entry_format.MAGIC, SCHEMA, len(header), len(payload), UNSIGNED)
    signature = bytes(SIGNATURE_SIZE)
    return b"".join((lengths, signature, entry_format._sha256(lengths, signature, header, payload), header, payload))


def one_input(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    if kind == b"h":  # a header of its own, up to the first line's end
        header, _, payload = rest.partition(b"\n")
        read(sealed(header, payload or PAYLOAD))
    elif kind == b"p":  # a payload of its own behind a header that is in order
        read(sealed(HEADER, rest))
    elif kind == b"k":
        made_up = atheris.FuzzedDataProvider(rest)
        try:
            _arguments({made_up.ConsumeUnicode(9): made_up.ConsumeUnicode(9), "n": made_up.ConsumeFloat()})
            Identity().audio.identify(made_up.ConsumeUnicode(50))
        except Unidentifiable:
            pass
    else:
        read(data)


HEADER, PAYLOAD = map(bytes, entry_format._verified(memoryview(ENTRY), NO_KEYS))
SEEDS = (ENTRY, b"h" + HEADER + b"\n" + PAYLOAD, b"p" + PAYLOAD, b"kvoice.wav")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], one_input)
        atheris.Fuzz()
