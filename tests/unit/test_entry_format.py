"""An entry gives back the very snapshot it was made of, or counts as absent."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.errors import EntryError, SignatureError
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.entry_format import MOST_BYTES
from chatterbox_cached.voice.fields import FIELDS, REFERENCE
from chatterbox_cached.voice.snapshot import Snapshot, equal
from tests.support.small_voices import ENTRY, KEY, snapshot
from tests.support.tally import tried


def signed(header: bytes, payload: bytes, *, magic: bytes = b"CBXVOICE", schema: int = 2) -> bytes:
    """An entry with the right digest, whatever is in it. Written down here a second time, since it is a file format."""
    prefix = struct.pack("<8sHIQ32x", magic, schema, len(header), len(payload))
    return prefix + hashlib.sha256(prefix + header + payload).digest() + header + payload


def taken_apart(entry: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload."""
    length = struct.unpack_from("<8sHIQ", entry)[2]
    return json.loads(entry[86 : 86 + length]), entry[86 + length :]


def test_a_snapshot_comes_back_the_same() -> None:
    kept, again = snapshot(), entry_format.decode(KEY, ENTRY)
    assert equal(kept, again)
    assert again.prepare_seconds == kept.prepare_seconds
    assert again.names() == kept.names()


def test_the_format_is_the_one_written_down() -> None:
    header, payload = taken_apart(ENTRY)
    assert signed(json.dumps(header).encode(), payload) == ENTRY
    assert header["key"] == KEY
    assert set(safetensors.torch.load(payload)) == set(snapshot().tensors())


def test_equal_snapshots_make_equal_entries() -> None:
    assert entry_format.encode(KEY, snapshot()) == ENTRY
    assert entry_format.encode(KEY, entry_format.decode(KEY, ENTRY)) == ENTRY


def test_a_decoded_snapshot_shares_nothing_with_the_entry() -> None:
    entry = bytearray(ENTRY)
    again = entry_format.decode(KEY, entry)
    entry[-200:] = bytes(200)
    assert equal(again, snapshot())


DTYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)


@st.composite
def dense_tensors(draw: st.DrawFn) -> torch.Tensor:
    """Any dtype, any shape, the axes in any order in memory, any bits."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = draw(st.sampled_from(DTYPES))
    count = int(torch.tensor(shape).prod()) if shape else 1
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    raw = torch.randint(0, 256, (count * dtype.itemsize,), generator=random, dtype=torch.uint8)
    tensor = (raw % 2 if dtype is torch.bool else raw).view(dtype).reshape(shape)
    return tensor.permute(draw(st.permutations(range(len(shape)))))


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


@given(
    st.one_of(
        st.fixed_dictionaries({name: st.none() | dense_tensors() for name in names}) for names in (FIELDS, REFERENCE)
    ),
    st.floats(0, 1e6),
)
def test_every_dtype_shape_and_layout_comes_back_the_same(
    fields: dict[str, torch.Tensor | None], prepare_seconds: float
) -> None:
    parts: dict[str, dict[str, torch.Tensor | None]] = {}
    for field, value in fields.items():
        part, _, name = field.partition(".")
        parts.setdefault(part, {})[name] = value
    kept = Snapshot(parts, 0.0)
    again = entry_format.decode(KEY, entry_format.encode(KEY, replace(kept, prepare_seconds=prepare_seconds)))
    assert again.prepare_seconds == prepare_seconds
    for got_part, part_fields in ((again.parts[part], parts[part]) for part in parts):
        assert got_part.keys() == part_fields.keys()
        for name, tensor in part_fields.items():
            got = got_part[name]
            if tensor is None or got is None:
                assert got is tensor
                continue
            assert (got.dtype, got.shape) == (tensor.dtype, tensor.shape)
            assert torch.equal(bits(got), bits(tensor))
            if tensor.numel():
                assert got.stride() == tensor.stride()


@given(st.integers(0, len(ENTRY) - 1))
def test_a_truncated_entry_is_absent(length: int) -> None:
    tried("lengths to which an entry was cut")
    with pytest.raises(EntryError):
        entry_format.decode(KEY, ENTRY[:length])


@given(st.integers(0, len(ENTRY) * 8 - 1))
def test_an_entry_with_a_flipped_bit_is_absent(place: int) -> None:
    tried("bits flipped in an entry")
    damaged = bytearray(ENTRY)
    damaged[place // 8] ^= 1 << place % 8
    with pytest.raises(EntryError):
        entry_format.decode(KEY, bytes(damaged))


def test_every_bit_of_the_prefix_counts() -> None:
    tried("bits flipped in an entry", 86 * 8)
    for place in range(86 * 8):
        damaged = bytearray(ENTRY)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(EntryError):
            entry_format.decode(KEY, bytes(damaged))


@given(st.binary(min_size=1, max_size=100))
def test_an_entry_with_bytes_after_it_is_absent(more: bytes) -> None:
    with pytest.raises(EntryError):
        entry_format.decode(KEY, ENTRY + more)


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_are_absent(data: bytes, after_the_magic: bool) -> None:
    with pytest.raises(EntryError):
        entry_format.decode(KEY, entry_format.MAGIC + data if after_the_magic else data)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_arbitrary_bytes_with_the_right_digest_are_absent(header: bytes, payload: bytes) -> None:
    with pytest.raises(EntryError):
        entry_format.decode(KEY, signed(header, payload))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["key", "prepare_seconds", "fields", "layout", "more"]), JSON)
def test_a_header_of_the_wrong_form_is_absent_or_harmless(name: str, value: Any) -> None:
    header, payload = taken_apart(ENTRY)
    entry = signed(json.dumps({**header, name: value}).encode(), payload)
    try:
        again = entry_format.decode(KEY, entry)
    except EntryError:
        return
    assert name == "prepare_seconds"
    assert equal(again, snapshot())


def test_another_keys_entry_is_absent() -> None:
    for key in (KEY[:-1] + "e", "", KEY + "/"):
        with pytest.raises(EntryError, match="another key"):
            entry_format.decode(key, ENTRY)


@pytest.mark.parametrize("schema", [0, 1, 3, 65535])
def test_another_schemas_entry_is_absent(schema: int) -> None:
    header, payload = taken_apart(ENTRY)
    with pytest.raises(EntryError, match="another schema"):
        entry_format.decode(KEY, signed(json.dumps(header).encode(), payload, schema=schema))


def test_an_entry_of_an_impossible_size_is_absent() -> None:
    with pytest.raises(EntryError, match="impossible size"):
        entry_format.decode(KEY, ENTRY + bytes(MOST_BYTES))


@pytest.mark.parametrize(
    "change",
    [
        *({"fields": [name for name in FIELDS if name != missing]} for missing in FIELDS),
        {"fields": []},
        {"fields": [*REFERENCE]},  # of a voice that has more in it
        {"fields": [*FIELDS, "t4.speaker_emb"]},
        {"fields": [*FIELDS, "gen.further"]},
        {"fields": [*FIELDS, "t3.cond_prompt_speech_emb"]},
        {"fields": [field.removeprefix("gen.") for field in FIELDS]},
        {"layout": {}},
        {"layout": {field: [0, 0, 0] for field in FIELDS}},
        {"layout": {field: [0, 1, 2, 3, 4, 5] for field in FIELDS}},
        {"prepare_seconds": "long"},
        {"made_by": ["a", "list"]},
    ],
    ids=str,
)
def test_signed_safetensors_with_the_wrong_fields_are_absent(change: dict[str, Any]) -> None:
    header, payload = taken_apart(ENTRY)
    with pytest.raises(EntryError):
        entry_format.decode(KEY, signed(json.dumps({**header, **change}).encode(), payload))


def test_signed_safetensors_with_a_field_that_is_missing_are_absent() -> None:
    header, payload = taken_apart(ENTRY)
    tensors = safetensors.torch.load(payload)
    del tensors["gen.embedding"]
    with pytest.raises(EntryError):
        entry_format.decode(KEY, signed(json.dumps(header).encode(), safetensors.torch.save(tensors)))


def test_a_field_that_is_named_twice_makes_an_entry_absent() -> None:
    header, payload = taken_apart(ENTRY)
    header["fields"].append("gen.embedding")
    with pytest.raises(EntryError):
        entry_format.decode(KEY, signed(json.dumps(header).encode(), payload))


def test_a_deeply_nested_header_is_absent() -> None:
    with pytest.raises(EntryError):
        entry_format.decode(KEY, signed(b"[" * 100_000, taken_apart(ENTRY)[1]))


def test_a_header_of_an_impossible_size_is_neither_read_nor_written() -> None:
    """16 MiB of nested lists would take 400 MB in memory."""
    header, payload = taken_apart(ENTRY)
    padded = {**header, "made_by": ""}
    padded["made_by"] = "x" * (2**16 - len(json.dumps(padded)))
    assert equal(entry_format.decode(KEY, signed(json.dumps(padded).encode(), payload)), snapshot())
    with pytest.raises(EntryError, match="header of an impossible size"):
        entry_format.decode(KEY, signed(json.dumps(padded).encode() + b" ", payload))
    with pytest.raises(EntryError, match="header"):
        entry_format.encode(KEY, snapshot(), made_by="x" * 2**16)


OLD, NEW = b"the key before, of 16 bytes", b"the key now, of 16 bytes"


def test_the_signature_is_the_one_written_down() -> None:
    entry = entry_format.encode(KEY, snapshot(), [NEW, OLD])
    assert entry[22:54] == hmac.new(NEW, entry[:22] + entry[86:], hashlib.sha256).digest()
    assert entry[86:] == ENTRY[86:]


@pytest.mark.parametrize(
    ("signing", "verifying", "good"),
    [
        ([], [], True),
        ([NEW], [NEW], True),
        ([NEW, OLD], [NEW, OLD], True),
        ([OLD], [NEW, OLD], True),  # the key was changed, and the one before still counts
        ([NEW, OLD], [OLD], False),  # only the first signs
        ([NEW], [], True),  # without a key nobody asks
        ([], [NEW], False),
        ([OLD], [NEW], False),
    ],
)
def test_with_a_key_only_what_is_signed_is_believed(signing: list[bytes], verifying: list[bytes], good: bool) -> None:
    entry = entry_format.encode(KEY, snapshot(), signing)
    if good:
        assert equal(entry_format.decode(KEY, entry, verifying), snapshot())
    else:
        with pytest.raises(SignatureError):
            entry_format.decode(KEY, entry, verifying)


@given(st.integers(0, len(ENTRY) * 8 - 1))
def test_a_signed_entry_that_was_changed_by_somebody_who_makes_digests_is_absent(place: int) -> None:
    changed = bytearray(entry_format.encode(KEY, snapshot(), [NEW]))
    changed[place // 8] ^= 1 << place % 8
    changed[54:86] = hashlib.sha256(changed[:54] + changed[86:]).digest()
    if not 54 <= place // 8 < 86:
        with pytest.raises(EntryError):
            entry_format.decode(KEY, bytes(changed), [NEW])


def test_an_entry_says_what_made_it() -> None:
    header = entry_format.header_of(
        KEY, entry_format.encode(KEY, snapshot(), made_by='{"class": "chatterbox.tts.ChatterboxTTS"}')
    )
    assert header.made_by == '{"class": "chatterbox.tts.ChatterboxTTS"}'
    with pytest.raises(EntryError, match="another key"):
        entry_format.header_of("v2/other/key", ENTRY)
    with pytest.raises(EntryError, match="damaged"):
        entry_format.header_of(KEY, ENTRY[:-1] + bytes([ENTRY[-1] ^ 1]))
