"""The rows of the store benchmark: values as services send them, judged by the real detector."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiops.config import Config
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.domain.labels import Labels, labels_from
from aiops.domain.records import Record
from aiops.domain.samples import F64, I64, U64, SampleBatch
from aiops.store.head import JudgedRows
from aiops.wire.labels import encode_labels
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS

KINDS = ("gauge_4_digits", "gauge_4_kib", "counter", "lognormal", "small_int")
"""A percentage or load of four digits; memory in pages; bytes counted; latencies; pool sizes."""
NAMES = {kind: f"bench_{kind}{'_total' if kind == 'counter' else ''}" for kind in KINDS}
SERIES_A_QUERY = 100


@dataclass(frozen=True, slots=True)
class StoreWorkload:
    """`n_scrapes` samples of `n_series` series, all sent in one order, kinds taking turns.

    Series are numbered in the order of their slots. `block` are a hundred neighbours, as the
    series of one target are; `stripe` a hundred that lie far apart, as those of one metric are.
    """

    n_series: int
    n_scrapes: int

    def labels(self, i: int) -> Labels:
        """Return the label set of a series."""
        n_stripes = max(self.n_series // SERIES_A_QUERY, 1)
        return labels_from(
            {
                "__name__": NAMES[KINDS[i % len(KINDS)]],
                "block": str(i // SERIES_A_QUERY),
                "instance": f"10.0.{i // 250 % 250}.{i % 250}:9090",
                "job": "bench",
                "series": str(i),
                "stripe": str(i % n_stripes),
            }
        )

    def values(self) -> F64:
        """Return the values, a row a scrape and a column a series."""
        rng = np.random.default_rng(SEED)
        columns = np.empty((self.n_scrapes, self.n_series))
        for k, kind in enumerate(KINDS):
            own = columns[:, k :: len(KINDS)]
            own[:] = _values(kind, rng, *own.shape)
        return columns

    def ts_ms(self, scrape: int) -> int:
        """Return the time of a scrape."""
        return START_MS + scrape * STEP_MS

    def fingerprints(self) -> U64:
        """Return made-up fingerprints, in the order of slots."""
        return np.random.default_rng(SEED).integers(1, 2**64, self.n_series, np.uint64)

    def records(self) -> Iterator[Record]:
        """Yield a journal record a scrape; the first announces all series."""
        fingerprints, values = self.fingerprints(), self.values()
        blocks = tuple(encode_labels(self.labels(i)) for i in range(self.n_series))
        for scrape in range(self.n_scrapes):
            ts_ms = np.full(self.n_series, self.ts_ms(scrape))
            news = (tuple(fingerprints.tolist()), blocks) if scrape == 0 else ((), ())
            batch = SampleBatch(fingerprints, ts_ms, values[scrape], *news)
            yield Record(scrape + 1, self.ts_ms(scrape), batch)

    def judged(self, n_scrapes: int) -> list[JudgedRows]:
        """Return the last scrapes with the detector's verdicts; values serve as features."""
        detect, slots = Config().detect, np.arange(self.n_series, dtype=np.int32)
        bank, kept = SeasonalBank(detect, self.n_series), []
        for scrape, values in enumerate(self.values()):
            out, ts_ms = ScoreColumns.allocate(self.n_series), self._times(scrape)
            bank.score_learn(slots, ts_ms, values, out)
            mask = np.zeros(self.n_series, np.uint8)
            verdicts = (out.features, out.scores, out.expected, out.half, mask)
            if scrape >= self.n_scrapes - n_scrapes:
                kept.append(JudgedRows(slots, ts_ms, values.view(np.uint64), *verdicts))
        return kept

    def _times(self, scrape: int) -> I64:
        return np.full(self.n_series, self.ts_ms(scrape))


def _values(kind: str, rng: np.random.Generator, n_scrapes: int, n_series: int) -> F64:
    shape = (n_scrapes, n_series)
    if kind == "lognormal":
        return np.exp(rng.normal(size=shape))
    if kind == "small_int":
        return rng.poisson(3.0, shape).astype(np.float64)
    if kind == "counter":
        rates = rng.lognormal(4.0, 1.5, n_series)
        return np.cumsum(rng.poisson(rates, shape), axis=0).astype(np.float64)
    walks = np.cumsum(rng.normal(size=shape), axis=0)
    if kind == "gauge_4_kib":
        return 4096.0 * np.rint(20_000.0 + 50.0 * walks)
    return np.round(50.0 + walks * 0.5, 2)
