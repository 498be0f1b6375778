"""``sightline doctor``"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Group
from rich.text import Text

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline_client.cli import language
from sightline_client.cli.base import running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands.config import status_and_version
from sightline_client.cli.language import _, later
from sightline_client.cli.show.tables import counted, plain
from sightline_client.cli.work import local_suite
from sightline_client.cli.work.local_suite import LocalSuite, at
from sightline_client.cli.work.patience import UNREACHABLE
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.values.operations import Model, Status
from sightline_client.version import VERSION

LEAST_FREE = 2 * 2**30
"""Free bytes below which the disk of a local suite is reported as full."""
MOST_LAG = timedelta(minutes=1)
WAIT = later(
    "wait for it: `sightline products status --wait`; if it makes no progress, the retriever's"
    " worker or the embedder is down"
)
"""Fix of an index that is further behind."""
STARTING_SECONDS = 10.0
"""Seconds for which an engine that does not answer is asked again."""
MOST_UNMATCHED = 0.5
"""Share of a training's events, of products that the catalog lacks, from which on something is
wrong: fewer are of products that are no longer sold."""

DECISIVE, RETURNING = "ndcg@10", 100
"""Metric of verdicts, and number of returning shoppers below which a model has to show more."""


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
            yield Finding(
                _("no suite runs in {data}", local),
                _("start it: `{again}`", local),
            )
    elif at(target):
        yield Finding(
            _("the program at {target} is not a gateway, or hangs", target=target),
            _(
                "start the suite on other ports, `make up PORT_BASE=9600`, or name the "
                "gateway with --target"
            ),
        )
    else:
        yield Finding(
            _("nothing listens at {target}", target=target),
            _("start the suite: `make up`, or name the gateway with --target"),
        )


def of_machine(local: LocalSuite, free: int) -> Iterator[Finding]:
    """Yield problems of a local suite: disk space, ports. `free`: free bytes on the disk of its
    data.
    """
    if free < LEAST_FREE:
        yield Finding(
            _(
                "{free:.1f} GiB are free on the disk of {data}: full stores reject writes",
                local,
                free=free / 2**30,
            ),
            _("free some space; disk usage of the suite: `du -sh {data}`", local),
        )
    if local.running:
        for program, port in local.silent():
            yield Finding(
                _("{program} does not listen on port {port}", program=program, port=port),
                _(
                    "restart everything: `make down`, then `{again}`; "
                    "{data}/logs/{program}.log holds the reason",
                    local,
                    program=program,
                ),
            )
    elif taken := [f"{port} ({program})" for program, port in local.taken()]:
        yield Finding(
            _(
                "no suite runs in {data}, and another program has its port {taken}",
                local,
                taken=", ".join(taken),
            ),
            _(
                "end that program, or take other ports: `make up PORT_BASE={other_base}`",
                other_base=local.other_base(),
            ),
        )


def findings(status: Status, gateway: str) -> Iterator[Finding]:
    """Yield problems of a suite that answers. `gateway`: its version, empty if unknown."""
    for part in status.components:
        if part.error is not None:
            yield Finding(
                _("{component} does not answer: {message}", part, message=part.error.message),
                _(
                    "restart a local suite: `make down`, then `make up`; for another suite, "
                    "read the log of {component}",
                    part,
                ),
            )
    yield from _versions(status, gateway)
    for space in status.embedder_spaces:
        if not space.ready:
            yield Finding(
                _("the model {model} of the space {space} does not answer", space),
                _(
                    "restart a local suite: `make down`, then `make up`; for another suite, "
                    "read Triton's log"
                ),
            )
    yield from _catalog(status)
    for problem in status.scene_problems:
        yield Finding(
            _("scene file rejected: {problem}", problem=problem),
            _(
                "correct it, and check it: `sightline scenes check`; its former content stays in "
                "use"
            ),
        )
    for advice in status.advice:
        yield Finding(advice, _("see docs/operate/engines.md"))


def of_model(models: Sequence[Model], training: datetime | None) -> Iterator[Finding]:
    """Yield what a catalog lacks to have a model that serves. `training`: the next nightly one;
    None without any."""
    if any(one.promoted for one in models):
        return
    newest = _newest(models)
    returned = 0 if newest is None else _returned(newest)
    if newest is None:
        said = _("ranking model: none yet; answers are those without one")
    elif returned < RETURNING:
        said = _(
            "ranking model: none yet; {returned:,} of {needed:,} returning shoppers",
            returned=returned,
            needed=RETURNING,
        )
    else:
        said = _(
            "ranking model: none yet; with {returned:,} returning shoppers the newest one is not "
            "shown to be better than the answers without it",
            returned=returned,
        )
    yield Finding(said, _next_try(training), wrong=False)


def _next_try(training: datetime | None) -> str:
    if training is None:
        return _(
            "RANKER_AUTO_PROMOTE is off: try again by a timer of your own, which runs `sightline "
            "models train --promote`"
        )
    return _(
        "nothing to do: when there are events, the next try is tonight ({training:%H:%M} UTC)",
        training=training,
    )


def _newest(models: Sequence[Model]) -> Model | None:
    oldest = datetime.min.replace(tzinfo=UTC)
    return max(models, key=lambda one: one.train_time or oldest, default=None)


def _returned(model: Model) -> int:
    """Return the number of shoppers who decided on a model: they had a history, and liked something
    new in its held-out events."""
    return max((one.sample_count for one in model.metrics if one.name == DECISIVE), default=0)


def of_events(models: Sequence[Model]) -> Iterator[Finding]:
    """Yield a finding if the newest training's events are of products that the catalog lacks."""
    newest = _newest(models)
    if newest is None:
        return
    lacking = next((one.value for one in newest.metrics if one.name == "unmatched_events"), 0.0)
    if lacking:
        yield Finding(
            _(
                "{events:,.0f} of {of:,} events of the newest training are of products that the "
                "catalog lacks",
                events=lacking,
                of=newest.event_count,
            ),
            _(
                "answers do not use them; if they are ids of another system, import the events "
                "again with the catalog's ids: `sightline events import FILE`"
            ),
            wrong=lacking > MOST_UNMATCHED * newest.event_count,
        )


def _versions(status: Status, gateway: str) -> Iterator[Finding]:
    known = {part.component: part.version for part in status.components if part.version}
    ours = known.setdefault("gateway", gateway)
    for name, version in known.items():
        if ours and version != ours:
            yield Finding(
                _(
                    "the gateway is {ours}, the {name} {version}",
                    ours=ours,
                    name=name,
                    version=version,
                ),
                _("run one release of all services: on this machine `make down`, then `make up`"),
            )
    if ours and ours != VERSION:
        yield Finding(
            _("the gateway is {ours}, this client {version}", ours=ours, version=VERSION),
            _(
                "install the client from a checkout of the gateway's version: `make setup`, "
                "or `pip install ./protos ./client`"
            ),
        )


def _catalog(status: Status) -> Iterator[Finding]:
    if status.products == 0:
        yield Finding(
            _("the catalog is empty"),
            _("load it: `sightline products import FILE`, or the example shop: `make wines`"),
            wrong=False,
        )
    elif status.products and not (status.indexed_images or status.pending_images):
        yield Finding(
            _("no product has a photo: image search finds nothing"),
            _("import them with their photos: `sightline products import FILE --images DIR`"),
            wrong=False,
        )
    if failed := (status.failed_images or 0) + (status.failed_texts or 0):
        yield Finding(
            _("{failed:,} photos or texts could not be embedded", failed=failed),
            _(
                "import their products again: `sightline products import FILE`; the log of "
                "the retriever-worker names the photos"
            ),
        )
    if status.freshness is not None and status.freshness.lag > MOST_LAG:
        waiting = (status.pending_images or 0) + (status.pending_texts or 0)
        yield Finding(
            _(
                "the index is {lag:.0f} s behind the catalog, and {waiting:,} photos and "
                "texts are pending embedding",
                lag=status.freshness.lag.total_seconds(),
                waiting=waiting,
            ),
            _(WAIT),
        )


async def _settled(client: SightlineClient) -> tuple[admin.GetStatusResponse, str]:
    """Return the status once the engine answers, or as it is after STARTING_SECONDS: it takes
    seconds to create the first collections of a suite that has just started."""
    until = time.monotonic() + STARTING_SECONDS
    while True:
        found = await status_and_version(client)
        engine = [each for each in found[0].components if each.component == "milvus"]
        if time.monotonic() >= until or not any(each.status.code for each in engine):
            return found
        await asyncio.sleep(STARTING_SECONDS / 5)


def doctor(*, suite: Suite) -> None:
    """Find what is wrong with the suite, and say what fixes it: parts that do not answer, versions
    that differ, an empty catalog, an index that lags, a model that is missing. Checks of a suite on
    this machine (in DATA, or below the current folder) include ports without a listener or taken by
    another program, and a full disk.

    Exit code 0 = no problem found, though there may be a next step.

    sightline doctor
    """

    async def ask(client: SightlineClient) -> tuple[admin.GetStatusResponse, str] | None:
        try:
            answer = await _settled(client)
        except SightlineError as error:
            if error.reason != UNREACHABLE:
                raise
            return None
        with contextlib.suppress(SightlineError):  # not permitted, or the status says why
            trained.append((await client.list_models(), await client.next_training()))
        return answer

    trained, found = list[tuple[Sequence[Model], datetime | None]](), list[Finding]()
    answer, local = suite.run(ask), local_suite.suite(suite.target)
    with language.english(wanted=suite.json):
        if local is not None:
            found += of_machine(local, shutil.disk_usage(local.data).free)
        if answer is None:
            found += unreachable(suite.target, local)
        else:
            found += findings(from_wire.status(answer[0]), answer[1])
            for models, training in trained:
                found += [*of_model(models, training), *of_events(models)]
    wrong = [each for each in found if each.wrong]
    if suite.json:
        running.show_facts({"healthy": not wrong, "findings": [asdict(each) for each in found]})
    else:
        things = counted(len(wrong), "problem found", "problems found")
        head = Text(_("{things}.", things=things) if wrong else _("No problem found."))
        running.show(Group(head, *(_shown(each) for each in found)))
    if wrong:
        raise typer.Exit(1)


def _shown(each: Finding) -> Text:
    name = (_("Fix: ") if each.wrong else _("Next: "), "bold")
    mark = "✗ " if each.wrong else "· "
    return Text.assemble(mark, plain(each.problem), "\n  ", name, plain(each.fix))
