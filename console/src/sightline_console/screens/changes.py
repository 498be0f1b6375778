"""Changes of models, spaces, generations and jobs, each after a page that asks once more."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _, later
from sightline_client.errors import FailedPrecondition, SightlineError, Unauthenticated
from sightline_console.pages.blocks import Link
from sightline_console.screens.sections import Section, Told, told
from sightline_console.screens.visit import Visit, status_of
from sightline_console.web.addresses import address

PATH = "/models"
CHANGE = "/models/change"


@dataclass(frozen=True, slots=True)
class Change:
    """A change, in English."""

    name: str
    """Text of its button."""
    effect: str
    """Its effect, in a sentence."""
    done: str
    run: Callable[[SightlineClient, str, bool], Awaitable[object]]
    """Takes the id of what is changed, and whether it is forced."""


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "train-model": Change(
            later("Train a model"),
            later("A job trains a model over all events. It does not serve before it is promoted."),
            later("The training has begun: see the jobs below."),
            lambda client, _of, _force: client.train_model(),
        ),
        "evaluate-model": Change(
            later("Evaluate"),
            later("A job compares the model with the one that serves. Answers stay as they are."),
            later("The evaluation has begun: see the jobs below."),
            lambda client, of, _force: client.evaluate_model(of),
        ),
        "promote-model": Change(
            later("Promote"),
            later("From the next request on, this model orders the products of all answers."),
            later("The model serves."),
            lambda client, of, force: client.promote_model(of, force=force),
        ),
        "roll-back-model": Change(
            later("Roll back"),
            later("The model that served before serves again, from the next request on."),
            later("The former model serves again."),
            lambda client, _of, _force: client.rollback_model(),
        ),
        "demote-model": Change(
            later("Take out of service"),
            later("No model serves then: answers come from similarity, popularity and novelty."),
            later("No model serves now."),
            lambda client, _of, _force: client.demote_model(),
        ),
        "promote-space": Change(
            later("Promote"),
            later("The embedder serves this space too. An index generation then has to be made."),
            later("The space is served."),
            lambda client, of, force: client.promote_space(of, force=force),
        ),
        "retire-space": Change(
            later("Retire"),
            later("The embedder stops serving this space."),
            later("The space is retired."),
            lambda client, of, _force: client.retire_space(of),
        ),
        "activate-generation": Change(
            later("Activate"),
            later("From the next request on, searches use this generation of the index."),
            later("The generation is active."),
            lambda client, of, force: client.activate_generation(of, force=force),
        ),
        "roll-back-generation": Change(
            later("Roll back"),
            later("Searches use the generation that was active before, from the next request on."),
            later("The former generation is active again."),
            lambda client, of, _force: client.rollback_generation(space=of),
        ),
        "cancel-job": Change(
            later("Cancel"),
            later("The job ends soon. What it has done so far may be lost."),
            later("The job is asked to end."),
            lambda client, of, _force: client.cancel_job(of),
        ),
    }
)


def link(do: str, of: str = "") -> Link:
    """Return the link to a change."""
    return Link(_(CHANGES[do].name), address(CHANGE, [("do", do), ("of", of)]))


async def show(visit: Visit) -> Response:
    """Ask whether the change of the address is to be made."""
    return _page(visit, visit.request.query_params)


async def make(visit: Visit) -> Response:
    """Make the change of a form."""
    sent = (await visit.form()).fields
    do, of = sent.get("do", ""), sent.get("of", "")
    if do not in CHANGES:
        return _page(visit, sent)
    try:
        await CHANGES[do].run(visit.client, of, sent.get("force") == "1")
    except Unauthenticated:
        raise
    except SightlineError as error:
        may_force = isinstance(error, FailedPrecondition) and do in _FORCED
        return _page(visit, sent, status_of(error), told(error), may_force=may_force)
    return visit.go(address(PATH, [("done", do)]))


_FORCED = {"promote-model", "promote-space", "activate-generation"}
"""Changes that a call makes against the evidence, if it is told to."""


def _page(
    visit: Visit,
    given: Mapping[str, str],
    status: int = 200,
    refused: Told | None = None,
    *,
    may_force: bool = False,
) -> Response:
    do = given.get("do", "")
    change = CHANGES.get(do)
    if change is None:
        text = _("The console has no page at this address.")
        return visit.page("problem", 404, title=_("Not found"), reason="", text=text)
    return visit.page(
        "change",
        status,
        do=do,
        of=given.get("of", ""),
        name=_(change.name),
        effect=_(change.effect),
        refused=Section(None, refused),
        may_force=may_force,
    )
