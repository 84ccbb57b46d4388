import struct
from pathlib import Path

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain.labels import labels_from
from aiops.domain.samples import STALE_BITS, MetricMetadata
from aiops.evaluate.remote_write_encode import (
    TS_MS_END,
    ScrapeEncoder,
    encode_metadata_request,
    encode_snappy,
    encode_write_request,
)
from aiops.wire.labels import encode_labels
from tests.protobuf_walk import fields, read_varint

NOW_MS = 1_700_000_000_000


def read_sample(message: bytes) -> tuple[int, int]:
    found = dict(fields(message))
    ts_ms = found[2] - (1 << 64) if found[2] >= 1 << 63 else found[2]
    return ts_ms, struct.unpack("<Q", found.get(1, bytes(8)))[0]  # proto3 leaves zero out


def read_series(body: bytes) -> list[tuple[dict[str, str], list[tuple[int, int]]]]:
    """Return labels and (ts_ms, value bits) of each series of a request."""
    result = []
    for number, message in fields(body):
        assert number == 1
        parts = list(fields(message))
        labels = [dict(fields(part)) for k, part in parts if k == 1]
        samples = [read_sample(part) for k, part in parts if k == 2]
        result.append(({pair[1].decode(): pair[2].decode() for pair in labels}, samples))
    return result


def bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def block(**labels: str) -> bytes:
    return encode_labels(labels_from(labels))


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_labels_times_and_values_come_back_from_the_wire():
    body = encode_write_request(
        [
            (block(__name__="up", job="node"), i64(NOW_MS), np.array([1.0])),
            (block(__name__="load"), i64(NOW_MS, NOW_MS + 15_000), np.array([0.5, -2e300])),
        ]
    )
    assert read_series(body) == [
        ({"__name__": "up", "job": "node"}, [(NOW_MS, bits(1.0))]),
        ({"__name__": "load"}, [(NOW_MS, bits(0.5)), (NOW_MS + 15_000, bits(-2e300))]),
    ]


def test_no_series_is_an_empty_body():
    assert encode_write_request([]) == b""


def test_a_series_without_samples_has_labels_only():
    body = encode_write_request([(block(__name__="up"), i64(), np.array([]))])
    assert read_series(body) == [({"__name__": "up"}, [])]


@pytest.mark.parametrize("n", [1, 2])
def test_staleness_markers_keep_their_bits(n: int):
    values = np.full(n, STALE_BITS, np.uint64).view(np.float64)
    body = encode_write_request([(block(__name__="up"), i64(*range(NOW_MS, NOW_MS + n)), values)])
    assert [found for _, found in read_series(body)[0][1]] == [STALE_BITS] * n


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1)), max_size=5))
def test_any_time_and_any_bits_survive(samples: list[tuple[int, int]]):
    ts_ms = i64(*(ts for ts, _ in samples))
    values = np.array([raw for _, raw in samples], np.uint64).view(np.float64)
    body = encode_write_request([(block(__name__="x"), ts_ms, values)])
    assert read_series(body)[0][1] == samples


def test_times_and_values_must_be_parallel():
    with pytest.raises(ValueError, match="2 times beside 1 values"):
        encode_write_request([(block(__name__="x"), i64(1, 2), np.array([1.0]))])


def test_the_scrape_encoder_gives_the_bytes_of_the_general_encoder():
    blocks = [block(__name__="up", instance="x" * size) for size in (1, 90, 200, 20_000)]
    encoder = ScrapeEncoder(blocks)
    for ts_ms, seed in ((NOW_MS, 1), (NOW_MS + 15_000, 2), (TS_MS_END - 1, 3)):
        values = np.random.default_rng(seed).normal(size=4)
        general = encode_write_request(
            (each, i64(ts_ms), values[k : k + 1]) for k, each in enumerate(blocks)
        )
        assert encoder.encode(ts_ms, values) == general


def test_the_scrape_encoder_refuses_times_that_need_another_size():
    encoder = ScrapeEncoder([block(__name__="up")])
    for ts_ms in (0, -1, TS_MS_END):
        with pytest.raises(ValueError, match="1971"):
            encoder.encode(ts_ms, np.array([1.0]))


def test_a_scrape_of_no_series_is_an_empty_body():
    assert ScrapeEncoder([]).encode(NOW_MS, np.array([])) == b""


def test_metadata_is_a_request_of_its_own_with_no_series():
    body = encode_metadata_request(
        [
            MetricMetadata("http_requests_total", "counter", help="Requests.", unit="requests"),
            MetricMetadata("up", "unknown"),
        ]
    )
    entries = [(number, dict(fields(message))) for number, message in fields(body)]
    assert entries == [
        (3, {1: 1, 2: b"http_requests_total", 4: b"Requests.", 5: b"requests"}),
        (3, {2: b"up"}),
    ]


def test_metadata_of_an_unheard_of_kind_is_refused():
    with pytest.raises(ValueError, match="flow"):
        encode_metadata_request([MetricMetadata("x", "flow")])


def test_snappy_is_the_block_format():
    body = b"abc" * 1000
    packed = encode_snappy(body)
    assert len(packed) < len(body)
    assert bytes(cramjam.snappy.decompress_raw(packed)) == body
    assert read_varint(packed, 0)[0] == len(body)


def raw_labels(message: bytes) -> bytes:
    """Return the label fields of a TimeSeries as they stand; senders put them in front."""
    at = 0
    while at < len(message) and message[at] == 0x0A:
        size, start = read_varint(message, at + 1)
        at = start + size
    return message[:at]


CAPTURE = Path(__file__).parent / "data" / "prometheus-2.42-remote-write.snappy"
"""Body of a request by Prometheus 2.42 that scrapes node_exporter and itself."""


def test_a_request_of_prometheus_re_encoded_says_the_same():
    body = bytes(cramjam.snappy.decompress_raw(CAPTURE.read_bytes()))
    original = read_series(body)
    messages = [message for _, message in fields(body)]
    again = encode_write_request(
        (
            raw_labels(message),
            i64(*(ts_ms for ts_ms, _ in samples)),
            np.array([raw for _, raw in samples], np.uint64).view(np.float64),
        )
        for message, (_, samples) in zip(messages, original, strict=True)
    )
    assert len(original) == 500
    assert read_series(again) == original
    assert [raw_labels(message) for _, message in fields(again)] == [
        encode_labels(labels_from(labels)) for labels, _ in original
    ]
