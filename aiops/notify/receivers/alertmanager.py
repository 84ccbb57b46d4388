"""Alertmanager as a receiver: an incident is one alert, kept firing until it is resolved.

Alertmanager knows an alert by its labels. Those of an incident change when its severity rises or
its evidence shares less, which makes a new alert there; the old one has to be resolved. What was
sent before is read from the outbox, so nothing else needs remembering.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import orjson

from aiops.clock import Clock
from aiops.config import ReceiverConfig
from aiops.domain.action import Notification
from aiops.domain.incident import IncidentEventKind, IncidentState
from aiops.errors import StoreError
from aiops.notify.bodies import rfc3339
from aiops.notify.metrics import NotifyMetrics
from aiops.notify.receivers.base import DeliveryError
from aiops.notify.receivers.http import post
from aiops.store.base import StateAccess
from aiops.telemetry import LogOnChange

FIRING_INTERVALS = 4
"""As Prometheus does: an alert ends by itself when four resends in a row are missing."""

ALERTS_PER_POST_MAX = 100
"""Chosen: with 200-byte label sets a body stays below 100 KiB."""

OPEN_INCIDENTS_MAX = 100_000
"""The largest `correlate.incidents_open_max` allows."""

_HEADERS = {"Content-Type": "application/json"}

AlertJson = dict[str, object]

_log = logging.getLogger(__name__)


class AlertmanagerReceiver:
    """Delivers transitions of incidents, and keeps open ones firing.

    One lock orders the two: a resend made of what was read before a resolve must not arrive
    after it and fire again.
    """

    def __init__(
        self,
        config: ReceiverConfig,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        state: StateAccess,
    ) -> None:
        self.name = config.name
        self._config = config
        self._session = session
        self._clock = clock
        self._state = state
        self._lock = asyncio.Lock()

    async def deliver(self, message: Notification) -> None:
        """Send an incident's alert, and the end of those it was known by before.

        Raises DeliveryError, StoreError.
        """
        async with self._lock:
            sent = await self._sent(message.incident_id)
            await self._post(self._transition(message, sent))

    async def resend_open(self) -> int:
        """Send the alert of every open incident again and return how many there are.

        Raises DeliveryError, StoreError.
        """
        async with self._lock:
            alerts = await self._state.run(self._firing_alerts)
            for start in range(0, len(alerts), ALERTS_PER_POST_MAX):
                await self._post(alerts[start : start + ALERTS_PER_POST_MAX])
        return len(alerts)

    async def _sent(self, incident_id: str) -> list[Notification]:
        store = self._state.store
        return await self._state.run(lambda: store.notifications_of(incident_id, self.name))

    def _transition(self, message: Notification, sent: Sequence[Notification]) -> list[AlertJson]:
        now = rfc3339(self._clock.now_ms())
        alerts = [self._with_end(_alert(message))]
        for earlier in sent:
            if earlier.key == message.key:
                break  # what follows was planned later and is delivered later
            former = _alert(earlier)
            if all(former["labels"] != alert["labels"] for alert in alerts):
                alerts.append(former | {"endsAt": _later(now, former)})
        return alerts

    def _firing_alerts(self) -> list[AlertJson]:
        """Return the alerts to repeat: what was planned last for each open incident.

        It does not matter whether that was delivered yet; if not, this does it.
        """
        open_states = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
        alerts: list[AlertJson] = []
        for incident in self._state.store.incidents(open_states, limit=OPEN_INCIDENTS_MAX):
            messages = self._state.store.notifications_of(incident.incident_id, self.name)
            if messages and messages[-1].event != IncidentEventKind.RESOLVED:
                alerts.append(self._with_end(_alert(messages[-1])))
        return alerts

    def _with_end(self, alert: AlertJson) -> AlertJson:
        """Return a firing alert with an end beyond the next resends, a resolved one as it is."""
        if "endsAt" in alert:
            return alert
        span_ms = int(FIRING_INTERVALS * self._config.resend_interval_s * 1000)
        return alert | {"endsAt": _later(rfc3339(self._clock.now_ms() + span_ms), alert)}

    async def _post(self, alerts: Sequence[AlertJson]) -> None:
        await post(
            self._session,
            self._config.url.rstrip("/") + "/api/v2/alerts",
            body=orjson.dumps(alerts),
            headers=_HEADERS,
            timeout_s=self._config.timeout_s,
        )


class AlertmanagerKeeper:
    """Repeats open incidents every interval, else Alertmanager resolves them by time-out.

    Parameters
    ----------
    sleep
        Waits for a number of seconds; `asyncio.sleep` but in tests.
    """

    def __init__(
        self,
        receiver: AlertmanagerReceiver,
        metrics: NotifyMetrics,
        clock: Clock,
        *,
        interval_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._receiver = receiver
        self._metrics = metrics
        self._interval_s = interval_s
        self._sleep = sleep
        self._failures = LogOnChange(_log, clock)

    async def run(self) -> None:
        """Resend at once and then every interval, until cancelled."""
        while True:
            await self.resend()
            await self._sleep(self._interval_s)

    async def resend(self) -> None:
        """Resend once; a failure is logged and counted, the next interval tries again."""
        name = self._receiver.name
        try:
            await self._receiver.resend_open()
        except (DeliveryError, StoreError) as error:
            self._metrics.resends.labels(name, "failed").inc()
            self._failures.failed("resend.failed", str(error), receiver=name)
        else:
            self._metrics.resends.labels(name, "sent").inc()
            self._failures.recovered("resend.recovered", receiver=name)


def _alert(message: Notification) -> AlertJson:
    alerts: list[AlertJson] = orjson.loads(message.body)
    return alerts[0]


def _later(at: str, alert: AlertJson) -> str:
    """Return a time, or the alert's start when that is later: an earlier end is refused (400)."""
    return max(at, str(alert["startsAt"]))  # one spelling and one zone, so texts compare
