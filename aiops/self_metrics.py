"""The core's own numbers as metrics; the core is pure and registers none itself."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aiops.pipeline import Core
from aiops.series.kernels import intake

_FATES = {
    "unknown_series": intake.N_UNKNOWN,
    "duplicate": intake.N_DUPLICATE,
    "out_of_order": intake.N_OUT_OF_ORDER,
    "conflict": intake.N_CONFLICT,
}


class CoreCollector(Collector):
    """Reads a few numbers of the core while it works; each is one word, so none is torn."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        """Yield the core's metrics."""
        data, correlator = self._core.data, self._core.correlator
        counts = data.counts
        yield _gauge("aiops_series_live", "Live series", data.table.n_series)
        kept = CounterMetricFamily("aiops_series_samples_kept", "Samples that extended a series")
        kept.add_metric([], int(counts[intake.N_KEPT]))
        yield kept
        dropped = CounterMetricFamily(
            "aiops_series_samples_dropped", "Accepted samples of no use", labels=["reason"]
        )
        for reason, index in _FATES.items():
            dropped.add_metric([reason], int(counts[index]))
        yield dropped
        resets = CounterMetricFamily("aiops_series_counter_resets", "Counters that fell")
        resets.add_metric([], int(counts[intake.N_RESET]))
        yield resets
        yield _gauge("aiops_detect_anomalies_open", "Open anomalies", data.episodes.open_now)
        shed = CounterMetricFamily(
            "aiops_detect_anomalies_shed", "Anomalies not opened for a bound"
        )
        shed.add_metric([], data.episodes.shed_total)
        yield shed
        overflow = CounterMetricFamily("aiops_correlate_overflow_signals", "Signals without a home")
        overflow.add_metric([], correlator.overflow_signals)
        yield overflow


def register_core_metrics(core: Core, registry: CollectorRegistry) -> None:
    """Show the core's numbers in a registry."""
    registry.register(CoreCollector(core))


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
