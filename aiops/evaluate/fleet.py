"""A simulated fleet: services that call one another, their metrics, and faults injected on order.

Everything follows from the seed, the times asked for and the faults injected; the noise drawn is
the same with and without a fault, so two runs differ by the fault alone.
"""

import math
from dataclasses import dataclass

import numpy as np

from aiops.clock import DAY_MS
from aiops.domain.labels import Labels, labels_from
from aiops.domain.samples import F64
from aiops.evaluate.faults import Fault, FaultKind
from aiops.evaluate.graph import build_graph
from aiops.wire.labels import encode_labels

JOB = "fleet-sim"
METRICS: tuple[tuple[str, dict[str, str]], ...] = (
    ("http_requests_total", {"code": "200"}),
    ("http_requests_total", {"code": "500"}),
    ("request_latency_seconds", {"quantile": "0.95"}),
    ("cpu_usage_ratio", {}),
    ("memory_bytes", {}),
    ("queue_depth", {}),
    ("up", {}),
)
"""The series of one instance; the columns hold all instances of the first, then the second, ..."""

DAILY_SWING_RATIO = 0.25
"""Chosen: mild, so that two hours of history hold a visible slope and no whole cycle."""

LATENCY_FACTOR = 4.0
ERROR_RATIO = 0.2
CPU_SATURATED_RATIO = 0.97
LEAK_FACTOR = 2.5
DROP_ADMITTED_RATIO = 0.15
"""How hard a fault hits its own service."""


@dataclass(frozen=True, slots=True)
class FleetColumns:
    """One scrape of the whole fleet.

    Parameters
    ----------
    ts_ms
        The time all samples share.
    blocks
        Canonical label blocks, one a series; the same object in every scrape of a fleet.
    values
        float64, parallel to `blocks`; owned by the caller.
    """

    ts_ms: int
    blocks: tuple[bytes, ...]
    values: F64


@dataclass(slots=True)
class _Harm:
    """What faults do to each service at one time: factors, shares, and floors, one a service."""

    admitted_ratio: F64
    latency: F64
    error_ratio: F64
    cpu_floor: F64
    memory: F64
    queue: F64

    @classmethod
    def none(cls, n: int) -> "_Harm":
        return cls(np.ones(n), np.ones(n), np.zeros(n), np.zeros(n), np.ones(n), np.ones(n))


class Fleet:
    """About forty services with two or three instances each, and seven series an instance.

    Parameters
    ----------
    seed
        Decides the graph, the services' characters and all noise.
    n_services
        At least 5, one a layer.

    Notes
    -----
    Load reaches the gateway with a daily swing and a slow common drift, flows down the call
    graph, and drives CPU, latency and queues. Drifts are Ornstein-Uhlenbeck, so their strength
    does not depend on the spacing of the scrapes. There are no retries, no restarts and no lost
    scrapes: this world is kinder than a real one and says nothing about detection quality.
    """

    def __init__(self, seed: int, n_services: int = 40) -> None:
        self._rng = np.random.default_rng(seed)
        self.graph = build_graph(self._rng, n_services)
        n_instances = self._rng.integers(2, 3, n_services, endpoint=True)
        self._service_of = np.repeat(np.arange(n_services), n_instances)
        self._n_instances = n_instances.astype(np.float64)
        self.labels = self._name_series(n_instances.tolist())
        self.blocks = tuple(encode_labels(labels) for labels in self.labels)
        self._faults: list[Fault] = []
        self._ts_ms: int | None = None
        self._draw_characters()

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services, from the gateway downwards."""
        return self.graph.names

    def inject(self, fault: Fault) -> None:
        """Let a fault do its harm during its span.

        Raises
        ------
        ValueError
            When the fleet has no such service.
        """
        if fault.service not in self.services:
            raise ValueError(f"no service named {fault.service!r} in the fleet")
        self._faults.append(fault)

    def truth(self) -> tuple[Fault, ...]:
        """Return every fault injected so far, in order of injection."""
        return tuple(self._faults)

    def active_faults(self, ts_ms: int) -> tuple[Fault, ...]:
        """Return the faults that do harm at a time."""
        return tuple(fault for fault in self._faults if fault.is_active(ts_ms))

    def metrics_at(self, ts_ms: int) -> FleetColumns:
        """Return the scrape at a time, which must be later than that of the call before.

        Raises
        ------
        ValueError
            When time runs backwards: counters cannot be undone.
        """
        if self._ts_ms is not None and ts_ms <= self._ts_ms:
            raise ValueError(f"scrape at {ts_ms} ms does not follow the one at {self._ts_ms} ms")
        span_s = 0.0 if self._ts_ms is None else (ts_ms - self._ts_ms) / 1000.0
        self._ts_ms = ts_ms
        self._drift(span_s)
        values = self._observe(ts_ms, span_s)
        return FleetColumns(ts_ms, self.blocks, values)

    def _name_series(self, n_instances: list[int]) -> tuple[Labels, ...]:
        places = [
            {"job": JOB, "service": name, "instance": f"{name}-{k}:8080", "simulated": "true"}
            for name, count in zip(self.graph.names, n_instances, strict=True)
            for k in range(count)
        ]
        return tuple(
            labels_from({"__name__": metric, **extra, **place})
            for metric, extra in METRICS
            for place in places
        )

    def _draw_characters(self) -> None:
        rng, n = self._rng, len(self.services)
        height = self.graph.depths.max() - self.graph.depths
        self._usual_load = self.graph.load_per_s(np.ones(n))
        self._latency_s = rng.uniform(0.01, 0.03, n) * 1.8**height  # callers wait for callees
        self._error_ratio = rng.uniform(0.008, 0.015, n)
        self._cpu_ratio = rng.uniform(0.25, 0.5, n)
        self._memory_bytes = rng.uniform(2e8, 2e9, n)
        self._queue_depth = rng.uniform(8.0, 30.0, n)
        rate = self._usual_load / self._n_instances
        age_s = rng.uniform(3600, 5 * 86_400, len(self._service_of))
        requests = rate[self._service_of] * age_s
        errors = self._error_ratio[self._service_of]
        self._counters = np.stack([requests * (1.0 - errors), requests * errors])
        self._common_drift, self._service_drift = 0.0, np.zeros(n)
        self._memory_drift = np.zeros(len(self._service_of))

    def _drift(self, span_s: float) -> None:
        rng = self._rng
        noise = rng.standard_normal(1 + len(self._service_drift) + len(self._memory_drift))
        n = len(self._service_drift)
        keep = math.exp(-span_s / 900.0)
        self._common_drift = self._common_drift * keep + 0.04 * _rest(keep) * float(noise[0])
        keep = math.exp(-span_s / 300.0)
        self._service_drift = self._service_drift * keep + 0.02 * _rest(keep) * noise[1 : n + 1]
        keep = math.exp(-span_s / 600.0)
        self._memory_drift = self._memory_drift * keep + 0.02 * _rest(keep) * noise[n + 1 :]

    def _observe(self, ts_ms: int, span_s: float) -> F64:
        harm = self._harm_at(ts_ms)
        owner = self._service_of
        noise = self._rng.standard_normal((6, len(owner)))
        swing = 1.0 + DAILY_SWING_RATIO * math.sin(2.0 * math.pi * (ts_ms % DAY_MS) / DAY_MS)
        load = self.graph.load_per_s(harm.admitted_ratio) * swing
        load = load * np.exp(self._common_drift + self._service_drift)
        busy = (load / self._usual_load)[owner]
        rate = (load / self._n_instances)[owner] * np.exp(0.03 * noise[0])
        self._count(rate * span_s, harm, 0.2 * noise[1])
        latency = (self._latency_s * harm.latency)[owner] * (0.7 + 0.3 * busy)
        cpu = np.maximum(self._cpu_ratio[owner] * busy, harm.cpu_floor[owner])
        memory = (self._memory_bytes * harm.memory)[owner] * np.exp(self._memory_drift)
        queue = (self._queue_depth * harm.queue)[owner] * busy
        gauges = (
            latency * np.exp(0.06 * noise[2]),
            np.minimum(cpu * (1.0 + 0.03 * noise[3]), 1.0),
            np.rint(memory * (1.0 + 0.003 * noise[4])),
            np.maximum(np.rint(queue * (1.0 + 0.2 * noise[5])), 0.0),
            np.ones(len(owner)),
        )
        return np.concatenate((np.floor(self._counters).ravel(), *gauges))

    def _count(self, requests: F64, harm: _Harm, noise: F64) -> None:
        usual = self._error_ratio[self._service_of] * np.exp(noise)
        ratio = np.minimum(usual + harm.error_ratio[self._service_of], 1.0)
        self._counters += np.stack([requests * (1.0 - ratio), requests * ratio])

    def _harm_at(self, ts_ms: int) -> _Harm:
        harm = _Harm.none(len(self.services))
        for fault in self.active_faults(ts_ms):
            target = self.services.index(fault.service)
            _hurt(harm, fault, target, ts_ms)
            _hurt_callers(harm, fault, list(self.graph.callers(target)))
        return harm


def _rest(keep: float) -> float:
    """Return the factor of fresh noise that keeps an Ornstein-Uhlenbeck drift's strength."""
    return math.sqrt(max(1.0 - keep * keep, 0.0))


def _hurt(harm: _Harm, fault: Fault, target: int, ts_ms: int) -> None:
    match fault.kind:
        case FaultKind.LATENCY:
            harm.latency[target] *= LATENCY_FACTOR
            harm.queue[target] *= LATENCY_FACTOR
        case FaultKind.ERRORS:
            harm.error_ratio[target] += ERROR_RATIO
        case FaultKind.CPU:
            harm.cpu_floor[target] = CPU_SATURATED_RATIO
            harm.latency[target] *= 2.0
            harm.queue[target] *= 3.0
        case FaultKind.MEMORY_LEAK:
            harm.memory[target] *= 1.0 + (LEAK_FACTOR - 1.0) * fault.progress(ts_ms)
        case FaultKind.TRAFFIC_DROP:
            harm.admitted_ratio[target] *= DROP_ADMITTED_RATIO


def _hurt_callers(harm: _Harm, fault: Fault, callers: list[int]) -> None:
    match fault.kind:
        case FaultKind.LATENCY:
            harm.latency[callers] *= 1.0 + (LATENCY_FACTOR - 1.0) * fault.caller_fraction
        case FaultKind.ERRORS:
            harm.error_ratio[callers] += ERROR_RATIO * fault.caller_fraction
        case FaultKind.CPU:
            harm.latency[callers] *= 1.0 + fault.caller_fraction
        case FaultKind.MEMORY_LEAK | FaultKind.TRAFFIC_DROP:
            pass
