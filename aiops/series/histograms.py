"""Classic histograms: which series are their buckets, and what the buckets say together."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aiops.config_derived import HistogramsConfig
from aiops.domain.labels import METRIC_NAME, Labels, labels_from
from aiops.domain.samples import F64, I32, I64, U64
from aiops.series.derived import Signals, is_saved, with_rows
from aiops.series.kernels import histograms as layout
from aiops.series.kernels.histograms import k_histograms_take

Arrays = dict[str, npt.NDArray[np.generic]]
LabelsOf = Callable[[int], Labels]

BUCKET_SUFFIX = "_bucket"
BOUND_LABEL = "le"
"""OpenMetrics 1.0, section "Histogram": buckets are X_bucket, their upper bound is the label le."""

RATE = "rate"
"""Operation of the signal that is the number of observations a second."""

_FAMILIES_MIN = 64
_OUT_ROWS = 8192
"""Chosen: signals written at once; they stay in the L2 cache, as 32,768 rows of buckets do."""

Key = Labels
"""Labels of a family: those of its buckets without `le`, with the name of the histogram."""


class Histograms:
    """Windows over the buckets of all families.

    Parameters
    ----------
    config
        Which quantiles, and how many observations they need.
    families_max
        Families; buckets of further ones are in none.
    capacity
        Number of slots.

    Notes
    -----
    *Scrapes.* A scrape of a family is whole once each bucket that reports has a sample of its
    time, in whatever order and requests these come. Then each signal looks at what the buckets
    have increased by since its last value: the rate always has one, a quantile only once enough
    observations have come; else its window goes on, and is given up when it gets too long.

    *Quantiles* are those of Prometheus' `histogram_quantile` (promql/quantile.go, `BucketQuantile`
    of the classic kind): linear within a bucket, the lowest of which begins at 0, the bound of the
    last but one above all others; counts that fall from bucket to bucket are made to rise.

    *Breaks.* After a counter reset, a bucket that is new, ended, or unheard of for five minutes,
    windows begin anew with the next whole scrape, since increases of several buckets then do not
    belong together; what a scrape in which a process restarted had to say is lost.

    *Limits.* No value is finer than the buckets. Of two bucket series with the same bound (`1` and
    `1.0`) the greater counts. Without a bucket `+Inf` there are no signals.

    24 + 8 bytes a signal for each slot, and some 300 bytes a family.
    """

    def __init__(self, config: HistogramsConfig, families_max: int, capacity: int) -> None:
        self.operations = (RATE, *(f"p{_digits(q)}" for q in config.quantiles))
        self.refused_total = 0
        self._families_max = families_max
        self._signals = _signals(config)
        n_signals = len(self.operations)
        self._links: I32 = np.zeros((capacity, layout.LINKS_SIZE), np.int32)
        self._counts: F64 = np.zeros((capacity, layout.WINDOW + n_signals))
        self._families: I64 = np.zeros((_FAMILIES_MIN, layout.START_MS + n_signals), np.int64)
        self._numbers: dict[Key, int] = {}
        self._n_families = 0
        self._free: list[int] = []
        self._progress: I64 = np.zeros(layout.PROGRESS_SIZE, np.int64)
        self._out_keys: I32 = np.empty((_OUT_ROWS, 2), np.int32)
        self._out_ts: I64 = np.empty(_OUT_ROWS, np.int64)
        self._out_bits: U64 = np.empty(_OUT_ROWS, np.uint64)

    @property
    def n_live(self) -> int:
        """Families that have buckets."""
        return len(self._numbers)

    @property
    def n_families(self) -> int:
        """Numbers of families ever in use at once; each is below that."""
        return self._n_families

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        if capacity > len(self._links):
            self._links = with_rows(self._links, capacity)
            self._counts = with_rows(self._counts, capacity)

    def join(self, slot: int, labels: Labels) -> bool:
        """Take a new series in if it is a bucket; tell whether it is, with a family or without."""
        split = split_bucket(labels)
        if split is None:
            return False
        key, bound = split
        family = self._numbers.get(key)
        if family is None:
            if len(self._numbers) >= self._families_max:
                self.refused_total += 1
                return True
            family = self._numbers[key] = self._allocate()
        self._counts[slot] = 0.0
        self._counts[slot, layout.BOUND] = bound
        self._counts[slot, layout.LAST] = math.nan
        self._link(family, slot, bound)
        return True

    def leave(self, slot: int, labels_of: LabelsOf) -> int:
        """Take a bucket out; return its family if that was the last one, else -1."""
        family = int(self._links[slot, layout.FAMILY]) - 1
        if family < 0:
            return -1
        own, before = self._families[family], -1
        member = int(own[layout.FIRST]) - 1
        while member != slot:
            before, member = member, int(self._links[member, layout.NEXT]) - 1
        self._set_next(family, before, int(self._links[slot, layout.NEXT]))
        self._links[slot] = 0
        if not math.isnan(self._counts[slot, layout.LAST]):
            own[layout.MEMBERS] -= 1
            own[layout.IS_BROKEN] = 1
        if own[layout.FIRST]:
            return -1
        own[:] = 0
        split = split_bucket(labels_of(slot))
        assert split is not None, "a bucket of a family has a bound"
        del self._numbers[split[0]]
        self._free.append(family)
        return family

    def has(self, key: Key) -> bool:
        """Tell whether there are buckets of this family."""
        return key in self._numbers

    def families_of(self, slots: I32) -> I32:
        """Return the families that these slots are buckets of, each once."""
        families: I32 = np.unique(self._links[slots, layout.FAMILY]) - np.int32(1)
        return families[families >= 0]

    def key(self, family: int, labels_of: LabelsOf) -> Key:
        """Return the labels of a live family."""
        split = split_bucket(labels_of(int(self._families[family, layout.FIRST]) - 1))
        assert split is not None, "a bucket of a family has a bound"
        return split[0]

    def take(
        self, slots: I32, ts_ms: I64, bits: U64, *, now_ms: int, seen_ms: I64
    ) -> Iterator[Signals]:
        """Take in kept rows; yield what they complete, a block at a time.

        Parameters
        ----------
        slots, ts_ms, bits
            Kept rows, as `k_intake_prepare` writes them.
        now_ms, seen_ms
            Time of arrival of these rows, and of the newest row of each slot, these included.
        """
        if not self._numbers:
            return
        self._progress[:] = 0
        while self._progress[layout.ROW] < len(slots):
            k_histograms_take(
                self._progress,
                slots,
                ts_ms,
                bits,
                now_ms,
                seen_ms,
                self._links,
                self._counts,
                self._families,
                self._signals,
                self._out_keys,
                self._out_ts,
                self._out_bits,
            )
            n = int(self._progress[layout.N_OUT])
            if n:
                keys = self._out_keys[:n]
                yield Signals(keys[:, 0], keys[:, 1], self._out_ts[:n], self._out_bits[:n])

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        return {
            "histograms.operations": np.frombuffer(json.dumps(self.operations).encode(), np.uint8),
            "histograms.links": self._links[:n_slots],
            "histograms.counts": self._counts[:n_slots],
            "histograms.families": self._families[: self._n_families],
            "histograms.free": np.array(self._free, np.int32),
            "histograms.refused": np.array([self.refused_total], np.int64),
        }

    def is_known_to(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> bool:
        """Tell whether a snapshot has families with these signals.

        Raises
        ------
        SnapshotError
            When a part is missing.
        """
        if not is_saved(self.state(0), arrays, "histograms"):
            return False
        return bool(json.loads(arrays["histograms.operations"].tobytes()) == list(self.operations))

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], labels_of: LabelsOf) -> None:
        """Take over a snapshot whose signals are these; families beyond the bound stay."""
        n_slots = len(arrays["histograms.links"])
        self._links[:n_slots] = arrays["histograms.links"]
        self._counts[:n_slots] = arrays["histograms.counts"]
        self._n_families = len(arrays["histograms.families"])
        self._families = with_rows(self._families, max(_FAMILIES_MIN, self._n_families))
        self._families[: self._n_families] = arrays["histograms.families"]
        self._free = arrays["histograms.free"].tolist()
        self.refused_total = int(arrays["histograms.refused"][0])
        for family in np.flatnonzero(self._families[:, layout.FIRST]).tolist():
            self._numbers[self.key(family, labels_of)] = family

    def _allocate(self) -> int:
        if self._free:
            return self._free.pop()
        self._n_families += 1
        if self._n_families > len(self._families):
            self._families = with_rows(self._families, 2 * len(self._families))
        return self._n_families - 1

    def _link(self, family: int, slot: int, bound: float) -> None:
        before, after = -1, int(self._families[family, layout.FIRST])
        while after and self._counts[after - 1, layout.BOUND] <= bound:
            before, after = after - 1, int(self._links[after - 1, layout.NEXT])
        self._links[slot] = (family + 1, after)
        self._set_next(family, before, slot + 1)

    def _set_next(self, family: int, before: int, link: int) -> None:
        if before < 0:
            self._families[family, layout.FIRST] = link
        else:
            self._links[before, layout.NEXT] = link


def split_bucket(labels: Labels) -> tuple[Key, float] | None:
    """Return a bucket's family and upper bound, None for a series that is no bucket."""
    pairs = dict(labels)
    name, bound_text = pairs.get(METRIC_NAME, ""), pairs.pop(BOUND_LABEL, "")
    if not name.endswith(BUCKET_SUFFIX):
        return None
    try:
        bound = float(bound_text)
    except ValueError:
        return None
    if math.isnan(bound):
        return None
    pairs[METRIC_NAME] = name.removesuffix(BUCKET_SUFFIX)
    return labels_from(pairs), bound


def _digits(quantile: float) -> str:
    """Return a quantile as names have it: 50 for 0.5, 999 for 0.999."""
    return f"{quantile:.3f}".removeprefix("0.").rstrip("0").ljust(2, "0")


def _signals(config: HistogramsConfig) -> F64:
    """Return the kernel's table: quantile, least observations, longest window in ms."""
    rows: Sequence[tuple[float, float, float]] = [
        (q, math.ceil(round(config.tail_observations_min / min(q, 1.0 - q), 6)), 0.0)
        for q in config.quantiles
    ]
    table = np.array([(math.nan, 0.0, 0.0), *rows])
    table[:, 2] = 1000.0 * config.window_s
    return table
