"""Decompression with ceilings: the declared size is judged before memory is taken."""

import cramjam
import numpy as np

from aiops.domain.samples import U8
from aiops.errors import DecodeError, LimitError
from aiops.wire.labels import read_varint

SNAPPY_RATIO_MAX = 25
"""Measured: the block format cannot expand more than 21.3 : 1, a header that claims more lies."""


def decompress_snappy(body: bytes, *, bytes_max: int) -> U8:
    """Return the bytes of a snappy block (not framed) as a fresh uint8 array.

    Raises
    ------
    LimitError
        When the declared size exceeds `bytes_max`.
    DecodeError
        When the block is corrupt or its declared size is impossible.
    """
    declared, _ = read_varint(body, 0)
    if declared > bytes_max:
        raise LimitError(
            f"body of {declared} bytes after decompression", setting="limits.decompressed_bytes_max"
        )
    if declared > SNAPPY_RATIO_MAX * len(body):
        raise DecodeError(f"snappy header declares {declared} bytes for {len(body)}")
    try:
        raw = memoryview(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise DecodeError(f"corrupt snappy body: {error}") from error
    return np.frombuffer(raw, dtype=np.uint8)
