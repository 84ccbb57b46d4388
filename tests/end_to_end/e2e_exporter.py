"""A small shop that Prometheus scrapes, with a fault that can be switched on."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from e2e_hook import serving

FAULT_FACTOR = 4.0
LATENCY_S = {"checkout": 0.2, "payments": 0.12}
NOISE_RATIO = 0.05
REQUESTS_PER_SCRAPE = 20


class Shop:
    """Latency and request counts of two services; only checkout can be at fault."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._requests = dict.fromkeys(LATENCY_S, 0)
        self._lock = threading.Lock()
        self.is_slow = False
        self.n_scrapes = 0

    def exposition(self) -> str:
        """Return one scrape in Prometheus' text format."""
        with self._lock:
            self.n_scrapes += 1
            lines = ["# TYPE shop_latency_seconds gauge", "# TYPE shop_requests_total counter"]
            for service, latency_s in LATENCY_S.items():
                factor = FAULT_FACTOR if self.is_slow and service == "checkout" else 1.0
                noise = self._random.gauss(1.0, NOISE_RATIO)
                labels = f'{{service="{service}"}}'
                self._requests[service] += self._random.randint(
                    REQUESTS_PER_SCRAPE - 3, REQUESTS_PER_SCRAPE + 3
                )
                lines.append(f"shop_latency_seconds{labels} {latency_s * factor * noise!r}")
                lines.append(f"shop_requests_total{labels} {self._requests[service]}")
            return "\n".join(sorted(lines)) + "\n"


@contextmanager
def shop_exporter(seed: int) -> Iterator[tuple[Shop, str]]:
    """Serve a shop's metrics on a free loopback port; yield the shop and its address."""
    shop = Shop(seed)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = shop.exposition().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Handler) as url:
        yield shop, url
