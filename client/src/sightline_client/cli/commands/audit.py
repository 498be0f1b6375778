"""``sightline audit``"""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sightline.common.v1 import audit_service_pb2
from sightline_client.cli.base import options, running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import LONG, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work import auditing
from sightline_client.values.audit_chain import ChainBroken

T = TypeVar("T")

app = Commands(
    no_args_is_help=True,
    help="List administrative and destructive calls with their callers; verify, archive and drop"
    " their entries.",
)

_HEAD = re.compile(r"(retriever|ranker):([1-9]\d{0,18}):([0-9a-f]{64})")


@app.command("list")
def list_entries(
    *,
    since: Annotated[
        datetime | None, options.moment(f"Only at or after this time{options.ZONE}")
    ] = None,
    before: Annotated[datetime | None, options.moment("Only before this time.")] = None,
    caller: Annotated[str, options.words(metavar="NAME")] = "",
    top: options.Newest = 50,
    page: Annotated[str, options.words(metavar="TOKEN")] = "",
    suite: Suite,
) -> None:
    """List administrative and destructive calls with their callers, newest first.

    sightline audit list --since 2026-11-01 --caller import
    sightline audit list --json | jq '.entries[] | select(.code != "OK")'

    Args:
        caller: Only calls of this caller; default: all callers.
        page: Page token that the previous list printed.
    """
    request = audit_service_pb2.ListAuditEntriesRequest(
        catalog_id=suite.catalog, caller=caller, page_size=top, page_token=page
    )
    if since is not None:
        request.from_time.CopyFrom(options.timestamp(since, "--since"))
    if before is not None:
        request.before_time.CopyFrom(options.timestamp(before, "--before"))
    suite.call(lambda calls: calls.admin.ListAuditEntries, request, listings.audit)


def _heads(values: list[str]) -> dict[str, dict[int, bytes]]:
    heads: dict[str, dict[int, bytes]] = {}
    for value in values:
        if not (found := _HEAD.fullmatch(value)):
            raise typer.BadParameter(
                _(
                    "{value!r} is not STORE:NUMBER:HASH, as this command and the gateway's "
                    "log print it",
                    value=value,
                ),
                param_hint="--head",
            )
        heads.setdefault(found[1], {})[int(found[2])] = bytes.fromhex(found[3])
    return heads


@app.command()
def verify(
    *,
    archives: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...")] = None,
    head: Annotated[list[str] | None, options.words(metavar="STORE:NUMBER:HASH")] = None,
    suite: Suite = LONG,
) -> None:
    """Verify that no audit entry is missing, changed, inserted or moved.

    Each store chains the entries of a catalog by hash, so the first bad entry is named, and the
    exit code is 1. The end of each chain is printed: given to a later run with --head, it proves
    that the chain was not rebuilt since. Archives are verified without the suite.

    sightline audit verify
    sightline audit verify --head "$(cat head.txt)"
    sightline audit verify archives/audit-default-retriever-1-1204.jsonl

    Args:
        archives: Archives to verify instead of the suite's entries, oldest first.
        head: End of a chain as it was printed or logged before; may be repeated.
    """
    known = _heads(head or [])
    if archives:
        found = running.guarded(lambda: _unbroken(lambda: auditing.verify_files(archives)))
    else:
        found = _unbroken(lambda: suite.run(lambda client: auditing.verify(client, known)))
    if suite.json:
        running.show_facts({"chains": [listings.chain_facts(each) for each in found]})
    else:
        running.show(listings.audit_chains(found))


@app.command()
def archive(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER")],
    before: Annotated[datetime, options.moment(f"Entries before this time{options.ZONE}")],
    suite: Suite = LONG,
) -> None:
    """Write verified archives of old audit entries, a file for each store that has some.

    Nothing is deleted: see `sightline audit drop`.

    sightline audit archive archives --before 2026-08-01

    Args:
        folder: Existing folder for the archives.
    """
    until = options.in_zone(before)
    written = _unbroken(lambda: suite.run(lambda client: auditing.archive(client, folder, until)))
    if suite.json:
        facts = [listings.chain_facts(segment) | {"file": str(path)} for path, segment in written]
        running.show_facts({"archives": facts})
        return
    for path, segment in written:
        entries = segment.count + segment.unchained
        running.show(
            phrase("{path}: {entries:,} entries", path=path, entries=entries),
            whole_lines=True,
        )
    if not written:
        running.show(phrase("No chained entries are older."))


@app.command()
def drop(
    *,
    archive: Annotated[Path, typer.Argument(metavar="FILE")],
    suite: Suite = LONG,
) -> None:
    """Delete the audit entries of an archive from their store.

    The store keeps entries for RETRIEVER_AUDIT_DAYS or RANKER_AUDIT_DAYS, and rejects deletions of
    younger ones. Its chain continues from the archive's seal.

    sightline audit drop archives/audit-default-retriever-1-1204.jsonl

    Args:
        archive: Archive of the entries; it is verified first.
    """
    (segment,) = running.guarded(lambda: _unbroken(lambda: auditing.verify_files([archive])))
    if segment.catalog != suite.catalog:
        raise typer.BadParameter(
            _("the archive is of catalog {catalog}: name it with --catalog", segment),
            param_hint="FILE",
        )
    count = suite.run(lambda client: auditing.drop(client, segment))
    if suite.json:
        running.show_facts({"dropped": count})
    else:
        running.show(phrase("{count:,} entries dropped from the {store}", segment, count=count))


def _unbroken(work: Callable[[], T]) -> T:
    """Return the work's value; name the first bad entry and exit with 1 if a chain is broken."""
    try:
        return work()
    except ChainBroken as error:
        running.refuse("AUDIT_BROKEN", str(error))
