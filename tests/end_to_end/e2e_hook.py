"""An endpoint that receives webhooks and remembers every call."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from aiops.notify.signing import HEADER, verify


@dataclass(frozen=True, slots=True)
class Call:
    """One POST as it came in, whether its signature fits, and whether it was answered 204."""

    path: str
    key: str
    body: bytes
    is_signed: bool
    is_taken: bool

    def field(self, name: str) -> str:
        return str(orjson.loads(self.body)[name])

    @property
    def incident_id(self) -> str:
        return str(orjson.loads(self.body)["incident"]["incident_id"])


class Hook:
    """What the endpoint received so far, in order."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._refuse_every = 0
        self.url = ""

    def refuse_every(self, n_calls: int) -> None:
        """Answer every so many calls with 503 from now on."""
        self._refuse_every = n_calls

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        """Note a call and tell whether it is taken."""
        verdict = verify(self._secret, body, headers.get(HEADER, ""), now_s=int(time.time()))
        key = headers.get("Idempotency-Key", "")
        with self._lock:
            number = len(self._calls) + 1
            is_taken = not self._refuse_every or number % self._refuse_every != 0
            self._calls.append(Call(path, key, body, verdict.is_allowed, is_taken))
        return is_taken

    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def of_incident(self, incident_id: str, event: str) -> list[Call]:
        return [
            call
            for call in self.calls()
            if call.incident_id == incident_id and call.field("event") == event
        ]


@contextmanager
def hook_endpoint(secret: bytes) -> Iterator[Hook]:
    """Serve a hook on a free loopback port."""
    hook = Hook(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            is_taken = hook.take(self.path, dict(self.headers), body)
            self.send_response(204 if is_taken else 503)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with serving(Handler) as url:
        hook.url = url
        yield hook


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with this handler on a free loopback port and yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
