"""``sightline audit``"""

from datetime import datetime
from typing import Annotated

from sightline.common.v1 import audit_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings


def audit(
    *,
    since: Annotated[
        datetime | None, options.moment(f"Only at or after this time{options.ZONE}")
    ] = None,
    before: Annotated[datetime | None, options.moment("Only before this time.")] = None,
    caller: Annotated[
        str, options.words(metavar="NAME", help="Only calls of this caller; default: all callers.")
    ] = "",
    top: options.Newest = 50,
    page: Annotated[
        str,
        options.words(metavar="TOKEN", help="Page token that the previous list printed."),
    ] = "",
    suite: Suite,
) -> None:
    """List administrative and destructive calls with their callers, newest first.

    [bold]Examples[/bold]

      sightline audit --since 2026-11-01 --caller import

      sightline audit --json | jq '.entries[] | select(.code != "OK")'
    """
    request = audit_service_pb2.ListAuditEntriesRequest(
        catalog_id=suite.catalog, caller=caller, page_size=top, page_token=page
    )
    if since is not None:
        request.from_time.CopyFrom(options.timestamp(since, "--since"))
    if before is not None:
        request.before_time.CopyFrom(options.timestamp(before, "--before"))
    suite.call(lambda calls: calls.admin.ListAuditEntries, request, listings.audit)
