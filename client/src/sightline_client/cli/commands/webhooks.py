"""``sightline webhooks``"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from rich.console import RenderableType
from rich.text import Text

from sightline.retriever.v1 import webhook_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid
from sightline_client.cli.show.tables import counted
from sightline_client.convert import from_wire
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret

app = Commands(
    no_args_is_help=True,
    help="Deliver alerts of watches to addresses, as signed messages.",
)

WebhookId = Annotated[str, options.argument("WEBHOOK", "Id of the webhook, 1 to 128 bytes.")]
ReceiverUri = Annotated[
    str,
    options.argument(
        "URI", "Address of the receiver, of a host that RETRIEVER_WEBHOOK_HOSTS allows."
    ),
]
OnlyWatches = Annotated[
    list[str] | None,
    options.words("--watch", metavar="WATCH", help="Only alerts of this watch. Repeatable."),
]


@app.command()
def create(
    *,
    webhook: WebhookId,
    uri: ReceiverUri,
    watch: OnlyWatches = None,
    suite: Suite,
) -> None:
    """Create a webhook, and show its secret, which is not shown again.

    [bold]Example[/bold]

      sightline webhooks create till https://alerts.shop.example/sightline --watch till-camera
    """
    suite.answer(
        lambda client: client.create_webhook(webhook, uri, watch_ids=watch or []), _with_secret
    )


@app.command()
def update(
    *,
    webhook: WebhookId,
    uri: ReceiverUri,
    watch: OnlyWatches = None,
    suite: Suite,
) -> None:
    """Replace the address and the watches of a webhook. Its secret stays.

    [bold]Example[/bold]

      sightline webhooks update till https://alerts.shop.example/new --watch till-camera
    """
    suite.answer(
        lambda client: client.update_webhook(webhook, uri, watch_ids=watch or []),
        lambda changed: _webhooks([changed]),
    )


@app.command("test")
def try_out(*, webhook: WebhookId, suite: Suite) -> None:
    """Send a signed test message once, and show what the receiver answers.

    [bold]Example[/bold]

      sightline webhooks test till
    """
    suite.answer(lambda client: client.send_test_delivery(webhook), _tested)


@app.command("list")
def list_(*, suite: Suite) -> None:
    """List the webhooks of the catalog, with what fails.

    [bold]Example[/bold]

      sightline webhooks list
    """
    suite.answer(lambda client: client.list_webhooks(), _webhooks)


@app.command()
def rotate(
    *,
    webhook: WebhookId,
    overlap_hours: Annotated[
        float,
        options.number("HOURS", "For how long the former secret signs too, 0 to 168.", 0, 168),
    ] = 24.0,
    suite: Suite,
) -> None:
    """Add a secret to a webhook, and show it. Messages are signed with both until the former one
    ends, so that the receiver can be changed in between.

    [bold]Example[/bold]

      sightline webhooks rotate till --overlap-hours 2
    """
    overlap = timedelta(hours=overlap_hours)
    suite.answer(
        lambda client: client.rotate_webhook_secret(webhook, overlap=overlap), _with_secret
    )


@app.command()
def delete(*, webhook: WebhookId, suite: Suite) -> None:
    """Delete a webhook with its dead letters. What was not delivered yet is not sent.

    [bold]Example[/bold]

      sightline webhooks delete till
    """
    suite.answer(
        lambda client: client.delete_webhook(webhook),
        lambda deleted: Text(_("deleted") if deleted else _("there was no such webhook")),
    )


@app.command("dead-letters")
def dead_letters(
    *,
    webhook: WebhookId,
    top: Annotated[int, options.number("N", "Maximum number.", 1, 500)] = 20,
    suite: Suite,
) -> None:
    """List alerts that the receiver did not accept in time, by watch and sequence.

    [bold]Example[/bold]

      sightline webhooks dead-letters till --top 100
    """
    suite.call(
        lambda calls: calls.webhooks.ListDeadLetters,
        pb.ListDeadLettersRequest(catalog_id=suite.catalog, webhook_id=webhook, page_size=top),
        lambda answer: _dead_letters([from_wire.dead_letter(x) for x in answer.dead_letters]),
    )


@app.command()
def replay(
    *,
    webhook: WebhookId,
    alert: Annotated[
        list[str] | None,
        options.words(
            "--alert",
            metavar="ALERT",
            help="Only the dead letter of this alert. Repeatable. Default: all.",
        ),
    ] = None,
    suite: Suite,
) -> None:
    """Deliver dead letters again.

    [bold]Example[/bold]

      sightline webhooks replay till
    """
    suite.answer(
        lambda client: client.replay_deliveries(webhook, alert or []),
        lambda count: Text(
            _("{alerts} are being delivered again", alerts=counted(count, "alert", "alerts"))
        ),
    )


def _tested(answer: WebhookTest) -> RenderableType:
    if answer.accepted:
        return Text(_("accepted, status {status}", status=answer.http_status))
    return Text(_("not accepted: {failure}", failure=answer.failure))


def _with_secret(made: WebhookWithSecret) -> RenderableType:
    if not made.secret:
        return Text(
            _("the webhook exists; if its secret was lost: {command}", command=_rotation(made))
        )
    return Text(
        _("secret, which is not shown again: {secret}", secret=made.secret), overflow="fold"
    )


def _rotation(made: WebhookWithSecret) -> str:
    return f"sightline webhooks rotate {made.webhook.webhook_id}"


def _webhooks(values: Sequence[Webhook]) -> RenderableType:
    rows = [
        (
            each.webhook_id,
            each.uri,
            ", ".join(each.watch_ids) or _("all"),
            _fails(each),
            f"{each.dead_letter_count:,}",
        )
        for each in values
    ]
    columns = _("webhook"), _("address"), _("watches"), _("fails"), _("dead letters")
    return grid(columns, rows) if values else Text(_("No webhooks."))


def _fails(value: Webhook) -> str:
    if not value.failure:
        return "–"
    return _(
        "{failure}, {attempts} times, next at {time}",
        failure=value.failure,
        attempts=value.attempt_count,
        time=_time(value.next_attempt_time),
    )


def _dead_letters(values: Sequence[DeadLetter]) -> RenderableType:
    rows = [
        (
            each.watch_id,
            each.alert_id,
            _time(each.create_time),
            each.failure,
            _("being delivered again") if each.replaying else _("dead"),
        )
        for each in values
    ]
    columns = _("watch"), _("alert"), _("since"), _("failure"), _("state")
    return grid(columns, rows) if values else Text(_("No dead letters."))


def _time(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"
