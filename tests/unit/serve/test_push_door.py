"""The remote-write door as its senders see it: status codes, counts, what reaches the journal."""

import asyncio
import gzip
import logging
import math
import zlib
from contextlib import suppress

import numpy as np
import pytest
from aiohttp import web

from aiops.domain.samples import STALE_BITS, MetricMetadata
from aiops.errors import JournalError, OverloadError, StoreError
from aiops.serve.push import PATH
from tests.unit.serve.push_bench import HEADERS, Answer, Bench, bench, send
from tests.unit.wire.write_requests import (
    NOW_MS,
    bits_of,
    exemplar,
    framed,
    histogram,
    label,
    message,
    metadata,
    sample,
    series,
    snappy,
    varint,
)

UP = {"__name__": "up", "job": "node"}
UP_LABELS = (("__name__", "up"), ("job", "node"))
ONE_BITS = bits_of(1.0)
FUTURE_MS = NOW_MS + 600_000


def named(n: int) -> dict[str, str]:
    return {"__name__": "m", "n": f"{n:03}"}


def many(count: int, first: int = 0) -> bytes:
    return b"".join(series(named(n), sample(NOW_MS, n)) for n in range(first, first + count))


def unsorted(count: int) -> bytes:
    return b"".join(
        series([("n", f"{n:03}"), ("__name__", "m")], sample(NOW_MS)) for n in range(count)
    )


def refused(subject: Bench, reason: str) -> float:
    return subject.metric("aiops_serve_samples_refused_total", reason=reason)


# What is taken.


def test_samples_are_in_the_journal_before_the_204():
    subject = bench()
    answer = subject.post(series(UP, sample(NOW_MS, 1.0)))
    assert (answer.status, answer.text) == (204, "")
    assert subject.rows() == [(UP_LABELS, NOW_MS, ONE_BITS)]
    assert [record.accepted_ms for record in subject.records] == [NOW_MS]


def test_the_answer_says_how_much_was_written():
    answer = bench().post(many(7))
    assert {name: value for name, value in answer.headers.items() if "Written" in name} == {
        "X-Prometheus-Remote-Write-Samples-Written": "7",
        "X-Prometheus-Remote-Write-Histograms-Written": "0",
        "X-Prometheus-Remote-Write-Exemplars-Written": "0",
    }


@pytest.mark.parametrize(
    "value", [1.0, 0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308]
)
def test_every_value_arrives_bit_for_bit(value):
    subject = bench()
    assert subject.post(series(UP, sample(NOW_MS, value))).status == 204
    assert subject.rows() == [(UP_LABELS, NOW_MS, bits_of(value))]


@pytest.mark.parametrize("bits", [STALE_BITS, 0x7FF8000000000001, 0xFFF0000000000003])
def test_staleness_markers_and_other_nans_stay_apart(bits):
    subject = bench()
    assert subject.post(series(UP, sample(NOW_MS, bits=bits))).status == 204
    assert subject.rows() == [(UP_LABELS, NOW_MS, bits)]


def test_a_series_is_announced_once():
    subject = bench()
    subject.post(series(UP, sample(NOW_MS)))
    subject.post(series(UP, sample(NOW_MS + 1)))
    assert [labels for _, labels in subject.announced()] == [UP_LABELS]
    assert len(subject.rows()) == 2


def test_the_same_series_many_times_in_one_request_is_one_newcomer():
    subject = bench()
    body = b"".join(series(UP, sample(NOW_MS - n, n)) for n in range(67))
    assert subject.post(body).written == 67
    assert len(subject.announced()) == 1
    assert [ts for _, ts, _ in subject.rows()] == [NOW_MS - n for n in range(67)]


def test_unsorted_labels_without_version_header_are_the_same_series_as_sorted_ones():
    subject = bench()
    backwards = series([("job", "node"), ("__name__", "up")], sample(NOW_MS, 2.0))
    first = subject.post(backwards, X_Prometheus_Remote_Write_Version=None)
    second = subject.post(series(UP, sample(NOW_MS + 1, 3.0)))
    third = subject.post(backwards)
    assert [first.status, second.status, third.status] == [204, 204, 204]
    assert len({int(one) for batch in subject.batches() for one in batch.fingerprints}) == 1
    assert [labels for _, labels in subject.announced()] == [UP_LABELS]


def test_sorted_and_unsorted_spellings_in_one_request_are_one_series():
    subject = bench()
    backwards = [("job", "node"), ("__name__", "up")]
    body = series(backwards, sample(1)) + series(UP, sample(2)) + series(backwards, sample(3))
    assert subject.post(body).status == 204
    assert len(subject.announced()) == 1
    assert {labels for labels, _, _ in subject.rows()} == {UP_LABELS}


def test_labels_around_samples_are_the_same_series_too():
    subject = bench()
    split = message(label("job", "node"), sample(NOW_MS), label("__name__", "up"))
    for body in (split, series(UP, sample(NOW_MS)), split):
        assert subject.post(body).status == 204
    assert [labels for _, labels in subject.announced()] == [UP_LABELS]
    assert len(subject.rows()) == 3


def test_values_outside_ascii_and_long_ones_are_taken():
    subject = bench()
    pairs = {"__name__": "up", "city": "Zürich\n", "path": "/x" * 300}
    assert subject.post(series(pairs, sample(NOW_MS))).status == 204
    assert subject.post(series(pairs, sample(NOW_MS))).status == 204
    assert [dict(labels) for _, labels in subject.announced()] == [pairs]


def test_metadata_alone_is_taken():
    subject = bench()
    answer = subject.post(metadata("up", 2, "Is it up?"), metadata("x_total", 1))
    assert (answer.status, answer.written) == (204, 0)
    assert [batch.entries for batch in subject.metadata()] == [
        (
            MetricMetadata("up", "gauge", "Is it up?"),
            MetricMetadata("x_total", "counter"),
        )
    ]


def test_exemplars_alone_are_taken_and_counted_but_not_kept():
    subject = bench()
    assert subject.post(series(UP, exemplar()), series(UP, exemplar())).status == 204
    assert subject.records == []
    assert subject.metric("aiops_serve_exemplars_ignored_total") == 2


def test_an_empty_request_is_taken():
    subject = bench()
    assert subject.post().status == 204
    assert subject.records == []


def test_unknown_fields_do_not_hinder():
    subject = bench()
    future_proto = varint(0x1F40) + b"\x01"
    body = future_proto + message(label("__name__", "up"), sample(NOW_MS), future_proto)
    assert subject.post(body).written == 1


# What is not this format.


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "identity", "snappy, gzip"])
def test_another_encoding_is_a_415_by_its_header(encoding):
    subject = bench()
    answer = subject.post(series(UP, sample(NOW_MS)), Content_Encoding=encoding)
    assert answer.status == 415
    assert encoding in answer.text
    assert subject.records == []


def test_a_body_that_really_is_gzip_is_not_unpacked_by_the_server():
    body = snappy(series(UP, sample(NOW_MS)))
    for packed, encoding in ((gzip.compress(body), "gzip"), (zlib.compress(body), "deflate")):
        assert bench().post_raw(packed, Content_Encoding=encoding).status == 415


@pytest.mark.parametrize("encoding", [None, "", "snappy", "Snappy", " snappy "])
def test_snappy_is_assumed_where_no_encoding_is_told(encoding):
    assert bench().post(series(UP, sample(NOW_MS)), Content_Encoding=encoding).status == 204


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "image/png",
        "text/plain",
        "application/x-protobuffer",
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        'application/x-protobuf; proto="io.prometheus.write.v2.Request"',
        "application/x-protobuf;charset=utf-8;proto=io.prometheus.write.v2.Request",
        "Application/X-Protobuf ; Proto = IO.prometheus.write.v2.Request",
        "application/x-protobuf;proto=",
    ],
)
def test_another_type_is_a_415(media_type):
    subject = bench()
    answer = subject.post(series(UP, sample(NOW_MS)), Content_Type=media_type)
    assert answer.status == 415
    assert subject.records == []


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "application/x-protobuf",
        "APPLICATION/X-PROTOBUF",
        "application/x-protobuf;proto=prometheus.WriteRequest",
        'application/x-protobuf; proto="prometheus.WriteRequest"; charset=utf-8',
        "application/x-protobuf;",
    ],
)
def test_every_spelling_of_version_one_is_read(media_type):
    assert bench().post(series(UP, sample(NOW_MS)), Content_Type=media_type).status == 204


# What can never be read.


@pytest.mark.parametrize(
    "body", [b"", b"\xff" * 12, b"\x05\x00", snappy(many(3))[:-1], b"no snappy at all"]
)
def test_a_corrupt_block_is_a_400(body):
    subject = bench()
    answer = subject.post_raw(body)
    assert (answer.status, answer.written) == (400, 0)
    assert subject.records == []
    assert refused(subject, "unreadable_body") == 1


def test_malformed_protobuf_is_a_400_that_names_the_byte():
    subject = bench()
    answer = subject.post(b"\x0a\x7f")
    assert (answer.status, answer.text) == (400, "malformed WriteRequest at byte 0\n")


def test_what_stands_before_the_malformed_byte_is_kept():
    subject = bench()
    good = many(2)
    answer = subject.post(good + b"\x0a\x7f")
    assert (answer.status, answer.written) == (400, 2)
    assert f"at byte {len(good)}" in answer.text
    assert len(subject.rows()) == 2


def test_a_body_over_the_limit_is_a_400_by_its_length_alone():
    subject = bench(server={"body_bytes_max": 2000})
    answer = subject.post_raw(b"x" * 2001)
    assert answer.status == 400
    assert "server.body_bytes_max" in answer.text


def test_a_body_of_exactly_the_limit_is_read():
    body = snappy(many(300))
    assert len(body) >= 1024
    assert bench(server={"body_bytes_max": len(body)}).post_raw(body).status == 204


def test_an_oversized_body_is_a_400_even_while_others_fill_the_room():
    subject = bench(server={"body_bytes_max": 2000, "body_bytes_in_flight_max": 2000})
    with subject.admission.hold(1500):
        assert subject.post_raw(b"x" * 5000).status == 400


def test_a_body_without_length_is_counted_as_it_comes():
    async def chunks():
        for _ in range(40):
            yield b"x" * 100

    answer = bench(server={"body_bytes_max": 2000}).post_raw(chunks())
    assert answer.status == 400
    assert "server.body_bytes_max" in answer.text


def test_a_body_in_chunks_within_the_limit_is_taken():
    async def chunks():
        body = snappy(many(5))
        for at in range(0, len(body), 10):
            yield body[at : at + 10]

    assert bench(server={"body_bytes_max": 2000}).post_raw(chunks()).written == 5


def test_a_declared_size_over_the_limit_is_a_400_before_anything_is_unpacked():
    answer = bench(decompressed_bytes_max=5000).post_raw(varint(2**32 - 1) + b"\x00")
    assert answer.status == 400
    assert "limits.decompressed_bytes_max" in answer.text


def test_a_body_that_grows_over_the_limit_is_a_400():
    body = snappy(framed(0x2A, b"\x00" * 6000))
    assert bench(decompressed_bytes_max=5000).post_raw(body).status == 400


def test_more_samples_than_a_request_may_carry_is_a_400():
    subject = bench(rows_per_slice=4, samples_per_request_max=10)
    answer = subject.post(many(30))
    assert (answer.status, answer.written) == (400, 12)
    assert "limits.samples_per_request_max" in answer.text


def test_more_series_than_a_request_may_carry_is_a_400():
    subject = bench(rows_per_slice=4, series_per_request_max=10)
    answer = subject.post(many(30))
    assert (answer.status, answer.written) == (400, 8)
    assert "limits.series_per_request_max" in answer.text


def test_one_series_larger_than_a_slice_is_a_400():
    subject = bench(rows_per_slice=4)
    answer = subject.post(many(2), series(UP, *[sample(n) for n in range(5)]))
    assert (answer.status, answer.written) == (400, 2)


# What is partly refused.

BAD_SERIES = {
    "no_metric_name": series({"job": "node"}, sample(NOW_MS)),
    "bad_metric_name": series({"__name__": "1up"}, sample(NOW_MS)),
    "bad_label_name": series({"__name__": "up", "a.b": "1"}, sample(NOW_MS)),
    "duplicate_label": series([("__name__", "up"), ("a", "1"), ("a", "2")], sample(NOW_MS)),
    "bad_utf8": series([("__name__", "up"), (b"a", b"\xff")], sample(NOW_MS)),
    "label_too_long": series({"__name__": "up", "a": "x" * 3000}, sample(NOW_MS)),
    "too_many_labels": series(
        {"__name__": "up"} | {f"l{n:02}": "1" for n in range(40)}, sample(NOW_MS)
    ),
    "labels_too_large": series(
        {"__name__": "up"} | {f"l{n}": "x" * 2000 for n in range(5)}, sample(NOW_MS)
    ),
    "malformed_labels": message(framed(0x0A, b"\x08\x01"), sample(NOW_MS)),
    "too_far_in_future": series(UP, sample(FUTURE_MS + 1)),
    "native_histogram": series(UP, histogram()),
    "malformed_metadata": framed(0x1A, b"\x12\x09up"),
}


@pytest.mark.parametrize("reason", BAD_SERIES)
def test_one_bad_entry_is_a_400_with_its_reason_and_the_rest_is_kept(reason):
    subject = bench()
    answer = subject.post(many(2), BAD_SERIES[reason], many(1, first=2))
    assert (answer.status, answer.written) == (400, 3)
    assert answer.text == f"kept 3 samples, refused: 1 {reason}\n"
    assert refused(subject, reason) == 1
    assert [dict(labels) for labels, _, _ in subject.rows()] == [named(n) for n in range(3)]


@pytest.mark.parametrize("reason", BAD_SERIES)
def test_a_bad_entry_alone_is_a_400_every_time(reason):
    subject = bench()
    for _ in range(2):
        answer = subject.post(BAD_SERIES[reason])
        assert (answer.status, answer.written) == (400, 0)
    assert subject.records == []
    assert refused(subject, reason) == 2


@pytest.mark.parametrize("pairs", [{}, {"__name__": ""}, {"__name__": "", "job": "x"}])
def test_a_series_without_a_name_is_refused(pairs):
    answer = bench().post(series(pairs, sample(NOW_MS), sample(NOW_MS + 1)))
    assert answer.status == 400
    assert "2 no_metric_name" in answer.text


def test_all_samples_of_a_refused_series_are_counted_wherever_they_stand():
    bad = {"__name__": "up", "a.b": "1"}
    subject = bench()
    answer = subject.post(
        series(bad, sample(1), sample(2)), many(1), series(bad, sample(3)), message(sample(4))
    )
    assert answer.text == "kept 1 samples, refused: 3 bad_label_name, 1 no_metric_name\n"


def test_only_the_samples_too_far_ahead_are_refused():
    subject = bench()
    answer = subject.post(series(UP, sample(NOW_MS), sample(FUTURE_MS + 1), sample(FUTURE_MS)))
    assert (answer.status, answer.written) == (400, 2)
    assert [ts for _, ts, _ in subject.rows()] == [NOW_MS, FUTURE_MS]


def test_samples_beside_a_native_histogram_are_kept():
    subject = bench()
    answer = subject.post(series(UP, sample(NOW_MS), histogram(), histogram()))
    assert (answer.status, answer.written) == (400, 1)
    assert "2 native_histogram" in answer.text


# What there is no room for.


def test_at_the_bound_newcomers_are_refused_for_good_and_known_series_go_on():
    subject = bench(series_max=3)
    assert subject.post(many(3)).status == 204
    answer = subject.post(many(5))
    assert (answer.status, answer.written) == (400, 3)
    assert answer.text == "kept 3 samples, refused: 2 series_max\n"


def test_at_the_bound_a_known_series_may_still_be_spelt_another_way():
    """Aliases are not kept over a restart: unsorted senders come with unknown keys again."""
    subject = bench(series_max=3)
    subject.post(many(3))
    answer = subject.post(unsorted(5))
    assert (answer.status, answer.written) == (400, 3)
    assert answer.text == "kept 3 samples, refused: 2 series_max\n"
    split = message(label("__name__", "m"), sample(NOW_MS), label("n", "001"))
    assert [subject.post(split).status for _ in range(2)] == [204, 204]


def test_what_does_not_fit_under_the_bound_does_not_come_back_for_ever():
    """A small rate must not turn a permanent refusal into an endless 503."""
    subject = bench(series_max=3, new_series_per_s=1, new_series_burst=4)
    subject.post(many(3))
    for body in (many(50), unsorted(50)):
        assert subject.post(body).status == 400
        assert subject.post(body).status == 400


def test_over_the_rate_known_series_are_kept_and_the_sender_comes_again():
    subject = bench(new_series_per_s=2, new_series_burst=3)
    first = subject.post(many(5))
    assert (first.status, first.written) == (503, 3)
    assert first.text == "kept 3 samples, refused: 2 new_series_rate\n"
    assert int(first.headers["Retry-After"]) > 0


@pytest.mark.parametrize("body", [many(5), unsorted(5)])
def test_a_retry_completes_what_the_rate_held_back_and_announces_nothing_twice(body):
    subject = bench(new_series_per_s=2, new_series_burst=3)
    answers = []
    for _ in range(2):
        answers.append(subject.post(body))
        subject.clock.advance(int(answers[0].headers["Retry-After"]) * 1000)
    assert [(one.status, one.written) for one in answers] == [(503, 3), (204, 5)]
    assert sorted(dict(labels)["n"] for _, labels in subject.announced()) == [
        "000",
        "001",
        "002",
        "003",
        "004",
    ]


def test_hopeless_series_use_up_nothing_of_the_rate():
    subject = bench(new_series_per_s=1, new_series_burst=3)
    bad = b"".join(series({"__name__": "up", f"a.{n}": "1"}, sample(NOW_MS)) for n in range(20))
    answer = subject.post(bad, many(2))
    assert (answer.status, answer.written) == (400, 2)


def test_known_series_use_up_nothing_of_the_rate():
    subject = bench(new_series_per_s=1, new_series_burst=6)
    subject.post(many(4))
    assert subject.post(unsorted(4)).status == 204
    assert subject.post(many(2, first=4)).status == 204


def test_spellings_beyond_the_bound_on_aliases_still_resolve():
    subject = bench(series_max=2)
    pairs = [("__name__", "m"), ("a", "1"), ("b", "2"), ("c", "3")]
    orders = [[pairs[index] for index in order] for order in ((0, 2, 1, 3), (3, 0, 1, 2))]
    orders += [pairs[::-1], [*pairs[2:], *pairs[:2]]]
    for n, order in enumerate(orders):
        answer = subject.post(series(order, sample(n)), series(order, sample(n)))
        assert (answer.status, answer.written) == (204, 2)
    assert {labels for labels, _, _ in subject.rows()} == {tuple(pairs)}
    assert len(subject.announced()) == 1


# What cannot be taken now.


@pytest.mark.parametrize(
    "error", [JournalError("disk gone"), OverloadError("full"), StoreError("odd"), OSError("odd")]
)
def test_a_journal_that_fails_is_a_503_and_newcomers_are_announced_again(error):
    subject = bench()
    subject.journal.error = error
    answer = subject.post(many(2))
    assert (answer.status, int(answer.headers["Retry-After"])) == (503, 5)
    assert subject.records == []
    assert subject.metric("aiops_serve_samples_accepted_total") == 0
    subject.journal.error = None
    assert subject.post(many(2)).status == 204
    assert len(subject.announced()) == 2


def test_a_journal_that_fails_half_way_keeps_the_first_slices_and_loses_no_name():
    subject = bench(rows_per_slice=2)
    subject.journal.error, subject.journal.n_good = JournalError("disk gone"), 1
    answer = subject.post(many(6))
    assert (answer.status, answer.written) == (503, 2)
    subject.journal.error = None
    assert subject.post(many(6)).status == 204
    assert len(subject.announced()) == len(set(subject.announced())) == 6
    assert len(subject.rows()) == 8


def test_unsorted_newcomers_of_a_failed_write_are_announced_again():
    subject = bench()
    subject.journal.error = JournalError("disk gone")
    assert subject.post(unsorted(3)).status == 503
    subject.journal.error = None
    assert subject.post(unsorted(3)).status == 204
    assert len(subject.announced()) == 3


def test_metadata_that_cannot_be_kept_is_a_503():
    subject = bench()
    subject.journal.error = JournalError("disk gone")
    assert subject.post(metadata("up")).status == 503


def test_a_closed_journal_is_a_503():
    subject = bench()
    subject.journal.close()
    answer = subject.post(many(1))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_a_queue_that_is_full_is_a_503_before_the_body_is_read():
    subject = bench()
    subject.is_overloaded = True
    answer = subject.post(many(1))
    assert (answer.status, answer.text) == (503, "scoring is behind\n")
    assert int(answer.headers["Retry-After"]) > 0
    subject.is_overloaded = False
    assert subject.post(many(1)).status == 204


def test_too_many_bodies_in_flight_is_a_503():
    subject = bench(server={"body_bytes_max": 2000, "body_bytes_in_flight_max": 2000})
    with subject.admission.hold(1990):
        assert subject.post(many(3)).status == 503
    assert subject.post(many(3)).status == 204
    assert subject.admission.bytes_now == 0


def test_a_body_of_unknown_length_is_held_at_its_bound():
    async def chunks():
        yield snappy(many(1))

    subject = bench(server={"body_bytes_max": 2000, "body_bytes_in_flight_max": 2000})
    with subject.admission.hold(1):
        assert subject.post_raw(chunks()).status == 503


# What the door promises whatever comes.

SWEEP: dict[str, tuple[bytes, dict[str, str | None], int]] = {
    "good": (snappy(many(2)), {}, 204),
    "empty body": (b"", {}, 400),
    "empty request": (snappy(), {}, 204),
    "huge body": (b"x" * 5000, {}, 400),
    "huge body with another encoding": (b"x" * 5000, {"Content_Encoding": "gzip"}, 415),
    "bomb": (varint(2**32 - 1) + b"\x00", {}, 400),
    "bomb within the limit": (varint(4000) + b"\x00", {}, 400),
    "truncated": (snappy(many(3))[:-4], {}, 400),
    "no protobuf": (snappy(b"\xff" * 50), {}, 400),
    "a group": (snappy(b"\x0b\x0c"), {}, 400),
    "json": (b"{}", {"Content_Type": "application/json", "Content_Encoding": None}, 415),
    "version two": (
        snappy(framed(0x22, b"")),
        {"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
        415,
    ),
    "version two that hides": (snappy(framed(0x22, b"up")), {}, 204),
    "many series": (snappy(many(60)), {}, 503),
    "duplicate label": (snappy(BAD_SERIES["duplicate_label"]), {}, 400),
    "future": (snappy(BAD_SERIES["too_far_in_future"]), {}, 400),
    "odd headers": (snappy(many(1)), {"Content_Type": ";;=;proto", "Content_Encoding": ","}, 415),
    "type of nothing": (snappy(many(1)), {"Content_Type": ""}, 415),
}


@pytest.mark.parametrize("name", SWEEP)
def test_the_door_answers_only_204_400_415_and_503(name):
    body, headers, wanted = SWEEP[name]
    limits = {"decompressed_bytes_max": 5000, "new_series_burst": 50, "new_series_per_s": 1}
    answer = bench(server={"body_bytes_max": 3000}, **limits).post_raw(body, **headers)
    assert answer.status == wanted
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ("Retry-After" in answer.headers) == (wanted == 503)


def test_a_version_two_body_in_disguise_is_told_that_nothing_was_written():
    """Read as version 1 it is empty and valid; a 2.0 sender takes 0 written as a failure."""
    assert bench().post(framed(0x22, b""), framed(0x2A, b"\x0a\x02\x01\x02")).written == 0


def test_bodies_of_noise_never_make_the_door_fail():
    rng = np.random.default_rng(7)
    subject = bench()

    async def talk(client, url) -> set[int]:
        seen = set()
        for _ in range(150):
            body = bytearray(many(3) + metadata("up") + BAD_SERIES["native_histogram"])
            for at in rng.integers(0, len(body), 3):
                body[at] = rng.integers(0, 256)
            seen.add((await send(client, url, body=snappy(bytes(body)))).status)
        return seen

    assert subject.run(talk) <= {204, 400}


# Requests at the same time.


def sender_body(name: str, count: int) -> bytes:
    """Sorted, unsorted and split labels in turn, so that slices hold newcomers of all kinds."""
    parts = []
    for n in range(count):
        pairs = [("__name__", name), ("n", f"{n:03}")]
        if n % 3 == 2:
            parts.append(message(label(*pairs[0]), sample(NOW_MS + n, n), label(*pairs[1])))
        else:
            parts.append(series(pairs if n % 3 else pairs[::-1], sample(NOW_MS + n, n)))
    return snappy(*parts)


def test_requests_that_interleave_do_not_mix_their_rows():
    subject = bench(rows_per_slice=3, turns=3)
    names = ["a", "b", "c", "d", "shared", "shared"]

    async def talk(client, url) -> list[Answer]:
        sends = [send(client, url, body=sender_body(name, 30)) for name in names]
        return await asyncio.gather(*sends)

    answers = subject.run(talk)
    assert [(one.status, one.written) for one in answers] == [(204, 30)] * 6
    wanted = sorted(
        ((("__name__", name), ("n", f"{n:03}")), NOW_MS + n, bits_of(float(n)))
        for name in names
        for n in range(30)
    )
    assert sorted(subject.rows()) == wanted
    assert len({fingerprint for fingerprint, _ in subject.announced()}) == 5 * 30
    assert len(subject.batches()) > 6 * 9


def test_a_broken_request_among_good_ones_harms_only_itself():
    subject = bench(rows_per_slice=2, turns=2)

    async def talk(client, url) -> list[Answer]:
        broken = snappy(many(10) + b"\x0a\x7f")
        bodies = [sender_body("a", 20), broken, sender_body("b", 20), snappy(many(10))[:-3]]
        return await asyncio.gather(*[send(client, url, body=body) for body in bodies])

    assert [(one.status, one.written) for one in subject.run(talk)] == [
        (204, 20),
        (400, 10),
        (204, 20),
        (400, 0),
    ]
    assert len(subject.rows()) == 50
    assert subject.admission.bytes_now == 0


# The server around the door.


async def talk_raw(url: str, data: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes over a plain socket; return the first line of the answer."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        await writer.drain()
        return b"" if hang_up else await reader.readline()
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server may hang up first
            await writer.wait_closed()


def head(**headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: x", *lines, "\r\n"]).encode()


def test_a_body_whose_chunks_are_broken_is_a_400():
    subject = bench()

    async def talk(client, url) -> bytes:
        return await talk_raw(url, head(Transfer_Encoding="chunked") + b"5\r\nabcd\r\nnonsense\r\n")

    assert b" 400 " in subject.run(talk)
    assert subject.records == []


def test_two_lengths_for_one_body_are_a_400():
    subject = bench()

    async def talk(client, url) -> bytes:
        both = head(Transfer_Encoding="chunked", Content_Length="5")
        return await talk_raw(url, both + b"0\r\n\r\n")

    assert b" 400 " in subject.run(talk)


def test_a_sender_that_hangs_up_leaves_nothing_behind_and_no_error_in_the_log(caplog):
    subject = bench()

    async def talk(client, url) -> None:
        await talk_raw(url, head(Content_Length="500") + b"x" * 20, hang_up=True)
        while refused(subject, "unreadable_body") == 0:  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        subject.run(talk)
    assert subject.admission.bytes_now == 0
    assert caplog.records == []


def test_a_sender_that_waits_for_100_continue_is_served():
    subject = bench()
    body = snappy(many(1))

    async def talk(client, url) -> Answer:
        return await send(client, url, body=body, Expect="100-continue")

    assert subject.run(talk).status == 204


def test_a_handler_that_fails_unforeseen_is_a_503_to_come_again_and_is_logged(caplog):
    async def broken(request: web.Request) -> web.Response:
        raise ZeroDivisionError("secret detail")

    subject = bench()
    subject.extra_routes = [web.post("/broken", broken)]

    async def talk(client, url) -> Answer:
        async with client.post(url + "/broken") as response:
            return Answer(response.status, await response.text(), dict(response.headers))

    with caplog.at_level(logging.ERROR):
        answer = subject.run(talk)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "secret" not in answer.text
    assert [record.getMessage() for record in caplog.records] == ["request.failed"]
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_before_the_journal_is_replayed_the_door_is_a_503():
    subject = bench()
    subject.is_ready = False
    answer = subject.post(many(1))
    assert (answer.status, answer.text) == (503, "starting\n")
    assert int(answer.headers["Retry-After"]) > 0
    assert subject.records == []


def test_reading_the_door_is_a_405():
    async def talk(client, url) -> int:
        async with client.get(url + PATH) as response:
            return response.status

    assert bench().run(talk) == 405


def test_every_reason_has_a_series_before_anything_is_refused():
    subject = bench()
    for reason in (*BAD_SERIES, "series_max", "new_series_rate", "unreadable_body"):
        assert refused(subject, reason) == 0


def test_what_was_accepted_is_counted():
    subject = bench()
    subject.post(many(3), BAD_SERIES["no_metric_name"])
    assert subject.metric("aiops_serve_samples_accepted_total") == 3
