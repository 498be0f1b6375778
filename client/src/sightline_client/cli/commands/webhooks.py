"""``sightline webhooks``"""

from datetime import timedelta
from typing import Annotated

from rich.console import RenderableType
from rich.text import Text

from sightline_client.cli.base import options
from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable, moment
from sightline_client.cli.work.plain_commands import (
    Given,
    PlainCommands,
    argument,
    deleted,
    texts,
    top,
)
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret


def _tested(answer: WebhookTest) -> RenderableType:
    if answer.accepted:
        return phrase("accepted, status {status}", status=answer.http_status)
    return phrase("not accepted: {failure}", answer)


def _with_secret(made: WebhookWithSecret) -> RenderableType:
    if not made.secret:
        return phrase(
            "the webhook exists; if its secret was lost: {command}",
            command=f"sightline webhooks rotate {made.webhook.webhook_id}",
        )
    return Text(_("secret, which is not shown again: {secret}", made), overflow="fold")


def _fails(value: Webhook) -> str:
    if not value.failure:
        return "–"
    return _(
        "{failure}, {attempts} times, next at {time}",
        value,
        attempts=value.attempt_count,
        time=moment(value.next_attempt_time),
    )


_webhooks = ValueTable(
    Webhook,
    {
        "webhook": "webhook_id",
        "address": "uri",
        "watches": lambda each: ", ".join(each.watch_ids) or _("all"),
        "fails": _fails,
        "dead letters": "dead_letter_count",
    },
    empty="No webhooks.",
)
_dead_letters = ValueTable(
    DeadLetter,
    {
        "watch": "watch_id",
        "alert": "alert_id",
        "since": "create_time",
        "failure": "failure",
        "state": lambda each: _("being delivered again") if each.replaying else _("dead"),
    },
    empty="No dead letters.",
)

app = PlainCommands(
    help="Deliver alerts of watches to addresses, as signed messages.", table=_webhooks
)
_WEBHOOK = argument("webhook", "WEBHOOK", "Id of the webhook, 1 to 128 bytes.", to="webhook_id")
_RECEIVER = (
    _WEBHOOK,
    argument("uri", "URI", "Address of the receiver, of a host that VISION_WEBHOOK_HOSTS allows."),
    texts("watch", "WATCH", "Only alerts of this watch. Repeatable.", to="watch_ids"),
)
app.call(
    "create",
    "Create a webhook, and show its secret, which is not shown again.",
    "webhooks create till https://alerts.shop.example/sightline --watch till-camera",
    SightlineClient.create_webhook,
    *_RECEIVER,
    shows=_with_secret,
)
app.call(
    "update",
    "Replace the address and the watches of a webhook. Its secret stays.",
    "webhooks update till https://alerts.shop.example/new --watch till-camera",
    SightlineClient.update_webhook,
    *_RECEIVER,
)
app.call(
    "test",
    "Send a signed test message once, and show what the receiver answers.",
    "webhooks test till",
    SightlineClient.send_test_delivery,
    _WEBHOOK,
    shows=_tested,
)
app.call(
    "list",
    "List the webhooks of the catalog, with what fails.",
    "webhooks list",
    SightlineClient.list_webhooks,
)
app.call(
    "rotate",
    """Add a secret to a webhook, and show it. Messages are signed with both until the former one
    ends, so that the receiver can be changed in between.""",
    "webhooks rotate till --overlap-hours 2",
    SightlineClient.rotate_webhook_secret,
    _WEBHOOK,
    Given(
        "overlap_hours",
        Annotated[
            float,
            options.number(
                "HOURS", 0, 168, help="For how long the former secret signs too, 0 to 168."
            ),
        ],
        24.0,
        to="overlap",
        by=lambda hours: timedelta(hours=hours),
    ),
    shows=_with_secret,
)
app.call(
    "delete",
    "Delete a webhook with its dead letters. What was not delivered yet is not sent.",
    "webhooks delete till",
    SightlineClient.delete_webhook,
    _WEBHOOK,
    shows=deleted(later("there was no such webhook")),
)
app.rows(
    "dead-letters",
    "List alerts that the receiver did not accept in time, by watch and sequence.",
    "webhooks dead-letters till --top 100",
    "webhooks.ListDeadLetters",
    _WEBHOOK,
    top("Maximum number.", 20, 500),
    reads=from_wire.dead_letter,
    shows=_dead_letters,
)
app.call(
    "replay",
    "Deliver dead letters again.",
    "webhooks replay till",
    SightlineClient.replay_deliveries,
    _WEBHOOK,
    texts(
        "alert",
        "ALERT",
        "Only the dead letter of this alert. Repeatable. Default: all.",
        to="alert_ids",
    ),
    shows=lambda count: phrase(
        "{alerts} are being delivered again", alerts=counted(count, "alert", "alerts")
    ),
)
