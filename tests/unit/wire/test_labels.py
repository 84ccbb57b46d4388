import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.labels import labels_from
from aiops.errors import DecodeError
from aiops.wire.labels import (
    LABEL_REASONS,
    LabelError,
    LabelLimits,
    canonical_block,
    decode_labels,
    encode_labels,
    read_varint,
    split_block,
    write_varint,
)
from tests.unit.wire.write_requests import framed, label

LIMITS = LabelLimits(labels_max=4, name_bytes_max=20, value_bytes_max=200, block_bytes_max=400)
METRIC = label("__name__", "up")

label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,15}", fullmatch=True)
label_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
label_sets = st.dictionaries(label_names, label_values, max_size=3).map(
    lambda pairs: pairs | {"__name__": "node:cpu_seconds"}
)


@given(label_sets)
@settings(max_examples=200, derandomize=True)
def test_what_is_encoded_is_decoded(pairs):
    labels = labels_from(pairs)
    assert decode_labels(encode_labels(labels)) == labels


@given(label_sets, st.randoms(use_true_random=False))
@settings(max_examples=200, derandomize=True)
def test_any_order_of_the_same_labels_has_one_canonical_block(pairs, random):
    shuffled = list(pairs.items())
    random.shuffle(shuffled)
    raw = b"".join(label(name, value) for name, value in shuffled)
    block = canonical_block(raw, LIMITS)
    assert block == encode_labels(labels_from(pairs))
    assert canonical_block(block, LIMITS) == block


def test_the_encoding_is_that_of_the_protocol():
    assert encode_labels((("a", "b"), ("c", "é"))) == b"\x0a\x06\x0a\x01a\x12\x01b" + (
        b"\x0a\x07\x0a\x01c\x12\x02\xc3\xa9"
    )


def test_a_label_with_an_empty_value_is_the_same_as_none():
    assert canonical_block(label("b", "") + METRIC, LIMITS) == METRIC


def test_labels_sort_by_bytes_and_not_by_letters():
    raw = label("a_b", "1") + label("aB", "2") + METRIC
    assert [name for name, _ in decode_labels(canonical_block(raw, LIMITS))] == [
        "__name__",
        "aB",
        "a_b",
    ]


def test_a_value_before_its_name_is_read_all_the_same():
    swapped = framed(0x0A, framed(0x12, b"up") + framed(0x0A, b"__name__"))
    assert canonical_block(swapped, LIMITS) == METRIC


def test_a_length_written_with_more_bytes_than_needed_is_made_canonical():
    padded = b"\x0a\x8e\x00" + METRIC[2:]
    assert canonical_block(padded, LIMITS) == METRIC


REFUSED = {
    "labels_too_large": METRIC + label("a", "x" * 200) + label("b", "x" * 200),
    "too_many_labels": METRIC + b"".join(label(name, "1") for name in "abcd"),
    "label_too_long": METRIC + label("a", "x" * 201),
    "bad_label_name": METRIC + label("a.b", "1"),
    "bad_metric_name": label("__name__", "1up"),
    "bad_utf8": METRIC + label(b"a", b"\xff\xfe"),
    "duplicate_label": METRIC + label("a", "1") + label("a", "2"),
    "no_metric_name": label("job", "node"),
}


@pytest.mark.parametrize("reason", LABEL_REASONS)
def test_every_reason_to_refuse_labels_is_told(reason):
    with pytest.raises(LabelError) as caught:
        canonical_block(REFUSED[reason], LIMITS)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no_metric_name"),
        (label("__name__", ""), "no_metric_name"),
        (METRIC + label("", "1"), "bad_label_name"),
        (METRIC + label(b"\xff", b"1"), "bad_label_name"),
        (METRIC + label("a:b", "1"), "bad_label_name"),
        (METRIC + label("a\n", "1"), "bad_label_name"),
        (METRIC + label("n" * 21, "1"), "label_too_long"),
        (METRIC + METRIC, "duplicate_label"),
        (label("__name__", "up\n"), "bad_metric_name"),
        (label("__name__", "ü"), "bad_metric_name"),
        (METRIC + label(b"a", b"\xed\xa0\x80"), "bad_utf8"),
    ],
)
def test_labels_at_the_edge_are_refused_for_the_right_reason(raw, reason):
    with pytest.raises(LabelError) as caught:
        canonical_block(raw, LIMITS)
    assert caught.value.reason == reason


def test_labels_at_their_limits_pass():
    names = ("a" * 20, "b", "c")
    raw = METRIC + b"".join(label(name, "é" * 50) for name in names)
    assert len(decode_labels(canonical_block(raw, LIMITS))) == 4


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a",
        b"\x0a\x05\x0a",
        b"\x12\x02ab",
        b"\x08\x01",
        framed(0x0A, b"\x0a\x05a"),
        framed(0x0A, b"\x08\x01"),
        framed(0x0A, b"\x8a\x01\x01x"),
        b"\x0a" + b"\xff" * 11,
        METRIC + b"\x0a\x02\x0a\x09" + METRIC,
    ],
)
def test_bytes_that_are_no_labels_are_a_decode_error(raw):
    with pytest.raises(DecodeError) as caught:
        split_block(raw)
    assert caught.value.offset >= 0


def test_a_block_cut_anywhere_never_reads_as_more_than_it_holds():
    whole = METRIC + label("a", "b")
    for end in range(len(whole)):
        try:
            pairs = split_block(whole[:end])
        except DecodeError:
            continue
        assert end in (0, len(METRIC))
        assert len(pairs) == (end > 0)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
@settings(max_examples=200, derandomize=True)
def test_varints_come_back_with_their_end(value, tail):
    encoded = write_varint(value)
    assert read_varint(b"x" + encoded + tail, 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 10, b"\x80" * 10 + b"\x01"])
def test_a_varint_cut_short_or_too_long_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        read_varint(data, 0)
