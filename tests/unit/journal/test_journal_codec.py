"""Journal records to bytes and back."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.alert import Alert
from aiops.domain.labels import labels_from
from aiops.domain.records import (
    AlertBatch,
    Command,
    CommandVerb,
    Evict,
    MetadataBatch,
    RecordKind,
    Tick,
)
from aiops.domain.samples import STALE_BITS, MetricMetadata, SampleBatch
from aiops.errors import JournalError
from aiops.journal.codec import decode_record, encode_record

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
labels = st.dictionaries(text, text, max_size=3).map(labels_from)
times = st.integers(-(2**63), 2**63 - 1)
u64 = st.integers(0, 2**64 - 1)
usual_times = st.integers(1_700_000_000_000, 1_700_000_100_000)
bits = st.one_of(st.sampled_from([0, 1 << 63, STALE_BITS, 1, 2**64 - 1]), u64)


@st.composite
def sample_batches(draw):
    rows = draw(st.lists(st.tuples(u64, st.one_of(usual_times, times), bits), max_size=8))
    new = draw(st.lists(st.tuples(u64, st.binary(max_size=9)), max_size=4))
    fingerprints, ts_ms, values = zip(*rows, strict=True) if rows else ((), (), ())
    return SampleBatch(
        np.array(fingerprints, np.uint64),
        np.array(ts_ms, np.int64),
        np.array(values, np.uint64).view(np.float64),
        tuple(fingerprint for fingerprint, _ in new),
        tuple(block for _, block in new),
    )


alerts = st.builds(Alert, text, labels, labels, st.booleans(), times, times, text, text)
bodies = st.one_of(
    st.builds(MetadataBatch, st.lists(st.builds(MetricMetadata, *[text] * 4)).map(tuple)),
    st.builds(AlertBatch, st.lists(alerts, max_size=3).map(tuple)),
    st.builds(Command, st.sampled_from(CommandVerb), text, text, text),
    st.builds(ActionOutcome, *[text] * 4, st.sampled_from(OutcomeStatus), text),
    st.builds(Evict, st.lists(u64, max_size=5).map(tuple), times),
    st.just(Tick()),
)


@given(bodies, u64.filter(bool), times)
@settings(max_examples=300, derandomize=True)
def test_any_record_of_objects_comes_back_equal(body, seq, accepted_ms):
    record = decode_record(seq, encode_record(body, accepted_ms=accepted_ms))
    assert (record.seq, record.accepted_ms, record.body) == (seq, accepted_ms, body)


@given(sample_batches())
@settings(max_examples=300, derandomize=True)
def test_any_batch_of_samples_comes_back_bit_for_bit(batch):
    back = decode_record(1, encode_record(batch, accepted_ms=0)).body
    for name in ("fingerprints", "ts_ms", "values"):
        assert getattr(back, name).tobytes() == getattr(batch, name).tobytes()
    assert back.new_fingerprints == batch.new_fingerprints
    assert back.new_blocks == batch.new_blocks


def usual_batch(n_rows: int) -> SampleBatch:
    rows = np.arange(1, n_rows + 1)
    return SampleBatch(rows.astype(np.uint64), 1_700_000_000_000 + rows, rows.astype(float))


def test_a_sample_takes_twenty_bytes():
    sizes = [len(encode_record(usual_batch(n), accepted_ms=0)) for n in (100, 200)]
    assert sizes[1] - sizes[0] == 100 * 20


@pytest.mark.parametrize("body", [usual_batch(3), Command(CommandVerb.RESOLVE, "i", "ada"), Tick()])
def test_every_changed_byte_is_noticed(body):
    data = encode_record(body, accepted_ms=123)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(JournalError, match="record 7 is damaged"):
            decode_record(7, bytes(damaged))


def test_a_record_cut_short_is_refused():
    data = encode_record(usual_batch(3), accepted_ms=123)
    for n_bytes in range(len(data)):
        with pytest.raises(JournalError, match="record 7 is"):
            decode_record(7, data[:n_bytes])


def test_a_kind_of_a_newer_release_is_told_from_damage():
    tail = bytes([max(RecordKind) + 1]) + bytes(8) + b"{}"
    data = zlib.crc32(tail).to_bytes(4, "little") + tail
    with pytest.raises(JournalError, match="newer aiops"):
        decode_record(7, data)
