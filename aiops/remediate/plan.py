"""Which actions a change of an incident calls for: a pure decision, with its reasons."""

from collections.abc import Sequence

from aiops.config import RemediateConfig
from aiops.domain.action import ActionMode, PlannedAction
from aiops.domain.incident import IncidentChange
from aiops.domain.incident_labels import matched_labels
from aiops.domain.matchers import match_all
from aiops.domain.verdict import Verdict, allow, refuse
from aiops.remediate.guard import check_literal_host, check_url, effective_mode
from aiops.remediate.playbook import HttpAction, Playbook
from aiops.remediate.template import (
    BODY_BYTES_MAX,
    check_filled,
    check_filled_url,
    fill_body,
    fill_url,
    placeholder_values,
    strings_in,
)


def plan_actions(
    change: IncidentChange,
    playbooks: Sequence[Playbook],
    config: RemediateConfig,
    *,
    seq: int,
    k: int,
) -> tuple[PlannedAction, ...]:
    """Return one action for each playbook that this change calls for.

    An action that a guard refuses is planned with mode off and the reason, so that the audit
    trail shows it; a playbook that does not apply, or is off, plans nothing.

    Parameters
    ----------
    seq, k
        Position of the change in the journal; it makes the action's key unique and the same
        again when the journal is replayed.
    """
    return tuple(
        _plan(change, playbook, config, position=f"{seq}-{k}")
        for playbook in playbooks
        if judge(change, playbook, config).is_allowed
    )


def judge(change: IncidentChange, playbook: Playbook, config: RemediateConfig) -> Verdict:
    """Return whether a playbook is called for by a change, and why or why not."""
    if effective_mode(ActionMode(config.mode), playbook.mode) is ActionMode.OFF:
        return refuse("mode is off")
    if change.event.value not in playbook.events:
        return refuse(f"{change.event.value} is not among its events")
    if not match_all(playbook.matchers, matched_labels(change.incident)):
        return refuse("the incident does not match")
    return allow(f"{change.event.value} of an incident that matches {playbook.match}")


def action_key(incident_id: str, playbook: str, event: str, position: str) -> str:
    """Return the idempotency key of an action."""
    return f"{incident_id}:{playbook}:{event}:{position}"


def event_of(key: str) -> str:
    """Return the event an action was planned for, from its key."""
    return key.rsplit(":", 2)[1]


def _plan(
    change: IncidentChange, playbook: Playbook, config: RemediateConfig, *, position: str
) -> PlannedAction:
    http = playbook.action.http
    values = placeholder_values(change)
    url, body = fill_url(http.url, values), fill_body(http.body, values)
    verdict = _check_call(http, url, body, values=values, config=config)
    mode = effective_mode(ActionMode(config.mode), playbook.mode)
    called_for = judge(change, playbook, config).reason
    incident_id = change.incident.incident_id
    return PlannedAction(
        key=action_key(incident_id, playbook.name, change.event.value, position),
        playbook=playbook.name,
        action="http",
        incident_id=incident_id,
        mode=mode if verdict.is_allowed else ActionMode.OFF,
        method=http.method,
        url=url,
        body=body,
        reason=f"{called_for}; {verdict.reason}",
    )


def _check_call(
    http: HttpAction,
    url: str,
    body: bytes,
    *,
    values: dict[str, str],
    config: RemediateConfig,
) -> Verdict:
    verdicts = (
        check_filled([http.url, *strings_in(http.body)], values),
        check_filled_url(url),
        check_literal_host(url),
        _check_size(body),
    )
    refused = [verdict for verdict in verdicts if not verdict.is_allowed]
    return refused[0] if refused else check_url(url, config.url_allow)


def _check_size(body: bytes) -> Verdict:
    if len(body) > BODY_BYTES_MAX:
        return refuse(f"the body is larger than {BODY_BYTES_MAX} bytes")
    return allow("the body is small enough")
