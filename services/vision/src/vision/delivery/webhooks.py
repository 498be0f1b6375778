"""Calls about webhooks: created, changed, tried, listed, deleted; their secrets rotated, their dead
letters replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from servicekit.clock import Clock, now_micros
from servicekit.keys.keyring import SigningKeys
from servicekit.outbound.fetch import UriForbidden, UriUnreadable
from servicekit.outbound.posting import Poster
from servicekit.rpc.requests import Pages
from vision.domain import webhooks
from vision.domain.deliveries import TrialDelivery, headers, trial_message
from vision.domain.errors import WebhookInvalid, WebhookKeysMissing, WebhookNotFound
from vision.domain.webhooks import DeadLetter, Webhook, WebhookState
from vision.record import Record

_LETTERS = Pages[DeadLetter](50, 500, lambda letter: (letter.watch_id, letter.sequence), (str, int))


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The webhooks of a process's catalogs."""

    record: Record
    keys: SigningKeys
    """Keys of the operator's file, which secrets are derived from."""
    poster: Poster
    clock: Clock = now_micros

    async def create(
        self, catalog_id: str, webhook_id: str, uri: str, watch_ids: Sequence[str]
    ) -> tuple[WebhookState, str]:
        """Create a webhook. Return it with its secret; without, if an equal one exists. Raises
        WebhookInvalid, UriForbidden, WebhookExists, WebhooksFull, WebhookKeysMissing."""
        asked = self._allowed(webhook_id, uri, watch_ids)
        now, keys = self.clock(), self.keys()
        secret = webhooks.new_secret(keys, now)
        made = replace(asked, secrets=(secret,), create_micros=now)
        state, new = await self.record.create_webhook(catalog_id, made)
        if not new:
            return state, ""
        return state, webhooks.secret_text(secret, catalog_id, webhook_id, keys)

    async def update(
        self, catalog_id: str, webhook_id: str, uri: str, watch_ids: Sequence[str]
    ) -> WebhookState:
        """Replace the address and the watches of a webhook. Raises WebhookNotFound, WebhookInvalid,
        UriForbidden."""
        return await self.record.update_webhook(
            catalog_id, self._allowed(webhook_id, uri, watch_ids)
        )

    def _allowed(self, webhook_id: str, uri: str, watch_ids: Sequence[str]) -> Webhook:
        asked = webhooks.checked(webhook_id, uri, watch_ids)
        try:
            self.poster.check(uri)
        except UriForbidden as error:
            raise error.at("uri") from None
        return asked

    async def send_test(self, catalog_id: str, webhook_id: str) -> TrialDelivery:
        """Send a test message once. Raises WebhookNotFound, WebhookKeysMissing."""
        webhook, now = await self._found(catalog_id, webhook_id), self.clock()
        valid = webhooks.signing(webhook, catalog_id, now, self.keys())
        if not valid:
            raise WebhookKeysMissing
        body, message_id = trial_message(catalog_id, webhook_id, now), f"test_{token_hex(16)}"

        def signed() -> Mapping[str, str]:
            return headers(message_id, self.clock() // 10**6, body, valid)

        try:
            answer = await self.poster.post(webhook.uri, signed, body)
        except (UriForbidden, UriUnreadable) as error:
            return TrialDelivery(message_id, failure=error.message)
        failure = "" if answer.accepted else f"status {answer.status}"
        return TrialDelivery(message_id, answer.status, failure)

    async def _found(self, catalog_id: str, webhook_id: str) -> Webhook:
        """Return a webhook. Raises WebhookNotFound."""
        for state in await self.record.webhook_states(catalog_id):
            if state.webhook.webhook_id == webhook_id:
                return state.webhook
        raise WebhookNotFound

    async def states(self, catalog_id: str) -> list[WebhookState]:
        """Return the webhooks of a catalog by id."""
        return await self.record.webhook_states(catalog_id)

    async def rotate(
        self, catalog_id: str, webhook_id: str, overlap_micros: int
    ) -> tuple[WebhookState, str]:
        """Add a secret to a webhook. Return both. Raises WebhookNotFound, WebhookInvalid,
        WebhookKeysMissing."""
        if not 0 <= overlap_micros <= webhooks.MOST_OVERLAP_MICROS:
            raise WebhookInvalid.at("overlap", "must be 0 to 7 days")
        while True:
            found = await self._found(catalog_id, webhook_id)
            now, keys = self.clock(), self.keys()
            secret = webhooks.new_secret(keys, now)
            rotated = found.rotated(secret, overlap_micros)
            state = await self.record.rotate_webhook(catalog_id, rotated, found)
            if state is not None:
                return state, webhooks.secret_text(secret, catalog_id, webhook_id, keys)

    async def delete(self, catalog_id: str, webhook_id: str) -> bool:
        """Delete a webhook. Return whether it existed."""
        return await self.record.delete_webhook(catalog_id, webhook_id)

    async def dead_letters(
        self, catalog_id: str, webhook_id: str, *, size: int, token: str
    ) -> tuple[list[DeadLetter], str]:
        """Return a page of dead letters, and the next page's token. Raises WebhookNotFound,
        PageSizeInvalid, PageTokenInvalid."""
        return await _LETTERS.read(
            *((catalog_id, "dead-letters", webhook_id), size, token),
            lambda place, limit: self.record.dead_letters(
                *(catalog_id, webhook_id, place or ("", 0), limit)
            ),
        )

    async def replay(self, catalog_id: str, webhook_id: str, alert_ids: Sequence[str]) -> int:
        """Deliver dead letters again; without ids: all. Return their number. Raises
        WebhookNotFound, WebhookInvalid."""
        if len(alert_ids) > webhooks.MOST_REPLAYED:
            raise WebhookInvalid.at("alert_ids", f"has more than {webhooks.MOST_REPLAYED} entries")
        return await self.record.replay(catalog_id, webhook_id, alert_ids)
