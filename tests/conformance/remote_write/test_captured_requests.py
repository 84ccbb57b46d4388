"""Requests as Prometheus 2.42, vmagent and vmalert 1.79 sent them, one folder a request."""

import json
import math
import struct
from pathlib import Path

import cramjam
import pytest

from aiops.domain.samples import STALE_BITS
from tests.unit.serve.push_bench import Bench, bench

FOLDER = Path(__file__).parent
CAPTURED_MS = 1_795_500_000_000
"""Some hours after the captures were made; nothing in them is from the future."""

# request -> (samples, staleness markers, NaN of any kind, exemplars, metadata),
# counted by another decoder when the requests were captured
CONTENTS = {
    "prw1-001": (500, 0, 6, 0, 0),
    "prw1-002": (0, 0, 0, 0, 286),
    "prw1-003": (500, 0, 9, 0, 0),
    "prw1-004": (500, 0, 6, 0, 0),
    "prw1-007": (0, 0, 0, 0, 291),
    "prw1-008": (500, 107, 116, 0, 0),
    "prw1-009": (500, 48, 57, 0, 0),
    "prw1-010": (500, 1, 10, 0, 0),
    "prw1-014": (209, 0, 3, 0, 0),
    "prw1x-001": (18, 0, 0, 4, 0),
    "prw1x-002": (18, 0, 0, 4, 0),
    "prw1x-003": (18, 0, 0, 3, 0),
    "vmagent-001": (143, 0, 0, 0, 0),
    "vmagent-002": (143, 0, 0, 0, 0),
}


def fields(message: bytes):
    """Yield (field number, value) of a protobuf message; a value is an int or bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = 8 if key & 7 == 1 else varint()
            yield key >> 3, message[position : position + size]
            position += size


def rows_of(body: bytes) -> list[tuple[tuple[tuple[str, str], ...], int, int]]:
    """Return (labels, ts_ms, value bits) of every sample, in the order they stand there."""
    rows = []
    for number, series in fields(bytes(cramjam.snappy.decompress_raw(body))):
        if number != 1:
            continue
        labels = []
        for part, value in fields(series):
            if part == 1:
                pair = dict(fields(value))
                labels.append((pair[1].decode(), pair[2].decode()))
            elif part == 2:
                sample = dict(fields(value))
                (bits,) = struct.unpack("<Q", sample.get(1, bytes(8)))
                rows.append((tuple(labels), sample.get(2, 0), bits))
    return rows


def offered(name: str) -> tuple[Bench, object, bytes]:
    subject = bench()
    subject.clock.advance(CAPTURED_MS - subject.clock.now_ms())
    body = (FOLDER / name / "body.bin").read_bytes()
    sent = dict(json.loads((FOLDER / name / "headers.json").read_text())["headers"])
    kept = {key: value for key, value in sent.items() if key != "Content-Length"}
    if "X-Prometheus-Remote-Write-Version" not in kept:
        kept["X-Prometheus-Remote-Write-Version"] = None
    return subject, subject.post_raw(body, **kept), body


@pytest.mark.parametrize("name", CONTENTS)
def test_a_captured_request_is_kept_sample_for_sample(name):
    n_samples, n_stale, n_nan, n_exemplars, n_metadata = CONTENTS[name]
    subject, answer, body = offered(name)
    assert answer.status == 204
    assert answer.written == n_samples
    rows = subject.rows()
    assert rows == rows_of(body)
    assert len(rows) == n_samples
    assert sum(bits == STALE_BITS for _, _, bits in rows) == n_stale
    floats = [struct.unpack("<d", struct.pack("<Q", bits))[0] for _, _, bits in rows]
    assert sum(map(math.isnan, floats)) == n_nan
    assert sum(len(batch.entries) for batch in subject.metadata()) == n_metadata
    assert subject.metric("aiops_serve_exemplars_ignored_total") == n_exemplars


def test_odd_series_are_refused_by_name_and_the_rest_is_kept():
    """Four native histograms, a series without and one with a bad name, a sample of tomorrow."""
    subject, answer, body = offered("prw1x-039")
    assert answer.status == 400
    for told in ("4 native_histogram", "1 no_metric_name", "1 bad_metric_name", "1 too_far"):
        assert told in answer.text
    names = [dict(labels).get("__name__") for labels, _, _ in rows_of(body)]
    assert names == ["probe", "probe", None, "probe2", "p4", "p-4", "fut"]
    kept = ["probe", "probe", "probe2", "p4"]
    assert [dict(labels)["__name__"] for labels, _, _ in subject.rows()] == kept
    assert answer.written == len(kept)


def test_vmalert_sends_no_version_header_and_is_taken():
    subject, answer, body = offered("vmalert-007")
    assert answer.status == 204
    assert subject.rows() == rows_of(body)
    assert subject.rows()


def test_metadata_tells_the_kind_of_a_family():
    subject, _, _ = offered("prw1-002")
    kinds = {entry.family: entry.kind for batch in subject.metadata() for entry in batch.entries}
    assert kinds["node_cpu_seconds_total"] == "counter"
    assert kinds["node_load1"] == "gauge"
