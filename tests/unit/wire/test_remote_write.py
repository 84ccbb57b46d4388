import numpy as np
import pytest

from aiops.domain.samples import MetricMetadata
from aiops.errors import DecodeError, LimitError
from aiops.wire.remote_write import (
    METADATA_PER_SLICE,
    METADATA_TEXT_BYTES_MAX,
    RemoteWriteDecoder,
    label_bytes,
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

SECRETS = np.array([1, 2, 3, 4], np.uint64)
UP = {"__name__": "up", "job": "node"}


def decoder(rows_per_slice: int = 8) -> RemoteWriteDecoder:
    return RemoteWriteDecoder(SECRETS, rows_per_slice=rows_per_slice)


def slices(body: bytes, subject: RemoteWriteDecoder | None = None):
    subject = subject or decoder()
    return subject.slices(np.frombuffer(body, np.uint8), future_ms=NOW_MS)


def rows(part) -> list[tuple[int, int, int]]:
    """Return (key, ts_ms, bits) of each row, copied out of the decoder."""
    keys = part.keys[part.row_series]
    return list(zip(keys.tolist(), part.row_ts.tolist(), part.row_bits.tolist(), strict=True))


def test_an_empty_body_is_one_empty_slice():
    (part,) = slices(b"")
    assert (len(part.keys), len(part.row_ts), part.metadata) == (0, 0, ())


def test_samples_come_as_columns_with_their_bits():
    (part,) = slices(series(UP, sample(NOW_MS, 2.5), sample(5, bits=STALE_BITS)))
    assert part.row_ts.tolist() == [NOW_MS, 5]
    assert part.row_bits.tolist() == [0x4004000000000000, STALE_BITS]
    assert part.row_series.tolist() == [0, 0]


def test_the_span_of_a_series_is_its_label_block():
    body = series(UP, sample(NOW_MS))
    (part,) = slices(body)
    start, end = part.spans[0].tolist()
    assert body[start:end] == label("__name__", "up") + label("job", "node")


def test_counts_of_what_is_not_kept_are_told():
    (part,) = slices(series(UP, exemplar(), exemplar(), histogram(), sample(NOW_MS + 1)))
    assert (part.n_exemplars, part.n_histograms, part.n_future) == (2, 1, 1)


def test_a_long_request_comes_in_slices_without_loss():
    body = b"".join(series({"__name__": f"m{n}"}, sample(n), sample(-n)) for n in range(21))
    found = [rows(part) for part in slices(body, decoder(5))]
    assert max(len(part) for part in found) <= 5
    assert [row for part in found for row in part] == rows(next(slices(body, decoder(100))))


def test_two_requests_that_take_turns_do_not_disturb_each_other():
    subject = decoder(4)
    bodies = [
        b"".join(series({"__name__": f"{name}{n}"}, sample(n)) for n in range(15))
        for name in ("a", "b")
    ]
    alone = [[rows(part) for part in slices(body)] for body in bodies]
    turns = [slices(body, subject) for body in bodies]
    together: list[list] = [[], []]
    for _ in range(4):
        for found, turn in zip(together, turns, strict=True):
            found.extend(rows(next(turn)))
    assert together == [[row for part in parts for row in part] for parts in alone]


def test_an_error_in_one_request_does_not_reach_the_other():
    subject = decoder(2)
    good = b"".join(series(UP, sample(n)) for n in range(4))
    healthy, broken = slices(good, subject), slices(good + b"\x0a\x7f", subject)
    assert len(rows(next(healthy))) == 2
    assert [len(rows(next(broken))) for _ in range(3)] == [2, 2, 0]
    with pytest.raises(DecodeError):
        next(broken)
    assert len(rows(next(healthy))) == 2
    assert next(healthy, None) is None


def test_what_precedes_a_malformed_field_is_yielded_before_the_error():
    good = series(UP, sample(NOW_MS))
    found = slices(good + b"\x0a\x7f")
    assert len(rows(next(found))) == 1
    with pytest.raises(DecodeError) as caught:
        next(found)
    assert caught.value.offset == len(good)


def test_one_series_with_more_samples_than_a_slice_is_a_limit_error():
    body = series(UP, sample(1)) + series(UP, *[sample(n) for n in range(9)])
    found = slices(body)
    assert len(rows(next(found))) == 1
    assert len(rows(next(found))) == 0
    with pytest.raises(LimitError, match="more than 8 samples"):
        next(found)


def test_one_series_that_just_fits_is_taken():
    assert [len(rows(part)) for part in slices(series(UP, *[sample(n) for n in range(8)]))] == [8]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0, "unknown"),
        (1, "counter"),
        (2, "gauge"),
        (3, "histogram"),
        (4, "gaugehistogram"),
        (5, "summary"),
        (6, "info"),
        (7, "stateset"),
        (8, "unknown"),
    ],
)
def test_metadata_carries_kind_help_and_unit(number, kind):
    (part,) = slices(metadata("http_requests", number, "Requests, ürgent.", "1"))
    assert part.metadata == (MetricMetadata("http_requests", kind, "Requests, ürgent.", "1"),)


def test_unknown_fields_of_metadata_are_skipped():
    entry = varint(0x1F40) + b"\x05\x29" + bytes(8) + b"\x2d" + bytes(4) + framed(0x12, b"up")
    (part,) = slices(framed(0x1A, entry))
    assert part.metadata == (MetricMetadata("up", "unknown"),)


@pytest.mark.parametrize("entry", [b"\x12\x09up", b"\x13", b"\x08", b"\x09\x00", b"\x12"])
def test_malformed_metadata_is_counted_and_the_samples_beside_it_are_kept(entry):
    body = framed(0x1A, entry) + metadata("up") + series(UP, sample(NOW_MS))
    (part,) = slices(body)
    assert part.n_metadata_malformed == 1
    assert [one.family for one in part.metadata] == ["up"]
    assert len(part.row_ts) == 1


def test_long_help_is_cut_and_broken_utf8_is_replaced():
    entry = framed(0x12, b"up") + framed(0x22, b"\xff" + b"x" * 5000)
    (part,) = slices(framed(0x1A, entry))
    assert part.metadata[0].help == "\ufffd" + "x" * (METADATA_TEXT_BYTES_MAX - 1)


def test_more_metadata_than_a_slice_holds_comes_in_several():
    body = metadata("up") * (METADATA_PER_SLICE + 3)
    assert [len(part.metadata) for part in slices(body)] == [METADATA_PER_SLICE, 3]


def test_labels_are_gathered_from_a_message_of_any_fields():
    first, second = label("__name__", "up"), label("job", "node")
    other = [b"\x28\x96\x01", b"\x29" + bytes(8), b"\x2d" + bytes(4), framed(0x3EA, first)]
    parts = [first, sample(NOW_MS), *other, exemplar(), second]
    assert label_bytes(b"".join(parts)) == first + second


@pytest.mark.parametrize("bad", [b"\x0a\x05", b"\x2b", b"\x29\x00", b"\x80"])
def test_a_broken_message_has_no_labels(bad):
    with pytest.raises(DecodeError):
        label_bytes(label("a", "b") + bad)


def test_a_message_that_the_walk_takes_is_one_that_labels_can_be_gathered_from():
    body = message(label("__name__", "up"), b"\x28\x03", sample(1), label("job", "node"))
    (part,) = slices(body)
    start, end = part.spans[0].tolist()
    assert part.irregular.tolist() == [1]
    assert label_bytes(body[start:end]) == label("__name__", "up") + label("job", "node")
