"""What a receiver is, and how it says that a delivery failed."""

from typing import Protocol

from aiops.domain.action import Notification
from aiops.errors import ActionError


class DeliveryError(ActionError):
    """A message was not taken; `retry_after_s` is the receiver's own wish, 0 when it has none.

    `retryable` says whether another try may succeed: a repetition is harmless here, because
    every message carries its idempotency key.
    """

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float = 0.0) -> None:
        super().__init__(message, retryable=retryable)
        self.retry_after_s = retry_after_s


class Receiver(Protocol):
    """A target of notifications."""

    @property
    def name(self) -> str:
        """The name in config, logs, metrics and keys."""
        ...

    async def deliver(self, message: Notification) -> None:
        """Hand the message over; return only when it was taken.

        Raises
        ------
        DeliveryError
            When it was not taken, or nobody knows whether it was.
        """
        ...
