"""Rows of series wherever they are: day files, blocks on their way, memory."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.config import Config
from aiops.domain.labels import labels_from
from aiops.domain.matchers import Matcher, MatchOp
from aiops.domain.records import Evict, MetadataBatch, Record
from aiops.domain.samples import STALE_BITS, MetricMetadata, SampleBatch, SeriesRows
from aiops.engine import Engine
from aiops.pipeline import Core
from aiops.reader import LiveReader
from aiops.store.sample_reader import SampleReader
from aiops.store.samples import SampleStore
from aiops.wire.labels import encode_labels

T0_MS = 1_700_000_000_000
STEP_MS = 1000
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
ALL_MS = (0, 2**45)
WAIT_S = 30.0
EVERYTHING = ()


def labels(name: str):
    """Return the labels of a series; names that end in `_total` are counters."""
    return labels_from({"__name__": name, "job": "node"})


def fingerprint(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


def named(name: str) -> tuple[Matcher, ...]:
    return (Matcher("__name__", MatchOp.EQUAL, name),)


class Ignored:
    """A sink for effects, of which these tests have none."""

    def put(self, seq, effects) -> None:
        assert effects == ()


class MovingEngine(Engine):
    """An engine that goes on with its work right after it has answered a call."""

    after_call: Callable[[], None] | None = None

    def call(self, work):
        future = super().call(work)
        if self.after_call is not None:
            future.exception(WAIT_S)
            then, self.after_call = self.after_call, None
            then()
        return future


class Rig:
    """Engine, stores and reader as the service has them, fed scrape by scrape."""

    def __init__(self, directory: Path, *, chunk_rows: int) -> None:
        config = Config.model_validate(
            {
                "store": {"chunk_rows": chunk_rows},
                "detect": {"warmup_samples": 20, "alarm_score": 50, "clear_score": 40},
            }
        )
        registry = CollectorRegistry()
        self.core = Core(config, receivers=(), playbooks=(), external_url="http://aiops.internal")
        self.store = SampleStore(
            directory, retention_days=15, registry=registry, linger_s=3600.0, retry_s=0.001
        )
        self.engine = MovingEngine(
            self.core,
            Ignored(),
            self.store,
            clock=ManualClock(),
            failed=lambda error: pytest.fail(repr(error)),
            registry=registry,
        )
        self.reader = LiveReader(self.engine, self.store, SampleReader(directory))
        self._seq = 0
        self._known: set[str] = set()
        self.now_ms = T0_MS

    def scrape(self, values: dict[str, float], n_times: int = 1) -> None:
        """Take so many scrapes of these series, their values changing each time."""
        for _ in range(n_times):
            self.now_ms += STEP_MS
            new = [name for name in values if name not in self._known]
            self._known.update(new)
            n = len(values)
            k = (self.now_ms - T0_MS) // STEP_MS
            changed = [changing(name, value, k) for name, value in values.items()]
            batch = SampleBatch(
                np.array([fingerprint(name) for name in values], np.uint64),
                np.full(n, self.now_ms),
                np.array(changed, float),
                tuple(fingerprint(name) for name in new),
                tuple(encode_labels(labels(name)) for name in new),
            )
            self.submit(batch)
        self.drain()

    def forget(self, *names: str) -> None:
        """Forget series; they are announced again when they come back."""
        self._known.difference_update(names)
        self.submit(Evict(tuple(fingerprint(name) for name in names), self.now_ms + 1))
        self.drain()

    def submit(self, body) -> None:
        self._seq += 1
        self.engine.submit([Record(self._seq, self.now_ms, body)])

    def drain(self) -> None:
        assert self.engine.drain(WAIT_S)

    def flush(self) -> None:
        assert self.store.flush(WAIT_S)

    def rows(self, matchers, start_ms: int, end_ms: int) -> dict[str, SeriesRows]:
        found = asyncio.run(self.reader.rows(matchers, start_ms=start_ms, end_ms=end_ms))
        by_name = {dict(series.ref.labels)["__name__"]: series for series in found}
        assert len(by_name) == len(found)
        return by_name

    def times(self, name: str, start_ms: int = 0, end_ms: int = 2**45) -> list[int]:
        """Return the times of a series' rows as scrape numbers."""
        series = self.rows(named(name), start_ms, end_ms).get(name)
        times_ms = [] if series is None else series.ts_ms.tolist()
        return [(at_ms - T0_MS) // STEP_MS for at_ms in times_ms]


@contextmanager
def rig(directory: Path, *, chunk_rows: int = 16):
    made = Rig(directory, chunk_rows=chunk_rows)
    made.store.start()
    made.engine.start()
    try:
        yield made
    finally:
        made.reader.close()
        made.engine.close()
        made.store.close()


def at_ms(scrape: int) -> int:
    return T0_MS + scrape * STEP_MS


def changing(name: str, value: float, scrape: int) -> float:
    if np.isnan(value):
        return value
    return value + (7 * scrape if "_total" in name else scrape * 13 % 10)


FLEET = {"heat": 20.0, "requests_total": 0.0, "cold": -5.0}


def assert_same_rows(one: SeriesRows, other: SeriesRows) -> None:
    for name in ("ts_ms", "values", "scores", "expected", "lower", "upper", "is_anomalous"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize("span", [ALL_MS, (at_ms(37), at_ms(38)), (at_ms(5), at_ms(90))])
def test_rows_put_together_over_all_seams_equal_those_never_cut(tmp_path, span):
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole").mkdir()
    with rig(tmp_path / "cut") as cut, rig(tmp_path / "whole", chunk_rows=480) as whole:
        whole.engine.call(lambda core: core.data.head.seal(0)).result(WAIT_S)  # empty, not short
        for each in (cut, whole):
            for _ in range(10):  # ends and resets before, on and behind the seams
                each.scrape(FLEET, 5)
                each.scrape({"heat": 1.0, "requests_total": STALE})
            each.flush()
            each.scrape(FLEET, 20)
            each.scrape({"requests_total": -300.0}, 20)
        assert cut.store.pending() != []
        found, wanted = cut.rows(EVERYTHING, *span), whole.rows(EVERYTHING, *span)
        assert found.keys() == wanted.keys() == FLEET.keys()
        for name, series in found.items():
            assert_same_rows(series, wanted[name])
        markers = found["requests_total"].values.view(np.uint64) == np.uint64(STALE_BITS)
        assert span != ALL_MS or markers.sum() == 10


def test_band_and_score_of_rows_are_what_the_detector_said(tmp_path):
    said: list[tuple[float, float, float, float]] = []
    with rig(tmp_path) as made:
        for _ in range(100):
            made.scrape({"requests_total": 0.0})
            out = made.core.data._out  # one row a scrape
            said.append((out.features[0], out.scores[0], out.expected[0], out.half[0]))
        series = made.rows(named("requests_total"), *ALL_MS)["requests_total"]
    feature, score, expected, half = np.array(said).T
    assert np.isnan(feature[0]) and (feature[1:] == 7.0).all()  # a rate, over every seam
    judged = ~np.isnan(half)
    assert judged.sum() > 50
    np.testing.assert_allclose(series.scores, score, atol=1 / 16)
    np.testing.assert_allclose((series.upper - series.lower)[judged] / 2, half[judged], rtol=1 / 16)
    off = np.abs(series.expected - expected)[judged]
    assert (off <= np.abs(feature - expected)[judged] / 16 + 1e-4 * half[judged]).all()
    assert np.isnan(series.expected[~judged]).all()


def test_rows_that_leave_memory_while_they_are_read_are_shown_once(tmp_path):
    for n_more in (1, 5, 16, 40):
        directory = tmp_path / str(n_more)
        directory.mkdir()
        with rig(directory) as made:
            made.scrape(FLEET, 37)

            def go_on(made: Rig = made, n_more: int = n_more) -> None:
                made.scrape(FLEET, n_more)
                made.flush()

            made.engine.after_call = go_on
            assert made.times("heat") == list(range(1, 38))


def test_a_span_that_begins_in_the_memory_of_one_series_misses_no_rows_of_another(tmp_path):
    """Groups seal at different times, so memory reaches back to different times."""
    many = {f"m{n}": float(n) for n in range(200)}
    with rig(tmp_path) as made:
        made.scrape(many, 50)
        for start in range(30, 50):
            found = made.rows(EVERYTHING, at_ms(start), at_ms(50))
            assert len(found) == 200
            assert {len(series.ts_ms) for series in found.values()} == {51 - start}


def test_newest_rows_are_read_without_any_file(tmp_path):
    with rig(tmp_path) as made:
        made.scrape(FLEET, 40)
        made.flush()
        for path in tmp_path.glob("samples-*"):
            path.write_bytes(b"no database" * 1000)
        newest = int(made.core.data.head.meta[0, 0])
        assert made.times("heat", at_ms(41 - newest)) == list(range(41 - newest, 41))


@pytest.mark.parametrize("is_flushed", [True, False])
def test_a_forgotten_series_is_still_found_beside_live_ones(tmp_path, is_flushed):
    with rig(tmp_path) as made:
        made.scrape(FLEET, 10)
        made.forget("cold")
        if is_flushed:
            made.flush()
        made.scrape({"heat": 1.0}, 3)
        found = made.rows(EVERYTHING, at_ms(4), at_ms(13))
        assert {name: len(series.ts_ms) for name, series in found.items()} == {
            "heat": 10,
            "cold": 7,
            "requests_total": 7,
        }
        assert made.times("cold") == list(range(1, 11))


def test_a_span_after_a_forgotten_series_shows_nothing_of_it(tmp_path):
    with rig(tmp_path) as made:
        made.scrape(FLEET, 10)
        made.forget("cold")
        made.flush()
        made.scrape({"heat": 1.0}, 5)
        assert made.times("cold", at_ms(11)) == []


def test_a_reused_slot_shows_nothing_of_its_former_series(tmp_path):
    with rig(tmp_path) as made:
        made.scrape({"former_total": 0.0}, 30)
        made.forget("former_total")
        made.scrape({"newcomer_total": 500.0}, 30)
        assert made.core.data.table.n_slots == 1
        made.flush()
        assert made.times("newcomer_total") == list(range(31, 61))
        assert made.times("former_total") == list(range(1, 31))
        series = made.rows(named("newcomer_total"), *ALL_MS)["newcomer_total"]
        assert np.isnan(series.expected[0])  # no rate across the change of series


@pytest.mark.parametrize("is_flushed", [True, False])
def test_a_series_that_came_back_in_another_slot_has_all_its_rows(tmp_path, is_flushed):
    with rig(tmp_path) as made:
        made.scrape({"cron": 1.0}, 30)
        made.forget("cron")
        made.scrape({f"m{n}": 1.0 for n in range(40)}, 20)  # takes its slot
        made.scrape({"cron": 1.0}, 30)
        if is_flushed:
            made.flush()
        assert made.times("cron") == [*range(1, 31), *range(51, 81)]
        assert made.times("cron", at_ms(20), at_ms(60)) == [*range(20, 31), *range(51, 61)]


def test_live_and_forgotten_series_are_listed(tmp_path):
    async def listed(made: Rig, **settings) -> list[str]:
        found = await made.reader.series((), **({"start_ms": 0, "end_ms": 2**45} | settings))
        return [dict(found_labels)["__name__"] for found_labels in found]

    with rig(tmp_path) as made:
        made.scrape(FLEET, 10)
        made.forget("cold")
        assert asyncio.run(listed(made)) == ["cold", "heat", "requests_total"]
        made.flush()
        assert asyncio.run(listed(made)) == ["cold", "heat", "requests_total"]
        assert asyncio.run(listed(made, limit=2)) == ["cold", "heat"]
        assert asyncio.run(listed(made, start_ms=at_ms(11))) == ["heat", "requests_total"]


def test_names_values_and_metadata_are_those_of_live_series(tmp_path):
    entry = MetricMetadata("heat", "gauge", "how hot", "")

    async def asked(reader: LiveReader):
        names = await reader.label_names(())
        values = await reader.label_values("__name__", (named("heat"), named("cold")))
        return names, values, await reader.metadata()

    with rig(tmp_path) as made:
        made.scrape(FLEET, 2)
        made.submit(MetadataBatch((entry,)))
        made.forget("cold")
        expected = ["__name__", "job"], ["heat"], [entry]
        assert asyncio.run(asked(made.reader)) == expected


def test_a_changed_kind_judges_older_rows_as_they_were(tmp_path):
    with rig(tmp_path) as made:
        made.scrape({"jobs": 100.0}, 30)
        made.submit(MetadataBatch((MetricMetadata("jobs", "counter"),)))
        made.scrape({"jobs": 100.0}, 30)
        made.flush()
        series = made.rows(named("jobs"), *ALL_MS)["jobs"]
    assert len(series.ts_ms) == 60
    assert 95 < np.nanmean(series.expected[20:30]) < 115  # its value
    assert abs(np.nanmean(series.expected[55:])) < 110  # per second
