"""An entry gives back the very snapshot it was made of, or counts as absent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.errors import EntryError, SignatureError
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.entry_format import MOST_BYTES
from chatterbox_cached.voice.fields import FIELDS, REFERENCE
from chatterbox_cached.voice.signing import NO_KEYS, Keyring, keyring
from chatterbox_cached.voice.snapshot import Snapshot, equal
from tests.support import pairs
from tests.support.small_voices import ENTRY, KEY, snapshot
from tests.support.tally import tried

START, DIGEST = 119, slice(87, 119)


def signed(header: bytes, payload: bytes, *, magic: bytes = b"CBXVOICE", schema: int = 3) -> bytes:
    """An entry with the right digest, whatever is in it. Written down here a second time, since it is a file format."""
    prefix = struct.pack("<8sHIQ65x", magic, schema, len(header), len(payload))
    return prefix + hashlib.sha256(prefix + header + payload).digest() + header + payload


def taken_apart(entry: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload."""
    length = struct.unpack_from("<8sHIQ", entry)[2]
    return json.loads(entry[START : START + length]), entry[START + length :]


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
    tried("bits flipped in an entry", START * 8)
    for place in range(START * 8):
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


@pytest.mark.parametrize("schema", [0, 1, 2, 4, 65535])
def test_another_schemas_entry_is_absent(schema: int) -> None:
    header, payload = taken_apart(ENTRY)
    with pytest.raises(EntryError, match="another schema"):
        entry_format.decode(KEY, signed(json.dumps(header).encode(), payload, schema=schema))


def test_an_entry_of_an_impossible_size_is_absent() -> None:
    with pytest.raises(EntryError, match="impossible size"):
        entry_format.decode(KEY, ENTRY + bytes(MOST_BYTES))


def test_an_entry_that_no_reader_would_take_is_not_made() -> None:
    header, payload = entry_format.opened(KEY, ENTRY)
    room = MOST_BYTES - len(ENTRY)
    assert len(entry_format.seal(header, bytes(payload) + bytes(room))) == MOST_BYTES
    with pytest.raises(EntryError, match=f"larger than any voice, {MOST_BYTES + 1} bytes"):
        entry_format.seal(header, bytes(payload) + bytes(room + 1))


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
PAIR, OTHER_PAIR = ([key.encode() for key in pair] for pair in (pairs.PAIR, pairs.OTHER_PAIR))


def test_the_signature_is_the_one_written_down() -> None:
    entry = entry_format.encode(KEY, snapshot(), keyring([NEW, OLD], []))
    assert entry[22] == 1
    assert entry[23:87] == hmac.new(NEW, entry[:23] + entry[START:], hashlib.sha256).digest() + bytes(32)
    assert entry[START:] == ENTRY[START:]
    entry = entry_format.encode(KEY, snapshot(), keyring([PAIR[0]], []))
    assert entry[22] == 2
    public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(PAIR[1].removeprefix(b"ed25519-public:")))
    public.verify(entry[23:87], entry[:23] + entry[START:])
    assert entry[START:] == ENTRY[START:]


SIGNED_BY: list[tuple[list[bytes], list[bytes], list[bytes], bool]] = [
    # signed with, the reader's signing_key, its verify_keys
    ([], [], [], True),
    ([NEW], [NEW], [], True),
    ([NEW, OLD], [NEW, OLD], [], True),
    ([OLD], [NEW, OLD], [], True),  # the key was changed, and the one before still counts
    ([NEW, OLD], [OLD], [], False),  # only the first signs
    ([NEW], [], [], True),  # without a key nobody asks
    ([], [NEW], [], False),
    ([OLD], [NEW], [], False),
    ([PAIR[0]], [], [PAIR[1]], True),
    ([PAIR[0]], [PAIR[0]], [], True),  # with its own public half
    ([PAIR[0]], [], [OTHER_PAIR[1], PAIR[1]], True),
    ([PAIR[0]], [OTHER_PAIR[0]], [PAIR[1]], True),
    ([NEW], [PAIR[0], NEW], [], True),  # on the way from secrets to pairs
    ([NEW], [NEW], [PAIR[1]], True),
    ([PAIR[0]], [], [], True),
    ([OTHER_PAIR[0]], [], [PAIR[1]], False),
    ([OTHER_PAIR[0], PAIR[0]], [], [PAIR[1]], False),
    ([], [], [PAIR[1]], False),
    ([NEW], [], [PAIR[1]], False),
    ([PAIR[0]], [NEW], [], False),
]


@pytest.mark.parametrize(("signing", "reader", "verify_keys", "good"), SIGNED_BY)
def test_with_a_key_only_what_is_signed_is_believed(
    signing: list[bytes], reader: list[bytes], verify_keys: list[bytes], good: bool
) -> None:
    entry, keys = entry_format.encode(KEY, snapshot(), keyring(signing, [])), keyring(reader, verify_keys)
    if good:
        assert equal(entry_format.decode(KEY, entry, keys), snapshot())
    else:
        with pytest.raises(SignatureError, match="another key" if signing else "not signed"):
            entry_format.decode(KEY, entry, keys)


BY_SCHEME = pytest.mark.parametrize(
    ("signer", "reader"),
    [(keyring([NEW], []), keyring([NEW], [])), (keyring([PAIR[0]], []), keyring([], [PAIR[1]]))],
    ids=["hmac", "ed25519"],
)


def redigested(entry: bytearray) -> bytes:
    entry[DIGEST] = hashlib.sha256(entry[: DIGEST.start] + entry[START:]).digest()
    return bytes(entry)


@BY_SCHEME
@given(place=st.integers(0, len(ENTRY) * 8 - 1))
def test_a_signed_entry_that_was_changed_by_somebody_who_makes_digests_is_absent(
    signer: Keyring, reader: Keyring, place: int
) -> None:
    changed = bytearray(entry_format.encode(KEY, snapshot(), signer))
    changed[place // 8] ^= 1 << place % 8
    if not DIGEST.start <= place // 8 < DIGEST.stop:
        with pytest.raises(EntryError):
            entry_format.decode(KEY, redigested(changed), reader)


@BY_SCHEME
def test_every_bit_of_a_signature_and_of_what_stands_before_it_counts(signer: Keyring, reader: Keyring) -> None:
    entry = entry_format.encode(KEY, snapshot(), signer)
    tried("bits flipped in an entry", DIGEST.start * 8)
    for place in range(DIGEST.start * 8):
        changed = bytearray(entry)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(EntryError):
            entry_format.decode(KEY, redigested(changed), reader)


@BY_SCHEME
@given(scheme=st.integers(0, 255), signature=st.binary(min_size=64, max_size=64))
def test_no_made_up_signature_is_believed(signer: Keyring, reader: Keyring, scheme: int, signature: bytes) -> None:
    entry = bytearray(entry_format.encode(KEY, snapshot(), signer))
    entry[22], entry[23:87] = scheme, signature
    with pytest.raises(SignatureError):
        entry_format.decode(KEY, redigested(entry), reader)


@given(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2]), st.binary(max_size=100), st.binary(max_size=100))
def test_a_signature_of_one_scheme_is_none_of_another(made: int, said: int, part: bytes, other: bytes) -> None:
    """Whatever is signed, with keys of both kinds on both sides."""
    signers = (NO_KEYS, keyring([NEW], []), keyring([PAIR[0]], []))
    reader = keyring([NEW, PAIR[0]], [PAIR[1]])
    signature = signers[made].sign(part, other)
    assert reader.believes(said, signature, part, other) == (made == said != 0)
    assert len(signature) == 64


def test_an_entry_says_what_made_it() -> None:
    header = entry_format.header_of(
        KEY, entry_format.encode(KEY, snapshot(), made_by='{"class": "chatterbox.tts.ChatterboxTTS"}')
    )
    assert header.made_by == '{"class": "chatterbox.tts.ChatterboxTTS"}'
    with pytest.raises(EntryError, match="another key"):
        entry_format.header_of("v3/other/key", ENTRY)
    with pytest.raises(EntryError, match="damaged"):
        entry_format.header_of(KEY, ENTRY[:-1] + bytes([ENTRY[-1] ^ 1]))
