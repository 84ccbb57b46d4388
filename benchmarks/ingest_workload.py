"""The bodies of the ingest benchmark: the same bytes for every server, made from one seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiops.domain.labels import Labels, labels_from
from aiops.domain.samples import F64
from aiops.evaluate.remote_write_encode import ScrapeEncoder, encode_snappy
from aiops.wire.labels import encode_labels

STEP_MS = 15_000
"""Prometheus' usual scrape interval."""
N_CHECKED = 24
"""Series read back from each server after its run."""

_COUNTERS = (
    *("http_requests_total", "http_request_duration_seconds_count", "rpc_retries_total"),
    *("http_response_size_bytes_sum", "container_cpu_usage_seconds_total"),
)
_GAUGES = (
    *("http_requests_in_flight", "container_memory_working_set_bytes", "queue_oldest_age_seconds"),
    *("connection_pool_open_connections", "jvm_memory_pool_used_bytes"),
)
_HANDLERS = ("/api/v1/orders/{id}", "/api/v1/carts/{id}/items", "/healthz", "/api/v1/search")
_METHODS = ("GET", "POST")
_APPS = ("checkout", "catalog", "payments", "shipping", "accounts", "search-gateway")
_HEX = "bcdfghjklmnpqrstvwxz2456789"  # the letters Kubernetes uses in pod names


@dataclass(frozen=True, slots=True)
class Workload:
    """What is pushed: `n_rounds` scrapes of `n_series` series, the first creating them.

    Parameters
    ----------
    n_series, per_request, n_rounds
        Series, series a request, and scrapes in all.
    end_ms
        Time of the last scrape in epoch milliseconds.
    counter_share
        Share of the series that only grow (0..1); the others are random walks of three decimals.
    """

    n_series: int
    per_request: int
    n_rounds: int
    end_ms: int
    seed: int
    counter_share: float = 0.5

    @property
    def start_ms(self) -> int:
        """Time of the first scrape."""
        return self.end_ms - (self.n_rounds - 1) * STEP_MS

    def rounds(self) -> Iterator[list[bytes]]:
        """Yield the request bodies of each scrape; equal bytes at each call."""
        blocks = [encode_labels(self.labels(i)) for i in range(self.n_series)]
        cuts = range(0, self.n_series, self.per_request)
        encoders = [ScrapeEncoder(blocks[cut : cut + self.per_request]) for cut in cuts]
        for k, values in enumerate(self.values()):
            ts_ms = self.start_ms + k * STEP_MS
            parts = (values[cut : cut + self.per_request] for cut in cuts)
            yield [
                encode_snappy(encoder.encode(ts_ms, part))
                for encoder, part in zip(encoders, parts, strict=True)
            ]

    def values(self) -> Iterator[F64]:
        """Yield the values of all series, scrape by scrape."""
        rng = np.random.default_rng(self.seed)
        level = np.round(rng.lognormal(6.0, 1.5, self.n_series), 3)
        step = level * 0.01
        is_counter = np.array([_is_counter(i, self.counter_share) for i in range(self.n_series)])
        for _ in range(self.n_rounds):
            yield level.copy()
            moves = rng.standard_normal(self.n_series) * step
            level = np.round(level + np.where(is_counter, np.rint(np.abs(moves) * 50), moves), 3)

    def labels(self, i: int) -> Labels:
        """Return ten labels of series `i`, as Kubernetes and Prometheus give them."""
        names = _COUNTERS if _is_counter(i, self.counter_share) else _GAUGES
        pod_idx, rest = divmod(i, 40)
        app = _APPS[pod_idx % len(_APPS)]
        octets = (pod_idx >> 16 & 255, pod_idx >> 8 & 255, pod_idx & 255)
        return labels_from(
            {
                "__name__": names[rest % 5],
                "cluster": "eu-west-1",
                "container": app,
                "handler": _HANDLERS[rest // 5 % 4],
                "instance": "10.{}.{}.{}:9090".format(*octets),
                "job": app,
                "method": _METHODS[rest // 20],
                "namespace": "shop",
                "node": f"ip-10-{octets[0]}-{octets[1]}-{octets[2] // 16}",
                "pod": f"{app}-{_word(pod_idx // 64, 9)}-{_word(pod_idx, 5)}",
            }
        )

    def checked(self) -> list[int]:
        """Return the series that are read back, spread over the whole range."""
        return [int(i) for i in np.linspace(0, self.n_series - 1, N_CHECKED)]


def _is_counter(series: int, share: float) -> bool:
    # A multiplier coprime to 1000 spreads the counters evenly among the series of a pod.
    return series * 617 % 1000 < share * 1000


def _word(number: int, length: int) -> str:
    number = (number + 1) * 2_654_435_761 % len(_HEX) ** length
    letters = []
    for _ in range(length):
        number, k = divmod(number, len(_HEX))
        letters.append(_HEX[k])
    return "".join(letters)
