"""The record and the network, as webhooks and deliveries use them."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from retriever.domain.deliveries import Delivery, DeliveryStep, Lane, LaneState
from retriever.domain.webhooks import DeadLetter, Webhook, WebhookState


class WebhookRecord(Protocol):
    """The record, as calls about webhooks use it."""

    async def create_webhook(self, catalog_id: str, webhook: Webhook) -> tuple[WebhookState, bool]:
        """Store a webhook. Return it, and whether it was stored: False if an equal one existed.
        Raises WebhookExists, WebhooksFull."""

    async def update_webhook(self, catalog_id: str, changed: Webhook) -> WebhookState:
        """Replace a webhook's address and watches. Raises WebhookNotFound."""

    async def webhook_states(self, catalog_id: str) -> list[WebhookState]:
        """Return the webhooks of a catalog by id."""

    async def rotate_webhook(
        self, catalog_id: str, rotated: Webhook, former: Webhook
    ) -> WebhookState | None:
        """Replace a webhook's secrets; None if it is no longer the `former`."""

    async def delete_webhook(self, catalog_id: str, webhook_id: str) -> bool:
        """Delete a webhook with its lanes and dead letters. Return whether it existed."""

    async def dead_letters(
        self, catalog_id: str, webhook_id: str, after: tuple[str, int], limit: int
    ) -> list[DeadLetter]:
        """Return dead letters by watch and sequence, after a place. Raises WebhookNotFound."""

    async def replay(self, catalog_id: str, webhook_id: str, alert_ids: Sequence[str]) -> int:
        """Begin to replay dead letters; without ids: all. Return their number. Raises
        WebhookNotFound."""


class DeliveryRecord(Protocol):
    """The record, as deliveries use it."""

    def commits(self) -> asyncio.Event | None:
        """See `Database.commits`."""

    async def due_lanes(
        self,
        now_micros: int,
        latest_micros: int,
        busy: Collection[Lane],
        limit: int,
        *,
        catalogs: Sequence[str],
    ) -> tuple[list[Lane], int]:
        """Return lanes of these catalogs with an alert, but the busy ones, that are due at a time,
        and when the next one is due after that; 0: none waits. Lanes that wait for longer than
        `latest_micros` are due: the clock was set back."""

    async def next_delivery(self, lane: Lane) -> Delivery | None:
        """Return the first alert of a lane; None if there is none."""

    async def settle_delivery(
        self, delivery: Delivery, step: DeliveryStep, state: LaneState
    ) -> None:
        """Store what becomes of a delivery, and the state of its lane. Nothing is stored if the
        webhook was deleted, or the lane is past this alert."""

    async def drop_dead_letters(self, before_micros: int) -> int:
        """Delete dead letters of before a time, and lanes of watches that were deleted. Return the
        number of dead letters."""


class Answer(Protocol):
    """Answer of a receiver."""

    @property
    def status(self) -> int: ...
    @property
    def accepted(self) -> bool: ...
    @property
    def retry_after(self) -> float: ...


class Post(Protocol):
    """Sender of messages. See `servicekit.outbound.posting`."""

    def check(self, uri: str) -> None:
        """Raise UriForbidden unless an address is allowed."""

    async def post(self, uri: str, headers: Callable[[], Mapping[str, str]], body: bytes) -> Answer:
        """Post a message. `headers`: called when it is sent. Raises UriForbidden,
        UriUnreadable."""
