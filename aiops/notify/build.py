"""From the notify section of the config to a dispatcher, its receivers and their keepers."""

import random
from dataclasses import dataclass

import aiohttp
from prometheus_client import CollectorRegistry

from aiops.clock import Clock
from aiops.config import NotifyConfig, ReceiverConfig
from aiops.errors import ConfigError
from aiops.notify.metrics import NotifyMetrics
from aiops.notify.outbox import OutboxDispatcher, RetryPolicy
from aiops.notify.receivers.alertmanager import AlertmanagerKeeper, AlertmanagerReceiver
from aiops.notify.receivers.base import Receiver
from aiops.notify.receivers.webhook import WebhookReceiver
from aiops.store.base import StateAccess


@dataclass(frozen=True, slots=True)
class NotifyParts:
    """What has to run: `dispatcher.run()`, and `run()` of every keeper."""

    dispatcher: OutboxDispatcher
    keepers: tuple[AlertmanagerKeeper, ...]


def build_notify(
    config: NotifyConfig,
    *,
    session: aiohttp.ClientSession,
    state: StateAccess,
    clock: Clock,
    registry: CollectorRegistry,
) -> NotifyParts:
    """Return the parts that deliver notifications.

    Raises
    ------
    ConfigError
        When a secret cannot be read; one line for each.
    """
    metrics = NotifyMetrics(registry)
    secrets = _secrets(config)
    receivers: list[Receiver] = []
    keepers: list[AlertmanagerKeeper] = []
    for item in config.receivers:
        if item.kind == "webhook":
            secret = secrets[item.name]
            receivers.append(WebhookReceiver(item, session, clock, secret=secret))
        else:
            alertmanager = AlertmanagerReceiver(item, session, clock, state=state)
            receivers.append(alertmanager)
            interval_s = item.resend_interval_s
            keepers.append(AlertmanagerKeeper(alertmanager, metrics, clock, interval_s=interval_s))
    policy = RetryPolicy(config.attempts_max, config.backoff_s_max, random.random)
    dispatcher = OutboxDispatcher(state, receivers, policy=policy, clock=clock, metrics=metrics)
    return NotifyParts(dispatcher, tuple(keepers))


def _secrets(config: NotifyConfig) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    problems: list[str] = []
    for receiver in config.receivers:
        try:
            found[receiver.name] = _secret(receiver)
        except (OSError, KeyError, ValueError) as error:
            problems.append(f"notify.receivers {receiver.name}: secret cannot be read: {error}")
    if problems:
        raise ConfigError(tuple(problems))
    return found


def _secret(receiver: ReceiverConfig) -> bytes | None:
    if receiver.secret is None:
        return None
    secret = receiver.secret.read()
    if not secret:
        raise ValueError("it is empty")  # an empty key would sign, and anybody could forge it
    return secret
