"""Which waveform is this: a SHA-256 of the arrays and tensors that an encoder is given, with their types and shapes."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from ..errors import Unidentifiable
from .code.tensors import bytes_of, is_tensor

_NUMBERS = "iuf"  # whole numbers and floats, as NumPy calls their kinds


def digest_of_waves(waves: object) -> str:
    """In hex, for an array, a tensor, or a list of some. Raises Unidentifiable for anything else."""
    whole = hashlib.sha256()
    _add(whole, waves)
    return whole.hexdigest()


def _add(whole: Any, waves: Any) -> None:
    if type(waves) in (list, tuple):
        whole.update(f"{type(waves).__name__} of {len(waves)}\n".encode())
        for each in waves:
            _add(whole, each)
    elif is_tensor(waves):
        _add_tensor(whole, waves)
    else:
        _add_array(whole, waves)


def _add_tensor(whole: Any, tensor: Any) -> None:
    torch: Any = sys.modules["torch"]
    if type(tensor) is not torch.Tensor or tensor.requires_grad or tensor.layout is not torch.strided:
        raise Unidentifiable("waveform of an unknown kind")
    said = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.stride()} {tensor.device.type}"
    whole.update(f"tensor {said}\n".encode())
    whole.update(bytes_of(tensor))


def _add_array(whole: Any, array: Any) -> None:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(array) is not numpy.ndarray or array.dtype.kind not in _NUMBERS:
        raise Unidentifiable("waveform of an unknown kind")
    whole.update(f"array {array.dtype.str} {array.shape} {array.strides}\n".encode())
    whole.update(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).data)
