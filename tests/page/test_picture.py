"""The picture of a voice, made of the bytes of its entry."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from chatterbox_cached.errors import EntryError
from chatterbox_cached.page import picture
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.signing import NO_KEYS, keyring
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.small_voices import KEY, snapshot, with_field

RISING = torch.linspace(-10, 0, 80)  # each band louder than the one below it


def _of(mel: torch.Tensor) -> np.ndarray:
    """The brightness of the picture's pixels, the uppermost row first."""
    entry = entry_format.encode(KEY, with_field(snapshot(), "gen.prompt_feat", mel))
    return np.asarray(Image.open(io.BytesIO(picture.of_entry(KEY, entry, NO_KEYS) or b"")).convert("L"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("frames", [1, 80, 500])
@pytest.mark.parametrize("as_upstream", [True, False])
def test_low_bands_are_below_however_it_was_stored(dtype: torch.dtype, frames: int, as_upstream: bool) -> None:
    if as_upstream:  # frames lie beside each other in memory
        mel = RISING.repeat(frames, 1).T.contiguous().to(dtype)[None].transpose(1, 2)
    else:
        mel = RISING.repeat(frames, 1).to(dtype)[None]
    shown = _of(mel)
    assert shown.shape == (picture.HEIGHT, picture.WIDTH)
    assert (shown == shown[:, :1]).all()
    assert shown[0, 0] > shown[20, 0] > shown[-1, 0]


def test_time_goes_to_the_right() -> None:
    shown = _of(torch.linspace(-10, 0, 300)[None, :, None].repeat(1, 1, 80))
    assert shown[0, 0] < shown[0, 96] < shown[0, -1]


def test_a_part_of_a_voice_has_no_picture() -> None:
    part = Snapshot({"speaker": {"embed": torch.ones(256)}}, 1.0)
    assert picture.of_entry(KEY, entry_format.encode(KEY, part), NO_KEYS) is None


def test_what_is_damaged_or_of_another_signer_has_none() -> None:
    entry = entry_format.encode(KEY, snapshot())
    with pytest.raises(EntryError):
        picture.of_entry(KEY, entry[:-1] + b"x", NO_KEYS)
    with pytest.raises(EntryError):
        picture.of_entry(KEY, entry, keyring((b"a key of sixteen",), ()))
    header, payload = entry_format.opened(KEY, entry)
    without = replace(header, strides={})
    with pytest.raises(EntryError):
        picture.of_entry(KEY, entry_format.seal(without, payload), NO_KEYS)
