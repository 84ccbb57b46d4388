"""What notifications tell about themselves."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class NotifyMetrics:
    """Counters of deliveries and resends, and how much waits in the outbox.

    `outcome` of a delivery is delivered, retried (failed, to be tried again) or given_up; of a
    resend, sent or failed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "aiops_notify_deliveries_total",
            "Attempts to deliver a notification.",
            ["receiver", "outcome"],
            registry=registry,
        )
        self.outbox_pending = Gauge(
            "aiops_notify_outbox_pending",
            "Notifications planned and not yet delivered or given up.",
            registry=registry,
        )
        self.resends = Counter(
            "aiops_notify_resends_total",
            "Rounds in which open incidents were sent to Alertmanager again.",
            ["receiver", "outcome"],
            registry=registry,
        )
        self.store_failures = Counter(
            "aiops_notify_store_failures_total",
            "Rounds of the outbox cut short because the state store failed.",
            registry=registry,
        )
