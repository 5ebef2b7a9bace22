"""A snapshot as bytes: a fixed prefix, a JSON header, and the tensors as safetensors.

    magic       8 bytes   b"CBXVOICE"
    schema      u16       a reader knows its own schema only
    header      u32       length of the header
    payload     u64       length of the payload
    scheme      u8        how it is signed: 0 not at all, 1 HMAC-SHA256, 2 Ed25519
    signature   64 bytes  of the five above, header and payload; zeros after an HMAC, and where there is none
    digest      32 bytes  SHA-256 of everything else
    header      JSON      key, made_by, origin, prepare_seconds, which fields there are, their strides
    payload     safetensors

All integers are little-endian. safetensors checks structure, not content, so the digest is what makes a damaged entry
count as absent; the key inside says whose entry it is, wherever the bytes were found. Only the signature says that
it was made by a holder of a signing key (see signing), and only a reader with keys of its own asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import EntryError, SignatureError
from .fields import axes_in_memory, form_of, in_memory_order
from .key_format import SCHEMA
from .signing import NO_KEYS, SIGNATURE_SIZE, UNSIGNED, Keyring
from .snapshot import Snapshot

if TYPE_CHECKING:
    import torch

MAGIC = b"CBXVOICE"
# A voice is 167 KB. Whatever is much larger is not one, and no memory is given to it.
MOST_BYTES = 16 * 2**20
_LENGTHS = struct.Struct("<8sHIQB")
_DIGEST = _LENGTHS.size + SIGNATURE_SIZE
_START = _DIGEST + hashlib.sha256().digest_size
_MOST_OF_HEADER = 2**16  # some 2 kB are usual; nested lists take 25 times their text in memory
MOST_BEFORE_PAYLOAD = _START + _MOST_OF_HEADER


@dataclass(frozen=True)
class Header:
    """What an entry says of itself: ``made_by`` as in identity.Key; ``origin``, ``prepare_seconds`` as in Snapshot."""

    key: str
    made_by: str
    origin: str
    prepare_seconds: float
    # All fields in their order, and the strides of those that are tensors; the rest is None.
    fields: list[str]
    strides: dict[str, list[int]]


def encode(key: str, snapshot: Snapshot, keys: Keyring = NO_KEYS, made_by: str = "") -> bytes:
    """The entry for ``snapshot`` under ``key``, signed if there is a key to sign with.

    Raises EntryError when ``made_by`` is longer than any header may be, and for what is larger than any voice.
    """
    import safetensors.torch

    tensors = {name: tensor.cpu() for name, tensor in snapshot.tensors().items()}
    strides = {name: list(tensor.stride()) for name, tensor in tensors.items()}
    # Copies, since to read the kept ones as safetensors does is taken for a write and ends their sharing.
    as_stored = {name: in_memory_order(tensor).clone().contiguous() for name, tensor in tensors.items()}
    header = Header(key, made_by, snapshot.origin, snapshot.prepare_seconds, snapshot.names(), strides)
    return seal(header, safetensors.torch.save(as_stored), keys)


def seal(header: Header, payload: bytes | memoryview, keys: Keyring = NO_KEYS) -> bytes:
    """The entry of a header and its tensors as safetensors, whatever they are, signed as by ``encode``."""
    stated = json.dumps(asdict(header)).encode()
    if len(stated) > _MOST_OF_HEADER:
        raise EntryError("entry would have a header that no reader takes")
    if (size := _START + len(stated) + len(payload)) > MOST_BYTES:
        raise EntryError(f"entry would be larger than any voice, {size} bytes")
    lengths = _LENGTHS.pack(MAGIC, SCHEMA, len(stated), len(payload), keys.scheme)
    signature = keys.sign(lengths, stated, payload)
    return b"".join((lengths, signature, _sha256(lengths, signature, stated, payload), stated, payload))


def decode(key: str, entry: bytes, keys: Keyring = NO_KEYS) -> Snapshot:
    """The snapshot of the entry that was found under ``key``, its tensors on the CPU.

    Raises EntryError when it is damaged, of another schema, or another key's, and SignatureError when there are
    keys and it is signed with none of them.
    """
    with _malformed_is_an_entry_error():
        header, payload = opened(key, entry, keys)
        return _snapshot(header, _tensors(payload))


def header_of(key: str, entry: bytes, keys: Keyring = NO_KEYS) -> Header:
    """What the entry that was found under ``key`` says of itself. Raises as ``decode`` does."""
    return opened(key, entry, keys)[0]


def opened(key: str, entry: bytes, keys: Keyring = NO_KEYS) -> tuple[Header, memoryview]:
    """The header of the entry that was found under ``key``, and its tensors as safetensors. Raises as ``decode``."""
    header, payload = _verified(memoryview(entry), keys)
    with _malformed_is_an_entry_error():
        return _header(key, header), payload


def key_in(beginning: bytes) -> str | None:
    """The key that an entry has by its own account, of whatever schema; None where its header is not all there.

    Only ``opened`` looks whether it is true.
    """
    if len(beginning) < _START or not beginning.startswith(MAGIC):
        return None
    length = min(_LENGTHS.unpack_from(beginning)[2], _MOST_OF_HEADER)
    try:
        key = json.loads(beginning[_START : _START + length])["key"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return key if isinstance(key, str) else None


@contextlib.contextmanager
def _malformed_is_an_entry_error() -> Iterator[None]:
    """Whatever a parser makes of bytes that have the right digest."""
    try:
        yield
    except EntryError:
        raise
    except Exception as error:
        raise EntryError("entry is malformed") from error


def _header(key: str, header: memoryview) -> Header:
    known = Header(**json.loads(bytes(header)))
    if known.key != key:
        raise EntryError("entry of another key")
    said: tuple[object, ...] = (known.made_by, known.origin)
    if not all(isinstance(each, str) for each in said):
        raise EntryError("entry does not say what made it")
    return known


def _verified(entry: memoryview, keys: Keyring) -> tuple[memoryview, memoryview]:
    if len(entry) < _START or len(entry) > MOST_BYTES:
        raise EntryError("entry is of an impossible size")
    magic, schema, header, payload, scheme = _LENGTHS.unpack_from(entry)
    if magic != MAGIC or schema != SCHEMA:
        raise EntryError("entry is of another schema")
    if len(entry) != _START + header + payload:
        raise EntryError("entry is cut short or too long")
    if header > _MOST_OF_HEADER:
        raise EntryError("entry has a header of an impossible size")
    lengths, signature, content = entry[: _LENGTHS.size], entry[_LENGTHS.size : _DIGEST], entry[_START:]
    if _sha256(lengths, signature, content) != entry[_DIGEST:_START]:
        raise EntryError("entry is damaged")
    if not keys.believes(scheme, bytes(signature), lengths, content):
        raise SignatureError("entry is not signed" if scheme == UNSIGNED else "entry is signed with another key")
    return content[:header], content[header:]


def _sha256(*parts: bytes | memoryview) -> bytes:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.digest()


def _tensors(payload: memoryview) -> dict[str, torch.Tensor]:
    import safetensors.torch

    return safetensors.torch.load(bytes(payload))


def _snapshot(header: Header, tensors: dict[str, torch.Tensor]) -> Snapshot:
    form = form_of(header.fields)
    if form is None:  # upstream needs each of them, and may be handed no other
        raise EntryError("entry does not have the fields of a voice")
    if tensors.keys() != header.strides.keys() or not header.strides.keys() <= form.keys():
        raise EntryError("entry does not hold the fields that it names")
    parts: dict[str, dict[str, Any]] = {}
    for field in header.fields:
        part, _, name = field.partition(".")
        fields = parts.setdefault(part, {})
        if name in fields:
            raise EntryError("entry names a field twice")
        tensor = tensors.get(field)
        fields[name] = None if tensor is None else _as_laid_out(tensor, header.strides[field])
    seconds = float(header.prepare_seconds)
    if not 0 <= seconds < float("inf"):
        raise EntryError("entry took an impossible time")  # it would spoil the statistics
    return Snapshot(parts, seconds, header.origin)


def _as_laid_out(tensor: torch.Tensor, strides: list[int]) -> torch.Tensor:
    """Undo ``permute``, so that the tensor lies in memory as upstream's did.

    In memory of PyTorch's own: what safetensors gives can't be shared until one of its users writes to it.
    """
    if list(tensor.stride()) == strides:
        return tensor.clone()
    axes = axes_in_memory(strides)
    tensor = tensor.clone().permute(sorted(range(len(axes)), key=axes.__getitem__))
    if any(
        size > 1 and has != wanted for size, has, wanted in zip(tensor.shape, tensor.stride(), strides, strict=True)
    ):
        raise EntryError("entry has another layout than it says")
    return tensor.as_strided(tensor.shape, strides)  # an axis of one element has a stride too, which permute forgets
