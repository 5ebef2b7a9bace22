"""A ``.pt`` file before PyTorch sees it: whether it is as small and as plain as torch.save makes a voice.

``torch.load(weights_only=True)`` runs no code of a file's, but it makes room for whatever the file says that it needs.
PyTorch's reader of archives and Python's agree on good archives only: PyTorch's takes DATA.PKL for data.pkl, and looks
for the directory elsewhere. So PyTorch is not given the file but a new archive, of the parts that were looked at here.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import VoiceFileError
from ..voice.entry_format import MOST_BYTES

# A voice has some ten parts, and under 2 kB of pickle that says which is which.
_MOST_PARTS, _MOST_PICKLED = 200, 2**16
_PLAIN = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch(\.storage)? [A-Za-z0-9]+Storage"
)


# What torch.load reads of an archive. The first folder has the name of whatever file was written first.
_PICKLE = "data.pkl"
_PARTS = re.compile(r"[^/]+/(data\.pkl|data/[0-9]{1,9}|version|byteorder)")

_LOCAL_HEADER, _EXTRA, _PADDING, _ALIGNMENT = 30, struct.Struct("<HH"), 0x4246, 64


def read(path: Path) -> bytes:
    """What there is in the file for torch.load, as an archive of our own.

    Raises OSError when it can't be read, and an error when it is no archive or VoiceFileError when it is one that
    torch.save would not have made of a voice: too large, packed, or with more in its pickle than tensors in dicts. The
    format before the archives is refused, since there torch.load makes room for whatever size a tensor claims.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise VoiceFileError(f"{path} holds no conditionals: they are far smaller than {MOST_BYTES} bytes.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size for part in parts)
        if packed or len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > len(content):
            raise VoiceFileError(f"{path} holds no conditionals: its parts are not as torch.save writes them.")
        known = [(match[1], part) for part in parts if (match := _PARTS.fullmatch(part.filename))]
        contents = {name: archive.read(part) for name, part in known}
    if _PICKLE not in contents or len(contents) < len(known):
        raise VoiceFileError(f"{path} holds no conditionals: its parts are not as torch.save names them.")
    if not _is_plain(contents[_PICKLE]):
        raise VoiceFileError(f"{path} holds no conditionals: there is more in it than tensors.")
    return _archive(contents)


def _archive(contents: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            part = zipfile.ZipInfo(f"voice/{name}")
            # As in torch.save's archives, each part begins where tensors may begin in memory.
            padding = -(made.tell() + _LOCAL_HEADER + len(part.filename) + _EXTRA.size) % _ALIGNMENT
            part.extra = _EXTRA.pack(_PADDING, padding) + bytes(padding)
            archive.writestr(part, content)
    return made.getvalue()


def _is_plain(pickled: bytes) -> bool:
    """Whether a pickle names only what tensors are made of, and no tuple twice.

    A few bytes make a tuple of twice the same tuple of twice the same, and so on; its hash never ends.
    """
    if len(pickled) > _MOST_PICKLED:
        return False
    before, tuples, slots = "", set[object](), 0
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name == "GLOBAL" and not _PLAIN.fullmatch(str(argument)):
            return False
        if name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "DUP"):
            return False
        if "PUT" in name or name == "MEMOIZE":
            slot = slots if name == "MEMOIZE" else argument
            slots += 1
            if before.startswith("TUPLE"):
                tuples.add(slot)
        elif "GET" in name and argument in tuples:
            return False
        before = name
    return True
