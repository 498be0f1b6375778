"""``sightline doctor``"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

import typer
from rich.console import Group
from rich.text import Text

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline_client.cli.base import running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands.config import status_and_version
from sightline_client.cli.show.tables import counted, plain
from sightline_client.cli.work import local_suite
from sightline_client.cli.work.local_suite import LocalSuite, at
from sightline_client.cli.work.patience import UNREACHABLE
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.values.operations import Status
from sightline_client.version import VERSION

LEAST_FREE = 2 * 2**30
"""Free bytes below which the disk of a local suite is reported as full."""
MOST_LAG = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, or a next step."""

    problem: str
    fix: str
    wrong: bool = True
    """False for a next step: nothing is broken."""


def unreachable(target: str, local: LocalSuite | None) -> Iterator[Finding]:
    """Yield reasons why no gateway answers at the target. `local`: the suite that was started
    here."""
    if local is not None and local.running:
        return  # of_machine says which of its programs does not listen
    if local is not None:
        if not any(local.taken()):
            yield Finding(f"no suite runs in {local.data}", f"start it: `{local.again}`")
    elif at(target):
        yield Finding(
            f"the program at {target} is not a gateway, or hangs",
            "start the suite on other ports, `make up PORT_BASE=9600`, or name the gateway with"
            " --target",
        )
    else:
        yield Finding(
            f"nothing listens at {target}",
            "start the suite: `make up`, or name the gateway with --target",
        )


def of_machine(local: LocalSuite, free: int) -> Iterator[Finding]:
    """Yield problems of a local suite: disk space, ports. `free`: free bytes on the disk of its
    data.
    """
    if free < LEAST_FREE:
        yield Finding(
            f"{free / 2**30:.1f} GiB are free on the disk of {local.data}: full stores reject "
            f"writes",
            f"free some space; disk usage of the suite: `du -sh {local.data}`",
        )
    if local.running:
        for program, port in local.silent():
            yield Finding(
                f"{program} does not listen on port {port}",
                f"restart everything: `make down`, then `{local.again}`;"
                f" {local.data}/logs/{program}.log holds the reason",
            )
    elif taken := [f"{port} ({program})" for program, port in local.taken()]:
        yield Finding(
            f"no suite runs in {local.data}, and another program has its port {', '.join(taken)}",
            f"end that program, or take other ports: `make up PORT_BASE={local.other_base()}`",
        )


def findings(status: Status, gateway: str) -> Iterator[Finding]:
    """Yield problems of a suite that answers. `gateway`: its version, empty if unknown."""
    for part in status.components:
        if part.error is not None:
            yield Finding(
                f"{part.component} does not answer: {part.error.message}",
                "restart a local suite: `make down`, then `make up`; for another suite, read the "
                "log of {part.component}",
            )
    yield from _versions(status, gateway)
    for space in status.embedder_spaces:
        if not space.ready:
            yield Finding(
                f"the model {space.model} of the space {space.space} does not answer",
                "restart a local suite: `make down`, then `make up`; for another suite, read "
                "Triton's log",
            )
    yield from _catalog(status)
    for advice in status.advice:
        yield Finding(advice, "see docs/operate/engines.md")
    if not status.model_version:
        yield Finding(
            "ranking model: none yet; answers come from similarity and popularity",
            "when there are events: `sightline models train --promote`",
            wrong=False,
        )


def _versions(status: Status, gateway: str) -> Iterator[Finding]:
    known = {part.component: part.version for part in status.components if part.version}
    ours = known.setdefault("gateway", gateway)
    for name, version in known.items():
        if ours and version != ours:
            yield Finding(
                f"the gateway is {ours}, the {name} {version}",
                "run one release of all services: on this machine `make down`, then `make up`",
            )
    if ours and ours != VERSION:
        yield Finding(
            f"the gateway is {ours}, this client {VERSION}",
            "install the client from a checkout of the gateway's version: `make setup`, or"
            " `pip install ./protos ./client`",
        )


def _catalog(status: Status) -> Iterator[Finding]:
    if status.products == 0:
        yield Finding(
            "the catalog is empty",
            "load it: `sightline products import FILE`, or the example shop: `make wines`",
            wrong=False,
        )
    elif status.products and not (status.indexed_images or status.pending_images):
        yield Finding(
            "no product has a photo: image search finds nothing",
            "import them with their photos: `sightline products import FILE --images DIR`",
            wrong=False,
        )
    if failed := (status.failed_images or 0) + (status.failed_texts or 0):
        yield Finding(
            f"{failed:,} photos or texts could not be embedded",
            "import their products again: `sightline products import FILE`; the log of the"
            " retriever-worker names the photos",
        )
    if status.freshness is not None and status.freshness.lag > MOST_LAG:
        waiting = (status.pending_images or 0) + (status.pending_texts or 0)
        yield Finding(
            f"the index is {status.freshness.lag.total_seconds():.0f} s behind the catalog, and"
            f" {waiting:,} photos and texts are pending embedding",
            "wait for it: `sightline products status --wait`; if it makes no progress, the "
            "retriever's worker or the embedder is down",
        )


def doctor(*, suite: Suite) -> None:
    """Find what is wrong with the suite, and say what fixes it: parts that do not answer, versions
    that differ, an empty catalog, an index that lags, a model that is missing. Checks of a suite on
    this machine (in DATA, or below the current folder) include ports without a listener or taken by
    another program, and a full disk.

    Exit code 0 = no problem found, though there may be a next step.

    [bold]Example[/bold]

      sightline doctor
    """

    async def ask(client: SightlineClient) -> tuple[admin.GetStatusResponse, str] | None:
        try:
            return await status_and_version(client)
        except SightlineError as error:
            if error.reason != UNREACHABLE:
                raise
            return None

    answer, local = suite.run(ask), local_suite.suite(suite.target)
    found: list[Finding] = []
    if local is not None:
        found += of_machine(local, shutil.disk_usage(local.data).free)
    if answer is None:
        found += unreachable(suite.target, local)
    else:
        found += findings(from_wire.status(answer[0]), answer[1])
    wrong = [each for each in found if each.wrong]
    if suite.json:
        running.show_facts({"healthy": not wrong, "findings": [asdict(each) for each in found]})
    else:
        things = counted(len(wrong), "problem found", "problems found")
        head = Text(f"{things}." if wrong else "No problem found.")
        running.show(Group(head, *(_shown(each) for each in found)))
    if wrong:
        raise typer.Exit(1)


def _shown(each: Finding) -> Text:
    name = ("Fix: " if each.wrong else "Next: ", "bold")
    mark = "✗ " if each.wrong else "· "
    return Text.assemble(mark, plain(each.problem), "\n  ", name, plain(each.fix))
