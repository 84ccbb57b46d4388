"""An alert as Alertmanager knows it: labels, annotations, start, end, firing or resolved."""

from dataclasses import dataclass

from aiops.domain.labels import Labels


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one webhook delivery, judged by its own status.

    `ends_at_ms` is 0 for a firing alert. `fingerprint` is Alertmanager's 16 hex digits.
    """

    fingerprint: str
    labels: Labels
    annotations: Labels
    is_firing: bool
    starts_at_ms: int
    ends_at_ms: int
    generator_url: str = ""
    group_key: str = ""
