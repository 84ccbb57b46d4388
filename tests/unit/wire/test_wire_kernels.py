"""The kernels that walk wire bytes, against their plain twins."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiops.wire.kernels import remote_write as walk
from aiops.wire.kernels.hashing import k_block_hash
from aiops.wire.kernels.label_check import k_label_blocks_check
from aiops.wire.kernels.remote_write import k_remote_write_walk
from aiops.wire.labels import LabelLimits, canonical_block
from tests.naive.wire import (
    Room,
    Walk,
    naive_block_hash,
    naive_label_blocks_check,
    naive_remote_write_walk,
)
from tests.unit.wire.write_requests import (
    NOW_MS,
    STALE_BITS,
    exemplar,
    framed,
    histogram,
    label,
    message,
    metadata,
    sample,
    series,
    varint,
)

ROOT = str(Path(__file__).parents[3])
SECRETS = [0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0x1234567890ABCDEF]
SECRET_COLUMN = np.array(SECRETS, np.uint64)
ROOMY = Room(series=50, rows=60, metadata=20, future_ms=NOW_MS)
LIMITS = (4, 12, 10, 80)
PINNED_HASH = 0xB566E8863DBAFEA4
PINNED_EMPTY = 0x3CAFF86F414A1DD2


def column(body: bytes, tail: bytes = b"") -> np.ndarray:
    """Return the body as a read-only array, with `tail` behind its end in memory."""
    return np.frombuffer(body + tail, np.uint8)[: len(body)]


def run_walk(body: bytes, offset: int = 0, room: Room = ROOMY, tail: bytes = b"") -> Walk:
    keys = np.empty(room.series, np.uint64)
    spans = np.empty((room.series, 2), np.int64)
    irregular = np.empty(room.series, np.uint8)
    row_series = np.empty(room.rows, np.int32)
    row_ts = np.empty(room.rows, np.int64)
    row_bits = np.empty(room.rows, np.uint64)
    metadata_spans = np.empty((room.metadata, 2), np.int64)
    info = np.full(walk.INFO_SIZE, 77, np.int64)
    k_remote_write_walk(
        column(body, tail),
        room.future_ms,
        SECRET_COLUMN,
        offset,
        keys,
        spans,
        irregular,
        row_series,
        row_ts,
        row_bits,
        metadata_spans,
        info,
    )
    n_series, n_rows = int(info[walk.N_SERIES]), int(info[walk.N_ROWS])
    rows = (row_series[:n_rows], row_ts[:n_rows], row_bits[:n_rows])
    return Walk(
        keys[:n_series].tolist(),
        [tuple(span) for span in spans[:n_series].tolist()],
        irregular[:n_series].tolist(),
        list(zip(*(part.tolist() for part in rows), strict=True)),
        [tuple(span) for span in metadata_spans[: info[walk.N_METADATA]].tolist()],
        int(info[walk.N_EXEMPLARS]),
        int(info[walk.N_HISTOGRAMS]),
        int(info[walk.N_FUTURE]),
        int(info[walk.ERROR_OFFSET]),
        int(info[walk.NEXT_OFFSET]),
    )


def assert_same(body: bytes, offset: int = 0, room: Room = ROOMY) -> Walk:
    wanted = naive_remote_write_walk(body, SECRETS, offset, room)
    assert run_walk(body, offset, room) == wanted
    return wanted


# What may stand in a body, from right to hostile.
texts = st.text("ab_1é:", max_size=9).map(str.encode)
numbers = st.one_of(st.integers(-5, 200), st.sampled_from([2**31, 2**63 - 1, -(2**63), NOW_MS]))
samples = st.builds(
    lambda ts, bits: sample(ts, bits=bits),
    st.sampled_from([0, -1, NOW_MS, NOW_MS + 1, NOW_MS - 15_000, 2**63 - 1, -(2**63)]),
    st.sampled_from([0, 1, STALE_BITS, 0x7FF8000000000001, 2**64 - 1]),
)
unknown_fields = st.one_of(
    st.builds(lambda tag, n: varint(tag) + varint(n), st.sampled_from([0x28, 0x88]), numbers),
    st.builds(lambda tag, b: varint(tag) + b, st.just(0x29), st.binary(min_size=8, max_size=8)),
    st.builds(lambda tag, b: varint(tag) + b, st.just(0x2D), st.binary(min_size=4, max_size=4)),
    st.builds(framed, st.sampled_from([0x2A, 0x3EA, 0x1F42, 0xFFFFFFFA]), st.binary(max_size=9)),
)
bad_fields = st.one_of(
    st.sampled_from([b"\x00", b"\x03", b"\x2b", b"\x2c", b"\x2e", b"\x2f", b"\x8a\x00\x00"]),
    st.builds(lambda tag, n: bytes([tag]) + varint(n), st.sampled_from([0x0A, 0x12]), numbers),
    st.just(b"\x28" + b"\xff" * 10),
    st.just(b"\x28" + b"\xff" * 9 + b"\x01"),
    st.binary(max_size=5),
)
labels = st.builds(label, texts, texts)
fields = st.one_of(
    labels,
    labels,
    samples,
    samples,
    st.builds(exemplar),
    st.builds(histogram),
    unknown_fields,
    st.builds(lambda inner: framed(0x12, b"".join(inner)), st.lists(unknown_fields, max_size=2)),
)
regular = st.builds(
    lambda names, rows: series(names, *rows),
    st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
    st.lists(samples, max_size=4),
)
irregular_series = st.lists(fields, max_size=7).map(lambda parts: message(*parts))
entries = st.builds(metadata, st.just("up"), numbers)
good_bodies = st.lists(st.one_of(regular, irregular_series, entries, unknown_fields), max_size=8)
rooms = st.builds(Room, st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.just(NOW_MS))


@st.composite
def bodies(draw) -> bytes:
    body = b"".join(draw(good_bodies))
    spoiled = draw(st.sampled_from(["no", "no", "cut", "flip", "bad field"]))
    if spoiled == "cut":
        return body[: draw(st.integers(0, len(body)))]
    if spoiled == "flip" and body:
        at = draw(st.integers(0, len(body) - 1))
        return body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
    if spoiled == "bad field":
        return body + draw(bad_fields) + b"".join(draw(good_bodies))
    return body


@given(bodies())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_walk_equals_its_twin_on_good_and_bad_bodies(body):
    assert_same(body)


@given(bodies(), rooms)
@example(  # the tag of a second series ends the body where there is no room for it
    b"\n\x13\n\x04\n\x00\x12\x00\x12\x0b\t\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\n",
    Room(series=1, rows=1, metadata=1, future_ms=1_700_000_000_000),
)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_walk_equals_its_twin_slice_by_slice(body, room):
    offset = 0
    for _ in range(len(body) + 1):
        part = assert_same(body, offset, room)
        if part.error_offset >= 0 or part.next_offset in (offset, len(body)):
            break
        offset = part.next_offset


@given(st.lists(regular, min_size=1, max_size=12), st.integers(4, 9))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_slices_neither_lose_nor_double_a_row(parts, n_rows):
    body = b"".join(parts)
    room = Room(series=n_rows, rows=n_rows, metadata=1, future_ms=NOW_MS)
    whole = run_walk(body)
    rows, future, offset = [], 0, 0
    while offset < len(body):
        part = run_walk(body, offset, room)
        assert part.next_offset > offset
        rows += [(part.keys[index], ts, bits) for index, ts, bits in part.rows]
        future += part.future
        offset = part.next_offset
    assert rows == [(whole.keys[index], ts, bits) for index, ts, bits in whole.rows]
    assert future == whole.future


UP = {"__name__": "up", "job": "node"}
SMALL = b"".join(
    (
        series(UP, sample(NOW_MS, 1.5), sample(-7, bits=STALE_BITS)),
        message(sample(NOW_MS), label("__name__", "late"), exemplar(), label("a", "b")),
        metadata("up", 2, "help", "s"),
        varint(0x1F42) + b"\x03xyz",
        series({"__name__": "h"}, histogram()),
    )
)


def test_an_empty_body_yields_nothing():
    part = assert_same(b"")
    assert (part.keys, part.rows, part.error_offset, part.next_offset) == ([], [], -1, 0)


def test_metadata_alone_yields_spans_of_whole_messages():
    body = metadata("up") + metadata("down")
    part = assert_same(body)
    assert [body[start:end] for start, end in part.metadata] == [
        metadata("up")[2:],
        metadata("down")[2:],
    ]
    assert part.rows == []


def test_exemplars_and_histograms_are_counted_and_make_no_series():
    part = assert_same(series(UP, exemplar(), histogram(), histogram()))
    assert (part.exemplars, part.histograms, part.keys) == (1, 2, [])


def test_labels_behind_samples_in_one_piece_are_regular():
    part = assert_same(message(sample(NOW_MS), label("a", "b"), label("c", "d"), sample(1)))
    assert part.irregular == [0]
    assert part.keys == [naive_block_hash(label("a", "b") + label("c", "d"), SECRETS)]


def test_labels_in_two_pieces_give_the_span_of_the_message():
    fields = (label("a", "b"), sample(NOW_MS), label("c", "d"))
    part = assert_same(message(*fields))
    assert (part.irregular, part.keys) == ([1], [0])
    assert part.spans == [(2, 2 + len(b"".join(fields)))]


def test_a_series_without_labels_is_irregular():
    assert assert_same(message(sample(NOW_MS))).irregular == [1]


def test_a_series_without_samples_takes_no_row():
    part = assert_same(series(UP) + series(UP, sample(NOW_MS)) + series(UP))
    assert (len(part.keys), len(part.rows)) == (1, 1)


def test_the_same_series_many_times_has_one_key_and_all_rows():
    part = assert_same(b"".join(series(UP, sample(NOW_MS - n)) for n in range(40)))
    assert len(set(part.keys)) == 1
    assert [ts for _, ts, _ in part.rows] == [NOW_MS - n for n in range(40)]


def test_times_before_1970_and_value_bits_survive():
    part = assert_same(series(UP, sample(-1, bits=STALE_BITS), sample(-(2**63), bits=2**64 - 1)))
    assert part.rows == [(0, -1, STALE_BITS), (0, -(2**63), 2**64 - 1)]


def test_a_sample_without_fields_is_zero_at_the_epoch():
    assert assert_same(series(UP, framed(0x12, b""))).rows == [(0, 0, 0)]


def test_future_samples_are_counted_and_left_out():
    part = assert_same(series(UP, sample(NOW_MS + 1), sample(NOW_MS)))
    assert (part.future, [ts for _, ts, _ in part.rows]) == (1, [NOW_MS])


@pytest.mark.parametrize("tag", [0x2A, 0x3EA, 0x1F42])
@pytest.mark.parametrize("claimed", [2**7, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_length_beyond_the_message_is_malformed_wherever_it_stands(tag, claimed):
    bad = varint(tag) + varint(claimed)
    for body, offset in (
        (bad, 0),
        (b"\x0a" + varint(claimed), 0),
        (b"\x1a" + varint(claimed), 0),
        (message(bad), 2),
        (message(b"\x0a" + varint(claimed)), 2),
        (message(b"\x12" + varint(claimed)), 2),
        (message(framed(0x12, bad)), 2),
    ):
        assert assert_same(body).error_offset == offset
        assert_same(body + SMALL)


def test_the_error_offset_is_that_of_the_field_and_what_came_before_is_kept():
    good = series(UP, sample(NOW_MS))
    bad = message(label("a", "b"), b"\x0a\x7f")
    part = assert_same(good + bad + good)
    assert part.error_offset == len(good) + 2 + len(label("a", "b"))
    assert len(part.rows) == 1


def test_a_varint_of_ten_bytes_is_read_and_one_of_eleven_is_not():
    ten = b"\x28" + b"\xff" * 9 + b"\x01"
    eleven = b"\x28" + b"\xff" * 10 + b"\x01"
    assert assert_same(message(ten, label("a", "b"), sample(1))).error_offset == -1
    assert assert_same(message(eleven, label("a", "b"), sample(1))).error_offset == 2


def test_one_series_that_does_not_fit_stops_the_walk_where_it_began():
    room = Room(series=3, rows=3, metadata=1, future_ms=NOW_MS)
    part = assert_same(series(UP, *[sample(n) for n in range(4)], exemplar()), 0, room)
    assert (part.next_offset, part.rows, part.exemplars, part.error_offset) == (0, [], 0, -1)


def test_a_body_cut_anywhere_reads_the_same_whatever_lies_behind_it():
    for end in range(len(SMALL) + 1):
        cut = SMALL[:end]
        wanted = assert_same(cut)
        assert run_walk(cut, tail=b"\x00" * 64) == wanted
        assert run_walk(cut, tail=b"\xff" * 64) == wanted
        assert run_walk(cut, tail=SMALL[end:] + SMALL) == wanted


GUARDED = """
import ctypes, mmap
import numpy as np
from aiops.wire.kernels.hashing import k_block_hash
from aiops.wire.kernels.label_check import k_label_blocks_check
from tests.unit.wire import test_wire_kernels as kernels

page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
whole = np.frombuffer(memory, np.uint8)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + page), page, 0) == 0


def at_the_edge(body, tail=b""):
    place = whole[page - len(body) : page]
    place[:] = np.frombuffer(body, np.uint8)
    return place


kernels.column = at_the_edge
for end in range(len(kernels.SMALL) + 1):
    cut = kernels.SMALL[:end]
    kernels.run_walk(cut)
    k_block_hash(at_the_edge(cut), 0, end, kernels.SECRET_COLUMN)
    kernels.run_check([cut])
    kernels.run_check([kernels.CANONICAL[:end]])
print("no fault")
"""


def test_no_kernel_reads_behind_the_last_byte():
    """The body ends where memory ends: a read past it is a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", GUARDED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "no fault\n", (done.returncode, done.stderr[-2000:])


@given(st.binary(max_size=90), st.integers(0, 20), st.lists(st.integers(0, 2**64 - 1), min_size=4))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_hash_equals_its_twin(data, start, secrets):
    start = min(start, len(data))
    secrets = secrets[:4]
    got = k_block_hash(column(data), start, len(data), np.array(secrets, np.uint64))
    assert int(got) == naive_block_hash(data[start:], secrets)


@pytest.mark.parametrize("length", range(70))
def test_hash_equals_its_twin_at_every_length(length):
    data = bytes(range(1, length + 1))
    assert int(k_block_hash(column(data), 0, length, SECRET_COLUMN)) == naive_block_hash(
        data, SECRETS
    )


def test_hash_of_pinned_blocks_stays_as_it_is():
    """Fingerprints are on disk: a hash that changes makes every stored series a stranger."""
    block = label("__name__", "up") + label("job", "node")
    assert int(k_block_hash(column(block), 0, len(block), SECRET_COLUMN)) == PINNED_HASH
    assert int(k_block_hash(column(b""), 0, 0, SECRET_COLUMN)) == PINNED_EMPTY


def test_hash_depends_on_every_byte_and_every_secret():
    data = bytes(range(40))
    plain = naive_block_hash(data, SECRETS)
    flipped = {
        int(
            k_block_hash(
                column(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), 0, 40, SECRET_COLUMN
            )
        )
        for at in range(40)
    }
    assert len(flipped | {plain}) == 41
    for index in range(4):
        other = SECRET_COLUMN.copy()
        other[index] ^= np.uint64(1 << 40)
        assert int(k_block_hash(column(data), 0, 40, other)) != plain


def test_hash_is_never_zero():
    """With these secrets the arithmetic gives 0, which the maps keep for an empty place."""
    zeros = np.zeros(4, np.uint64)
    assert int(k_block_hash(column(b""), 0, 0, zeros)) == 1
    assert naive_block_hash(b"", [0, 0, 0, 0]) == 1


def run_check(blocks: list[bytes], limits: tuple[int, ...] = LIMITS) -> list[bool]:
    ends = np.cumsum([len(block) for block in blocks])
    spans = np.array([[e - len(b), e] for b, e in zip(blocks, ends, strict=True)], np.int64)
    answer = np.full(len(blocks), 9, np.uint8)
    rows = np.arange(len(blocks), dtype=np.int64)[::-1].copy()
    body = column(b"".join(blocks))
    k_label_blocks_check(body, spans, rows, np.array(limits, np.int64), answer)
    return [bool(one) for one in answer[::-1]]


CANONICAL = label("__name__", "a:b") + label("job", "x") + label("job2", "~ y")
names = st.sampled_from(["__name__", "job", "jo", "job2", "a", "_", "", "1a", "a:b", "é", "n" * 13])
values = st.sampled_from(["x", "a:b", "1", "", "é", "v" * 10, "v" * 11, "v" * 130, "\x7f"])
blocks_of_pairs = st.lists(st.tuples(names, values), max_size=5)


@given(
    st.lists(
        st.one_of(
            blocks_of_pairs.map(lambda pairs: [("__name__", "up"), *pairs]),
            blocks_of_pairs.map(lambda pairs: sorted(dict([*pairs, ("__name__", "up")]).items())),
            blocks_of_pairs,
        ).map(lambda pairs: b"".join(label(name, value) for name, value in pairs)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([LIMITS, (2, 8, 3, 40), (250, 4096, 65536, 262144)]),
)
@settings(max_examples=400, derandomize=True, deadline=None)
def test_label_check_equals_its_twin(blocks, limits):
    assert run_check(blocks, limits) == naive_label_blocks_check(blocks, limits)


@given(st.integers(0, len(CANONICAL) - 1), st.integers(0, 255), st.integers(0, len(CANONICAL)))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_label_check_equals_its_twin_on_spoiled_blocks(at, byte, end):
    spoiled = (CANONICAL[:at] + bytes([byte]) + CANONICAL[at + 1 :])[:end]
    assert run_check([spoiled]) == naive_label_blocks_check([spoiled], LIMITS)


@given(st.lists(st.tuples(names, values), max_size=5))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_what_the_label_check_passes_is_its_own_canonical_block(pairs):
    block = b"".join(label(name, value) for name, value in sorted(pairs))
    if run_check([block])[0]:
        assert canonical_block(block, LabelLimits(*LIMITS)) == block


def test_a_canonical_block_passes_and_its_reverse_does_not():
    backwards = label("job2", "~ y") + label("job", "x") + label("__name__", "a:b")
    assert run_check([CANONICAL, backwards, CANONICAL]) == [True, False, True]


def walk_arguments() -> list:
    return [
        column(SMALL),
        NOW_MS,
        SECRET_COLUMN,
        0,
        np.empty(4, np.uint64),
        np.empty((4, 2), np.int64),
        np.empty(4, np.uint8),
        np.empty(4, np.int32),
        np.empty(4, np.int64),
        np.empty(4, np.uint64),
        np.empty((4, 2), np.int64),
        np.empty(walk.INFO_SIZE, np.int64),
    ]


@pytest.mark.parametrize("position", [0, 2, 4, 5, 6, 7, 8, 9, 10, 11])
def test_a_strided_column_is_refused_by_the_walk(position):
    arguments = walk_arguments()
    arguments[position] = np.repeat(arguments[position], 2, axis=-1)[..., ::2]
    with pytest.raises(TypeError):
        k_remote_write_walk(*arguments)


@pytest.mark.parametrize("position", [0, 2, 4, 5, 6, 7, 8, 9, 10, 11])
def test_a_column_of_another_dtype_is_refused_by_the_walk(position):
    arguments = walk_arguments()
    arguments[position] = arguments[position].astype(np.float32)
    with pytest.raises(TypeError):
        k_remote_write_walk(*arguments)


def test_strided_columns_are_refused_by_hash_and_check():
    with pytest.raises(TypeError):
        k_block_hash(column(SMALL)[::2], 0, 4, SECRET_COLUMN)
    with pytest.raises(TypeError):
        k_label_blocks_check(
            column(CANONICAL),
            np.zeros((4, 2), np.int64)[::2],
            np.zeros(2, np.int64),
            np.zeros(4, np.int64),
            np.zeros(2, np.uint8),
        )


def test_another_dtype_is_refused_by_hash_and_check():
    with pytest.raises(TypeError):
        k_block_hash(column(SMALL), 0, 4, SECRET_COLUMN.astype(np.int64))
    with pytest.raises(TypeError):
        k_label_blocks_check(
            column(CANONICAL),
            np.zeros((1, 2), np.int32),
            np.zeros(1, np.int64),
            np.zeros(4, np.int64),
            np.zeros(1, np.uint8),
        )
