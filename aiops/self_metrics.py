"""The core's own numbers as metrics; the core is pure and registers none itself."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aiops.derived_watch import DerivedWatch
from aiops.detect.absence import Absence
from aiops.detect.budget import AlarmBudget
from aiops.detect.challenger import Tally
from aiops.detect.rules import DetectionRules
from aiops.detect.veto import Vetoes
from aiops.forecast_watch import ForecastWatch
from aiops.group_watch import GroupWatch
from aiops.pipeline import Core
from aiops.series.kernels import intake, quality
from aiops.series.quality import QualityState

_FATES = {
    "unknown_series": intake.N_UNKNOWN,
    "duplicate": intake.N_DUPLICATE,
    "out_of_order": intake.N_OUT_OF_ORDER,
    "conflict": intake.N_CONFLICT,
}

_ODDITIES = {
    "gap": quality.N_GAP,
    "late": quality.N_LATE,
    "backfill": quality.N_BACKFILL,
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
        yield from _derived_metrics(data.derived)
        yield from _quality_metrics(data.quality, data.notes.vetoes)
        yield _gauge("aiops_detect_anomalies_open", "Open anomalies", data.episodes.open_now)
        shed = CounterMetricFamily(
            "aiops_detect_anomalies_shed", "Anomalies not opened for a bound"
        )
        shed.add_metric([], data.episodes.shed_total)
        yield shed
        yield from _budget_metrics(data.budget)
        yield from _rule_metrics(data.rules)
        yield from _challenger_metrics(data.challenger_tallies())
        yield from _absence_metrics(data.absence)
        yield from _group_metrics(data.groups)
        yield from _forecast_metrics(data.forecasts)
        overflow = CounterMetricFamily("aiops_correlate_overflow_signals", "Signals without a home")
        overflow.add_metric([], correlator.overflow_signals)
        yield overflow


def register_core_metrics(core: Core, registry: CollectorRegistry) -> None:
    """Show the core's numbers in a registry."""
    registry.register(CoreCollector(core))


def _derived_metrics(derived: DerivedWatch) -> Iterator[Metric]:
    yield _gauge("aiops_series_derived_live", "Derived series", derived.n_live)
    yield _gauge(
        "aiops_series_histograms_live",
        "Histograms that are judged by their quantiles and rate",
        derived.histograms.n_live,
    )
    yield _gauge("aiops_series_ratios_live", "Ratios that are derived", derived.ratios.n_live)
    rows = CounterMetricFamily("aiops_series_derived_rows", "Samples of derived series")
    rows.add_metric([], derived.rows_total)
    yield rows
    refused = CounterMetricFamily(
        "aiops_series_derived_refused",
        "Buckets that nobody judges and series that count for no ratio, since derived.series_max "
        "was met; derived series that were not made, since their fingerprint was taken",
        labels=["reason"],
    )
    n_refused = derived.histograms.refused_total + derived.ratios.refused_total
    refused.add_metric(["series_max"], n_refused)
    refused.add_metric(["collision"], derived.refused_total)
    yield refused


def _quality_metrics(state: QualityState, vetoes: Vetoes) -> Iterator[Metric]:
    odd = CounterMetricFamily(
        "aiops_series_samples_odd",
        "Samples kept although they came after a gap, late, or as part of a backlog",
        labels=["reason"],
    )
    for reason, index in _ODDITIES.items():
        odd.add_metric([reason], int(state.counts[index]))
    yield odd
    vetoed = CounterMetricFamily(
        "aiops_detect_vetoed",
        "Anomalies held back because the data explains them",
        labels=["reason"],
    )
    for reason, n_vetoed in vetoes.totals.items():
        vetoed.add_metric([reason.value], n_vetoed)
    yield vetoed
    released = CounterMetricFamily(
        "aiops_detect_vetoes_released", "Vetoed anomalies that lasted and were told after all"
    )
    released.add_metric([], vetoes.released_total)
    yield released
    yield _gauge("aiops_detect_vetoed_open", "Open anomalies held back now", vetoes.held_now)


def _budget_metrics(budget: AlarmBudget) -> Iterator[Metric]:
    levels = GaugeMetricFamily(
        "aiops_detect_alarm_level", "-log10 p at which an anomaly opens", labels=["budget"]
    )
    expected = GaugeMetricFamily(
        "aiops_detect_false_anomalies_per_day",
        "False anomalies a day that are expected at that level",
        labels=["budget"],
    )
    for name, level in budget.levels().items():
        levels.add_metric([name], level)
    for name, per_day in budget.false_per_day().items():
        expected.add_metric([name], per_day)
    yield levels
    yield expected


def _rule_metrics(rules: DetectionRules) -> Iterator[Metric]:
    series = GaugeMetricFamily(
        "aiops_detect_rule_series", "Live series that a rule holds for", labels=["rule"]
    )
    rows = CounterMetricFamily(
        "aiops_detect_rule_rows",
        "Rows that a rule left out as invalid, made to count for nothing (of those that scored "
        "3 or more), or found beyond a threshold",
        labels=["rule", "fate"],
    )
    for counts in rules.counts():
        series.add_metric([counts.place], counts.n_series)
        rows.add_metric([counts.place, "invalid"], counts.n_invalid)
        rows.add_metric([counts.place, "sifted"], counts.n_sifted)
        rows.add_metric([counts.place, "beyond"], counts.n_beyond)
    yield series
    yield rows


def _challenger_metrics(tallies: Mapping[str, Tally]) -> Iterator[Metric]:
    scored = CounterMetricFamily(
        "aiops_detect_challenger_rows", "Rows that a challenger scored", labels=["detector"]
    )
    mean = GaugeMetricFamily(
        "aiops_detect_challenger_score_mean",
        "Mean score of a challenger, 0.43 if it is calibrated",
        labels=["detector"],
    )
    anomalies = CounterMetricFamily(
        "aiops_detect_challenger_anomalies",
        "Anomalies on a challenger's series: that it would have opened, or that were opened",
        labels=["detector", "by"],
    )
    shared = CounterMetricFamily(
        "aiops_detect_challenger_anomalies_shared",
        "Those of them with a row in one of the other side",
        labels=["detector", "by"],
    )
    for name, tally in tallies.items():
        scored.add_metric([name], tally.n_rows)
        mean.add_metric([name], tally.score_mean)
        anomalies.add_metric([name, "challenger"], tally.n_own)
        anomalies.add_metric([name, "champion"], tally.n_champion)
        shared.add_metric([name, "challenger"], tally.n_own_shared)
        shared.add_metric([name, "champion"], tally.n_champion_shared)
    yield from (scored, mean, anomalies, shared)


def _absence_metrics(absence: Absence) -> Iterator[Metric]:
    yield _gauge(
        "aiops_detect_absences_open", "Series and groups that are absent or late", absence.open_now
    )
    shed = CounterMetricFamily("aiops_detect_absences_shed", "Absences not opened for a bound")
    shed.add_metric([], absence.shed_total)
    yield shed


def _group_metrics(groups: GroupWatch) -> Iterator[Metric]:
    live = GaugeMetricFamily(
        "aiops_detect_groups_live", "Entities, and groups of replicas", labels=["detector"]
    )
    opened = GaugeMetricFamily(
        "aiops_detect_group_anomalies_open",
        "Open anomalies of entities, and of replicas among their peers",
        labels=["detector"],
    )
    refused = CounterMetricFamily(
        "aiops_detect_group_series_refused",
        "Series left out of entities or of groups of replicas for a bound",
        labels=["detector"],
    )
    for name, n_live, part in (
        ("group", groups.entities.n_entities, groups.entities),
        ("peers", groups.peers.n_groups, groups.peers),
    ):
        live.add_metric([name], n_live)
        opened.add_metric([name], part.open_now)
        refused.add_metric([name], part.refused_total)
    yield live
    yield opened
    yield refused


def _forecast_metrics(forecasts: ForecastWatch) -> Iterator[Metric]:
    yield _gauge(
        "aiops_detect_forecast_series", "Series whose trend is learnt", forecasts.n_watched
    )
    refused = CounterMetricFamily(
        "aiops_detect_forecast_series_refused",
        "Series that detect.forecast names and that are not watched for a bound",
    )
    refused.add_metric([], forecasts.refused_total)
    yield refused
    yield _gauge("aiops_detect_forecasts_open", "Series about to reach a bound", forecasts.open_now)
    shed = CounterMetricFamily("aiops_detect_forecasts_shed", "Forecasts not opened for a bound")
    shed.add_metric([], forecasts.shed_total)
    yield shed


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
