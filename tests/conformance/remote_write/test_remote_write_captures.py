"""Requests recorded from Prometheus 2.42, vmagent and vmalert 1.79, posted with their own headers.

What the journal holds afterwards is compared with a decode that shares nothing with ours.
"""

import json
import re
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cramjam
import pytest

from aiops.domain.labels import Labels
from aiops.domain.samples import STALE_BITS, MetricMetadata
from tests.protobuf_walk import fields
from tests.unit.serve.push_bench import Answer, Bench, bench, send
from tests.unit.wire.write_requests import NOW_MS

HERE = Path(__file__).parent
CAPTURES = sorted(path.parent.name for path in HERE.glob("*/body.bin"))
WITH_SAMPLES = [name for name in CAPTURES if name not in ("prw1-002", "prw1-007")]
HISTOGRAMS = "prw1x-039"
"""Holds native histograms, a missing and a bad metric name, and a sample one day ahead; Prometheus
2.42 lets all of them pass."""

KINDS = dict(enumerate(("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary")))

REFUSED = "aiops_serve_samples_refused_total"

Row = tuple[Labels, int, int]


@dataclass
class Decoded:
    """A request as a plain protobuf reader sees it; `rows` are of series whose name may stand."""

    rows: list[Row] = field(default_factory=list)
    misnamed_rows: list[Row] = field(default_factory=list)
    label_sets: list[Labels] = field(default_factory=list)
    metadata: list[MetricMetadata] = field(default_factory=list)
    exemplars: int = 0
    histograms: int = 0


def sample(message: bytes) -> tuple[int, int]:
    found = dict(fields(message))
    (ts_ms,) = struct.unpack("<q", struct.pack("<Q", found.get(2, 0)))
    (bits,) = struct.unpack("<Q", found.get(1, bytes(8)))
    return ts_ms, bits


def metadata(message: bytes) -> MetricMetadata:
    found = dict(fields(message))
    texts = (found.get(number, b"").decode() for number in (2, 4, 5))
    family, help_text, unit = texts
    return MetricMetadata(family, KINDS[found.get(1, 0)], help_text, unit)


def decode(body: bytes) -> Decoded:
    """Return what the snappy-packed request says."""
    decoded = Decoded()
    for number, message in fields(bytes(cramjam.snappy.decompress_raw(body))):
        if number == 3:
            decoded.metadata.append(metadata(message))
            continue
        assert number == 1
        parts = list(fields(message))
        pairs = [dict(fields(part)) for kind, part in parts if kind == 1]
        labels = tuple((pair[1].decode(), pair[2].decode()) for pair in pairs)
        assert labels == tuple(sorted(labels)), "this sender does not sort"
        decoded.label_sets.append(labels)
        is_named = re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", dict(labels).get("__name__", ""))
        rows = decoded.rows if is_named else decoded.misnamed_rows
        rows += [(labels, *sample(part)) for kind, part in parts if kind == 2]
        decoded.exemplars += sum(kind == 3 for kind, _ in parts)
        decoded.histograms += sum(kind == 4 for kind, _ in parts)
    return decoded


def captured(name: str) -> bytes:
    return (HERE / name / "body.bin").read_bytes()


def decoded(name: str) -> Decoded:
    return decode(captured(name))


def replay(subject: Bench, name: str) -> Answer:
    """Post a capture as its sender did, at the time of its newest sample."""
    sent = dict(json.loads((HERE / name / "headers.json").read_text())["headers"])
    newest_ms = max((ts for _, ts, _ in decoded(name).rows), default=NOW_MS)
    subject.clock.advance(max(0, newest_ms - subject.clock.now_ms()))
    headers = {key.replace("-", "_"): value for key, value in sent.items()}
    del headers["Content_Length"]
    return subject.run(partial(send, body=captured(name), **headers))


def summary() -> dict[str, dict[str, str]]:
    """Return the counts another decoder noted for each capture."""
    found = {}
    for line in (HERE / "decoded-summary.txt").read_text().splitlines():
        name, *words = line.replace("nan(all)", "nan").split()
        found[name] = dict(zip(words[::2], words[1::2], strict=True))
    return found


def test_all_sixteen_captures_are_here():
    assert len(CAPTURES) == 16
    assert set(CAPTURES) - set(summary()) == {"vmalert-007"}


@pytest.mark.parametrize("name", [name for name in CAPTURES if name != HISTOGRAMS])
def test_a_real_senders_request_is_taken_whole(name):
    subject = bench()
    answer = replay(subject, name)
    assert (answer.status, answer.text) == (204, "")
    assert answer.written == len(decoded(name).rows)


@pytest.mark.parametrize("name", CAPTURES)
def test_the_journal_holds_every_sample_to_the_bit_and_in_order(name):
    subject = bench()
    replay(subject, name)
    wanted = decoded(name)
    assert subject.rows() == wanted.rows
    assert subject.metric("aiops_serve_samples_accepted_total") == len(wanted.rows)


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_each_label_set_with_samples_is_announced_once(name):
    subject = bench()
    replay(subject, name)
    announced = [labels for _, labels in subject.announced()]
    assert sorted(announced) == sorted({labels for labels, _, _ in decoded(name).rows})


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_requests_in_small_slices_hold_the_same(name):
    subject = bench(rows_per_slice=7, turns=1)
    replay(subject, name)
    assert len(subject.batches()) >= len(decoded(name).rows) // 7
    assert subject.rows() == decoded(name).rows


@pytest.mark.parametrize("name", CAPTURES)
def test_metadata_arrives_with_kind_and_help(name):
    subject = bench()
    replay(subject, name)
    entries = [entry for batch in subject.metadata() for entry in batch.entries]
    assert entries == decoded(name).metadata


@pytest.mark.parametrize("name", sorted(summary()))
def test_counts_agree_with_what_another_decoder_noted(name):
    subject = bench()
    replay(subject, name)
    noted, rows = summary()[name], subject.rows()
    wanted = decoded(name)
    n_stale = sum(bits == STALE_BITS for _, _, bits in rows)
    n_nan = sum(bits & (2**63 - 1) > 0x7FF << 52 for _, _, bits in rows)
    counts = Counter(wanted.label_sets)
    assert {
        "samples": str(len(rows) + len(wanted.misnamed_rows)),
        "stale": str(n_stale),
        "nan": str(n_nan),
        "hist": str(int(subject.metric(REFUSED, reason="native_histogram"))),
        "ex": str(int(subject.metric("aiops_serve_exemplars_ignored_total"))),
        "meta": str(sum(len(batch.entries) for batch in subject.metadata())),
        "distinct_ts": str(len({ts for _, ts, _ in rows + wanted.misnamed_rows})),
        "dupseries": str(sum(counts.values()) - len(counts)),
    }.items() <= noted.items()


def test_native_histograms_are_refused_by_name_and_the_samples_beside_them_kept():
    subject = bench()
    answer = replay(subject, HISTOGRAMS)
    assert (answer.status, answer.written) == (400, 5)
    assert answer.text == (
        "kept 5 samples, refused: 1 bad_metric_name, 4 native_histogram, 1 no_metric_name\n"
    )


def test_a_sample_one_day_ahead_is_refused_at_the_time_it_was_sent():
    """Prometheus 2.42 took it, and then every later scrape was out of bounds."""
    *others, newest = sorted(decoded(HISTOGRAMS).rows, key=lambda row: row[1])
    subject = bench()
    subject.clock.advance(others[-1][1] - NOW_MS)
    answer = subject.post_raw(captured(HISTOGRAMS))
    assert "1 too_far_in_future" in answer.text
    assert sorted(subject.rows()) == sorted(others)
    assert newest[1] - others[-1][1] > 86_000_000


def test_staleness_markers_of_a_stopped_exporter_arrive_in_two_requests():
    subject = bench()
    stale = []
    for name in ("prw1-008", "prw1-009", "prw1-010"):
        before = len(subject.rows())
        replay(subject, name)
        stale.append(sum(bits == STALE_BITS for _, _, bits in subject.rows()[before:]))
    assert stale == [107, 48, 1]


def test_a_whole_recording_announces_every_series_once_and_needs_no_other_spelling():
    subject = bench()
    names = [name for name in CAPTURES if name.startswith("prw1-")]
    for name in names:
        assert replay(subject, name).status == 204
    wanted = [row for name in names for row in decoded(name).rows]
    assert subject.rows() == wanted
    series = {labels for labels, _, _ in wanted}
    assert len(subject.announced()) == len(series) == subject.door.intake.directory.n_series


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_a_request_sent_again_announces_nothing_and_holds_the_same(name):
    """Prometheus sends the same body until it is told 2xx or 4xx."""
    subject = bench()
    first = replay(subject, name)
    n_announced = len(subject.announced())
    again = replay(subject, name)
    assert (again.status, again.written) == (first.status, first.written)
    assert len(subject.announced()) == n_announced
    assert subject.rows() == decoded(name).rows * 2
