import gzip
import tracemalloc

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import DecodeError, LimitError
from aiops.wire.compress import decompress_gzip, decompress_snappy
from tests.unit.wire.write_requests import snappy, varint

LIMIT = 10_000


@given(st.binary(max_size=LIMIT))
@settings(max_examples=50, derandomize=True)
def test_what_snappy_packed_comes_out_as_it_was(data):
    assert decompress_snappy(snappy(data), bytes_max=LIMIT).tobytes() == data


def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    assert len(decompress_snappy(snappy(b"x" * LIMIT), bytes_max=LIMIT)) == LIMIT
    with pytest.raises(LimitError, match=r"limits\.decompressed_bytes_max"):
        decompress_snappy(snappy(b"x" * (LIMIT + 1)), bytes_max=LIMIT)


@pytest.mark.parametrize("declared", [2**32 - 1, 2**40, 2**64 - 1])
def test_a_declared_size_beyond_the_limit_is_refused_by_the_number_alone(declared):
    body = varint(declared) + b"\x00"
    tracemalloc.start()
    with pytest.raises(LimitError):
        decompress_snappy(body, bytes_max=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_declared_size_no_body_of_that_length_can_have_takes_no_memory():
    """Six bytes that claim 1 GiB, under a limit that would allow it."""
    before = peak_memory_bytes()
    with pytest.raises(DecodeError, match="declares"):
        decompress_snappy(varint(2**30) + b"\x00", bytes_max=2**31)
    assert peak_memory_bytes() - before < 64 * 2**20


def peak_memory_bytes() -> int:
    """Return the largest address space this process ever had."""
    with open("/proc/self/status") as status:  # noqa: PTH123  # a pseudo-file
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmPeak"))


def test_the_largest_ratio_snappy_reaches_passes():
    packed = snappy(b"a" * 1_000_000)
    assert 1_000_000 / len(packed) > 20
    assert len(decompress_snappy(packed, bytes_max=1_000_000)) == 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\xff" * 10,
        b"\x05",
        b"\x05\x00",
        snappy(b"hello world, hello world")[:-1],
        snappy(b"hello world, hello world") + b"\x00",
        bytes(cramjam.snappy.compress(b"a framed stream")),
    ],
)
def test_a_corrupt_block_is_a_decode_error(body):
    with pytest.raises(DecodeError):
        decompress_snappy(body, bytes_max=LIMIT)


@given(st.binary(max_size=60), st.integers(0, 300))
@settings(max_examples=300, derandomize=True)
def test_any_bytes_either_decode_or_are_our_error(noise, declared):
    for body in (noise, varint(declared) + noise):
        try:
            plain = decompress_snappy(body, bytes_max=LIMIT)
        except (DecodeError, LimitError):
            continue
        assert len(plain) <= LIMIT


def test_an_empty_block_is_an_empty_body():
    assert len(decompress_snappy(b"\x00", bytes_max=LIMIT)) == 0


@given(st.binary(max_size=LIMIT))
@settings(max_examples=50, derandomize=True)
def test_what_gzip_packed_comes_out_as_it_was(data):
    assert decompress_gzip(gzip.compress(data), bytes_max=LIMIT) == data


def test_gzip_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    assert len(decompress_gzip(gzip.compress(b"x" * LIMIT), bytes_max=LIMIT)) == LIMIT
    with pytest.raises(LimitError, match=r"server\.body_bytes_max"):
        decompress_gzip(gzip.compress(b"x" * (LIMIT + 1)), bytes_max=LIMIT)


def test_a_gzip_bomb_is_not_inflated():
    bomb = gzip.compress(b"\x00" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(LimitError):
        decompress_gzip(bomb, bytes_max=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        gzip.compress(b"abc")[:-1],
        gzip.compress(b"abc")[:12],
        gzip.compress(b"abc") + b"x",
        gzip.compress(b"abc") + gzip.compress(b"def"),
        gzip.compress(b"abc")[:-8] + bytes(8),
    ],
)
def test_broken_gzip_is_a_decode_error(body):
    with pytest.raises(DecodeError, match="gzip"):
        decompress_gzip(body, bytes_max=LIMIT)
