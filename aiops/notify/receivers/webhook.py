"""A webhook: the planned JSON by POST, with idempotency key and signature."""

import aiohttp

from aiops.clock import Clock
from aiops.config import ReceiverConfig
from aiops.domain.action import Notification
from aiops.notify import signing
from aiops.notify.receivers.http import post


class WebhookReceiver:
    """Posts messages to one address.

    Parameters
    ----------
    secret
        Key that signs bodies, None for no signature.
    """

    def __init__(
        self,
        config: ReceiverConfig,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        secret: bytes | None,
    ) -> None:
        self.name = config.name
        self._config = config
        self._session = session
        self._clock = clock
        self._secret = secret

    async def deliver(self, message: Notification) -> None:
        """Post the message. Raises DeliveryError."""
        await post(
            self._session,
            self._config.url,
            body=message.body,
            headers=self._headers(message),
            timeout_s=self._config.timeout_s,
        )

    def _headers(self, message: Notification) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.key,
            "X-Aiops-Delivery": message.key,
        }
        if self._secret is not None:
            at_s = self._clock.now_ms() // 1000
            headers[signing.HEADER] = signing.sign(self._secret, message.body, at_s=at_s)
        return headers
