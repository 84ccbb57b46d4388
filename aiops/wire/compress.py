"""Decompression with ceilings: the declared size is judged before memory is taken."""

import zlib

import cramjam
import numpy as np

from aiops.domain.samples import U8
from aiops.errors import DecodeError, LimitError
from aiops.wire.labels import read_varint

SNAPPY_RATIO_MAX = 25
"""Measured: the block format cannot expand more than 21.3 : 1, a header that claims more lies."""

_GZIP = 16 + zlib.MAX_WBITS


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


def decompress_gzip(body: bytes, *, bytes_max: int) -> bytes:
    """Return the content of one gzip member; no more than `bytes_max` is ever inflated.

    Raises
    ------
    LimitError
        When the content is larger than `bytes_max`.
    DecodeError
        When the body is corrupt, cut off, or followed by something else.
    """
    inflater = zlib.decompressobj(wbits=_GZIP)
    try:
        plain = inflater.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise DecodeError(f"corrupt gzip body: {error}") from error
    if len(plain) > bytes_max:
        raise LimitError(f"body larger than {bytes_max} bytes", setting="server.body_bytes_max")
    if not inflater.eof or inflater.unused_data:
        raise DecodeError("the gzip body is cut off or followed by something else")
    return plain
