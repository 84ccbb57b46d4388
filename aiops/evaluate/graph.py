"""A layered graph of services that call one another, from the gateway down to the databases."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64

_EDGE = ("web", "mobile-api", "partner-api", "admin", "search", "auth", "media")
_CORE = (
    *("checkout", "cart", "catalog", "payments", "orders", "shipping", "accounts", "pricing"),
    *("promotions", "reviews", "inventory", "invoices", "returns", "loyalty", "wishlist"),
    *("recommendations", "gift-cards", "notifications"),
)
_BACKEND = (
    *("ledger", "email", "geocoder", "fraud", "tax", "stock", "images", "sessions", "quota"),
    *("ranking", "currency", "labels"),
)
_DATABASES = (
    *("orders-db", "accounts-db", "catalog-db", "sessions-cache", "ledger-db"),
    *("search-index", "stock-db", "events-queue"),
)
_LAYERS = (
    (0.03, ("gateway",)),
    (0.14, _EDGE),
    (0.40, _CORE),
    (0.25, _BACKEND),
    (0.18, _DATABASES),
)
"""Share of the fleet in each layer, gateway first, and the names of an online shop's services."""

GATEWAY_LOAD_PER_S = 3000.0
LOAD_PER_S_MIN = 600.0
"""Chosen: even the quietest service sees several errors a second, so that whole numbers in its
counters do not drown the rate at 1 s steps."""


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """Who calls whom. Services are numbered from the gateway downwards: callers before callees.

    Parameters
    ----------
    names
        One a service.
    depths
        int64 (n,): 0 at the gateway, 4 at a database.
    calls
        float64 (n, n): requests to the column's service for each request to the row's.
    other_load_per_s
        float64 (n,): requests a second that reach a service from outside the graph.
    """

    names: tuple[str, ...]
    depths: npt.NDArray[np.int64]
    calls: F64
    other_load_per_s: F64

    def callers(self, service: int) -> tuple[int, ...]:
        """Return the services that call a service directly."""
        return tuple(np.flatnonzero(self.calls[:, service]).tolist())

    def load_per_s(self, admitted_ratio: F64) -> F64:
        """Return requests a second at every service, callers' losses passed on to callees.

        `admitted_ratio` (n,) is the share of its usual requests that reaches each service.
        """
        load = self.other_load_per_s * admitted_ratio
        for service in range(len(self.names)):
            load[service] += admitted_ratio[service] * (load @ self.calls[:, service])
        return load


def build_graph(rng: np.random.Generator, n_services: int) -> ServiceGraph:
    """Return a random layered graph; each service below the gateway has at least one caller.

    A service calls 1 + Poisson(1.4) services of the next layer (chosen: mostly one to three).
    """
    sizes = _layer_sizes(n_services)
    names = tuple(
        _name(layer_names, k)
        for (_, layer_names), size in zip(_LAYERS, sizes, strict=True)
        for k in range(size)
    )
    calls = np.zeros((n_services, n_services))
    bounds = np.cumsum([0, *sizes])
    for above, middle, below in zip(bounds, bounds[1:], bounds[2:], strict=False):
        _connect(rng, calls, np.arange(above, middle), np.arange(middle, below))
    depths = np.repeat(np.arange(len(sizes)), sizes)
    return ServiceGraph(names, depths, calls, _other_load(calls))


def _layer_sizes(n_services: int) -> list[int]:
    if n_services < len(_LAYERS):
        raise ValueError(f"a fleet has at least {len(_LAYERS)} services, one a layer")
    sizes = [max(1, int(share * n_services)) for share, _ in _LAYERS]
    sizes[2] += n_services - sum(sizes)  # the core takes what rounding left
    return sizes


def _name(names: tuple[str, ...], k: int) -> str:
    name, turn = names[k % len(names)], k // len(names)
    return name if not turn else f"{name}-{turn + 1}"


def _connect(
    rng: np.random.Generator,
    calls: F64,
    callers: npt.NDArray[np.int64],
    callees: npt.NDArray[np.int64],
) -> None:
    for caller in callers:
        n_calls = min(1 + int(rng.poisson(1.4)), len(callees))
        chosen = rng.choice(callees, n_calls, replace=False)
        calls[caller, chosen] = rng.uniform(0.2, 0.7, n_calls)
    for callee in callees:
        if not calls[:, callee].any():
            calls[rng.choice(callers), callee] = rng.uniform(0.2, 0.7)


def _other_load(calls: F64) -> F64:
    other = np.zeros(len(calls))
    other[0] = GATEWAY_LOAD_PER_S
    load = np.zeros(len(calls))
    for service in range(len(calls)):
        load[service] = other[service] + load @ calls[:, service]
        shortfall = max(LOAD_PER_S_MIN - load[service], 0.0)
        other[service] += shortfall
        load[service] += shortfall
    return other
