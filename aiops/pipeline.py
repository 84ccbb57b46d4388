"""The flow as one literal: the core's `apply(record) -> effects`.

A pure function of the journal: synchronous, time comes with the record, nothing random. Recovery,
replay and live operation all are the same calls in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from aiops.config import Config
from aiops.correlate.correlator import Correlator
from aiops.dataplane import Arrays, DataPlane
from aiops.domain.action import ActionOutcome
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import IncidentChange
from aiops.domain.records import (
    AlertBatch,
    Command,
    Evict,
    MetadataBatch,
    Record,
    Tick,
)
from aiops.domain.samples import MetricMetadata, SampleBatch
from aiops.errors import SnapshotError
from aiops.notify.plan import plan_notifications
from aiops.notify.rules import ReceiverRule
from aiops.remediate.plan import plan_actions
from aiops.remediate.playbook import Playbook
from aiops.store.head import SealedBlock

STATE_VERSION = 1
"""Grows when a snapshot of an older release cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one record asks of the shell: incidents to write, rows to keep."""

    effects: tuple[IncidentEffect, ...] = ()
    sealed: tuple[SealedBlock, ...] = ()


class Core:
    """The deterministic half of the service.

    Parameters
    ----------
    config
        The whole configuration; the core keeps what it needs.
    receivers, playbooks
        Who is told and what may be done.
    external_url
        Address of this service for links in messages.
    """

    def __init__(
        self,
        config: Config,
        *,
        receivers: Sequence[ReceiverRule],
        playbooks: Sequence[Playbook],
        external_url: str,
    ) -> None:
        self.data = DataPlane(config)
        self.correlator = Correlator(config.correlate)
        self.applied_seq = 0
        self._remediate = config.remediate
        self._receivers = tuple(receivers)
        self._playbooks = tuple(playbooks)
        self._external_url = external_url

    def apply(self, record: Record) -> Applied:
        """Take one record, in order of `seq`, and say what follows from it."""
        changes, sealed = self._dispatch(record)
        self.applied_seq = record.seq
        return Applied(self._plan(record.seq, changes), tuple(sealed))

    def _dispatch(self, record: Record) -> tuple[list[IncidentChange], list[SealedBlock]]:
        now_ms = record.accepted_ms
        match record.body:
            case SampleBatch() as batch:
                outcome = self.data.take(batch, now_ms)
            case MetadataBatch() as metadata:
                outcome = self.data.learn_metadata(metadata, now_ms)
            case Evict() as order:
                outcome = self.data.evict(order, now_ms)
            case Tick():
                outcome = self.data.tick(now_ms)
            case _:
                return self._dispatch_control(record), []
        changes = []
        if outcome.events:
            changes = self.correlator.on_anomalies(outcome.events, seq=record.seq, now_ms=now_ms)
        if isinstance(record.body, Tick):
            changes += self.correlator.on_tick(now_ms=now_ms)
        return changes, outcome.sealed

    def _dispatch_control(self, record: Record) -> list[IncidentChange]:
        now_ms = record.accepted_ms
        match record.body:
            case AlertBatch() as alerts:
                return self.correlator.on_alerts(alerts, seq=record.seq, now_ms=now_ms)
            case Command() as command:
                return self.correlator.on_command(command, now_ms=now_ms)
            case ActionOutcome() as outcome:
                return self.correlator.on_outcome(outcome, now_ms=now_ms)
        raise RuntimeError(f"BUG: no stage for {type(record.body).__name__}")

    def _plan(self, seq: int, changes: Sequence[IncidentChange]) -> tuple[IncidentEffect, ...]:
        effects = []
        for k, change in enumerate(changes):
            notifications = plan_notifications(
                change, self._receivers, seq=seq, k=k, external_url=self._external_url
            )
            actions = plan_actions(change, self._playbooks, self._remediate, seq=seq, k=k)
            effects.append(IncidentEffect(seq, k, change.incident, notifications, actions))
        return tuple(effects)

    def state(self) -> tuple[Arrays, dict[str, object]]:
        """Return arrays (live views) and header facts of a snapshot at `applied_seq`."""
        metadata = [[m.family, m.kind, m.help, m.unit] for m in self.data.table.metadata()]
        # As arrays, since a header holds no more than some MiB; incidents may take more.
        texts: Arrays = {
            "metadata.json": np.frombuffer(orjson.dumps(metadata), np.uint8),
            "correlator.json": np.frombuffer(self.correlator.dump(), np.uint8),
        }
        header: dict[str, object] = {"state_version": STATE_VERSION, "seq": self.applied_seq}
        return {**self.data.state(), **texts}, header

    def restore(self, arrays: Arrays, header: dict[str, object]) -> None:
        """Take over a snapshot into this fresh core; arrays are copied.

        Raises
        ------
        SnapshotError
            When it was made by an incompatible release or lacks a part.
        """
        if header.get("state_version") != STATE_VERSION:
            raise SnapshotError(
                f"snapshot has state version {header.get('state_version')}, this release reads "
                f"{STATE_VERSION}: start the release that wrote it, or move the snapshot away"
            )
        try:
            metadata = orjson.loads(arrays["metadata.json"].tobytes())
            entries = tuple(MetricMetadata(*row) for row in metadata)
            self.data.restore(arrays, MetadataBatch(entries))
            self.correlator.load(arrays["correlator.json"].tobytes())
            self.applied_seq = int(str(header["seq"]))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise SnapshotError(
                f"snapshot lacks a part or has another layout ({error!r}): start the release "
                "that wrote it, or move the snapshot away"
            ) from error
