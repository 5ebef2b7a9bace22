"""A picture of a voice: the mel spectrogram of its reference, in a colour of its own, as a PNG.

Made of the entry's bytes, without torch.
"""

from __future__ import annotations

import colorsys
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EntryError
from ..voice import entry_format
from ..voice.signing import Keyring

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

WIDTH, HEIGHT = 192, 40
_SHADES = 64
_FIELD = "gen.prompt_feat"
# What tells a voice from silence: quieter than this share of all is background, and the loudest few are one shade.
_DARK, _BRIGHT = 5, 99.5  # percentiles
_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
_INDEXED = 3
_PNG = b"\x89PNG\r\n\x1a\n"


def of_entry(key: str, entry: bytes, keys: Keyring) -> bytes | None:
    """The picture of the voice in an entry, WIDTH by HEIGHT pixels; None for an entry without a mel spectrogram.

    Raises EntryError for what is no entry under this key.
    """
    mel = _mel(key, entry, keys)
    return None if mel is None else _png(_shades(mel), _palette(key.split("/")[1]))


def of_file(file: Path, digest: str) -> bytes:
    """The same of a ``.pt`` file of conditionals. Raises VoiceFileError for what is none, and OSError."""
    from ..upstream import pt_file

    mel = pt_file.read(file, "cpu").tensors()[_FIELD]
    return _png(_shades(mel[0].float().numpy().T), _palette(digest))


def _mel(key: str, entry: bytes, keys: Keyring) -> np.ndarray[Any, np.dtype[Any]] | None:
    """Bands from low to high by frames."""
    header, payload = entry_format.opened(key, entry, keys)
    try:
        said = dict(_deserialize(bytes(payload))).get(_FIELD)
        if said is None or 0 in said["shape"]:
            return None
        # It is stored as it lies in memory, where frames or bands are next to each other.
        rows = _numbers(said).reshape(said["shape"][-2:])
        return rows if header.strides[_FIELD][-1] != 1 else rows.T
    except Exception as error:  # whatever a parser makes of it
        raise EntryError("entry is malformed") from error


def _deserialize(payload: bytes) -> list[tuple[str, dict[str, Any]]]:
    from safetensors import deserialize

    return deserialize(payload)  # type: ignore[no-untyped-call, no-any-return]


def _numbers(said: dict[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
    import numpy as np

    if said["dtype"] == "BF16":
        return (np.frombuffer(said["data"], "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(said["data"], _TYPES[said["dtype"]]).astype("<f4")


def _shades(mel: np.ndarray[Any, np.dtype[Any]]) -> Pixels:
    """One shade per pixel, low bands below."""
    import numpy as np

    small = _shrunk(_shrunk(np.nan_to_num(mel), HEIGHT).T, WIDTH).T
    dark, bright = np.percentile(small, (_DARK, _BRIGHT))
    share = (small - dark) / max(bright - dark, 1e-6)
    shades: Pixels = (np.clip(share, 0, 1) * (_SHADES - 1)).astype(np.uint8)
    return shades[::-1]


def _shrunk(rows: np.ndarray[Any, np.dtype[Any]], number: int) -> np.ndarray[Any, np.dtype[Any]]:
    """As many rows as this, each the mean of those in its place."""
    import numpy as np

    starts = np.arange(number) * len(rows) // number
    ends = np.maximum(starts + 1, np.arange(1, number + 1) * len(rows) // number)
    sums = np.concatenate([np.zeros_like(rows[:1]), np.cumsum(rows, axis=0)])
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts)[:, None])


def _palette(digest: str) -> bytes:
    """From dark to bright in a hue that the voice's digest chooses, as three bytes a shade."""
    hue = zlib.crc32(digest.encode()) / 2**32
    colours = bytearray()
    for shade in range(_SHADES):
        at = shade / (_SHADES - 1)
        colour = colorsys.hls_to_rgb((hue + 0.12 * at) % 1, 0.09 + 0.76 * at**0.9, 0.45 + 0.35 * at)
        colours += bytes(round(255 * part) for part in colour)
    return bytes(colours)


def _png(pixels: Pixels, palette: bytes) -> bytes:
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return _PNG + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
