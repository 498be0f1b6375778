"""An explanation in sentences: the step that lost a product, and what would bring it back."""

from dataclasses import dataclass, replace

from sightline_client.cli.language import _
from sightline_client.cli.show import explained, tables
from sightline_client.values.controls import ControlKind, ControlResult
from sightline_client.values.explanations import BranchVerdict, Explanation, ProductOutcome
from sightline_console.screens.asked import SIZES, Asked

SHOWN, LOST, UNKNOWN = "shown", "lost", "unknown"
_LOSES = (
    (ProductOutcome.PRODUCT_NOT_FOUND,),
    (ProductOutcome.EXCLUDED,),
    (ProductOutcome.EXCLUDED_BY_CONTROL,),
    (ProductOutcome.FILTERED,),
    (ProductOutcome.UNAVAILABLE,),
    (ProductOutcome.HIDDEN, ProductOutcome.SEEN),
    (ProductOutcome.COLLAPSED,),
    (ProductOutcome.NOT_A_CANDIDATE,),
    (ProductOutcome.OUTRANKED,),
)
"""Outcomes that each step can have, in the order in which the gateway decides them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step from the catalog to the page."""

    text: str
    state: str
    """SHOWN: the product passed it; LOST: it did not; UNKNOWN: it did not come so far."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that would bring a product back."""

    text: str
    address: str = ""
    """Page that shows it; empty: none."""


def steps(outcome: ProductOutcome) -> list[Step]:
    """Return the steps, with the first one that the product did not pass."""
    texts = (
        _("It is in the catalog."),
        _("The request does not leave it out."),
        _("No control excludes it."),
        _("It passes the filter, and the scene's categories."),
        _("It can be bought, or the scene shows what can't be."),
        _("The shopper has not hidden it, nor seen it where that excludes it."),
        _("It is no near-duplicate of a product that is shown in its place."),
        _("A list of candidates has it."),
        _("It ranks high enough for the page."),
    )
    states = {each: place for place, lost in enumerate(_LOSES) for each in lost}
    end = states.get(outcome, -1 if outcome is ProductOutcome.UNKNOWN else len(texts))
    return [
        Step(text, SHOWN if place < end else LOST if place == end else UNKNOWN)
        for place, text in enumerate(texts)
    ]


def id_of(found: Explanation) -> str:
    """Return the id of the product that is explained; empty: it is not in the catalog."""
    return "" if found.product is None else found.product.product_id


def lists(found: Explanation) -> list[str]:
    """Say of each list of candidates whether it has the product, and by how far it has not."""
    return [_list(each) for each in found.branches]


def _list(verdict: BranchVerdict) -> str:
    known = tables.PARTS.get(verdict.branch)
    name, count = _(known) if known else verdict.branch, verdict.named_count
    if verdict.named:
        return _("{name}: it is one of {count:,} candidates.", name=name, count=count)
    if verdict.similarity is None or verdict.last_similarity is None:
        return _("{name}: it is not among the first {count:,}.", name=name, count=count)
    return _(
        "{name}: it is not among the first {count:,}: it has {value:.3f}, and the last of them"
        " {last:.3f}.",
        name=name,
        count=count,
        value=verdict.similarity,
        last=verdict.last_similarity,
    )


def moves(found: Explanation) -> list[str]:
    """Say which rules moved the product, and how far."""
    score = found.score
    if score is None:
        return []
    said = [_("By its score alone it has place {place}.", place=score.score_rank)]
    for move in score.moves:
        cause = _(explained.CAUSES[move.cause])
        if move.places > 0:
            said.append(_("{places} places up: {cause}.", places=move.places, cause=cause))
        else:
            said.append(_("{places} places down: {cause}.", places=-move.places, cause=cause))
    return said


def remedies(
    asked: Asked, product_id: str, found: Explanation, otherwise: Explanation | None
) -> list[Remedy]:
    """Say what would bring the product back. `otherwise`: the explanation without what lost it."""
    match found.outcome:
        case ProductOutcome.PRODUCT_NOT_FOUND:
            return [Remedy(_("Import it, or look for another spelling of its id."))]
        case ProductOutcome.EXCLUDED:
            return [Remedy(_("A product that the request is about is not in its own answer."))]
        case ProductOutcome.EXCLUDED_BY_CONTROL:
            return _uncontrolled(asked, found)
        case ProductOutcome.FILTERED:
            return _unfiltered(asked, product_id, found, otherwise)
        case ProductOutcome.UNAVAILABLE:
            text = _(
                "Set its availability, or set buyable_only = false in scene {scene}.",
                scene=scene_of(found),
            )
            return [Remedy(text)]
        case ProductOutcome.HIDDEN | ProductOutcome.SEEN:
            return _of_another(asked, product_id, found, otherwise)
        case ProductOutcome.COLLAPSED:
            into = found.collapsed_into_product_id
            text = _("{into} stands for it. See why that one is shown.", into=into)
            return [Remedy(text, asked.address("/why", why=into))]
        case ProductOutcome.NOT_A_CANDIDATE | ProductOutcome.OUTRANKED:
            return _higher(asked, found)
    return []


def scene_of(found: Explanation) -> str:
    """Return the name of the scene that answered."""
    return found.versions.scene


def _uncontrolled(asked: Asked, found: Explanation) -> list[Remedy]:
    """Name the controls that exclude the product."""
    names = [
        (each.scene, each.control)
        for each in found.product_controls
        if each.kind is ControlKind.EXCLUDE and each.outcome is ControlResult.APPLIED
    ]
    made = [
        Remedy(
            _("Remove the control “{control}” of scene {scene}.", control=control, scene=scene),
            asked.address("/shelf"),
        )
        if scene
        else Remedy(_("Leave the control “{control}” out of the request.", control=control))
        for scene, control in names
    ]
    text = _("Remove the control of scene {scene} that excludes it.", scene=scene_of(found))
    return made or [Remedy(text, asked.address("/shelf"))]


def _unfiltered(
    asked: Asked, product_id: str, found: Explanation, otherwise: Explanation | None
) -> list[Remedy]:
    if found.excluded_category_paths:
        text = _(
            "Scene {scene} leaves out the categories of what the request is about: {names}. Set"
            " other_categories = 0 there.",
            scene=scene_of(found),
            names=", ".join(found.excluded_category_paths),
        )
        return [Remedy(text)]
    if not asked.filter or not (found.rejection and found.rejection.path):
        return [Remedy(_("Scene {scene} shows other categories.", scene=scene_of(found)))]
    return [
        Remedy(
            _("Leave the filter out.") + _then(otherwise),
            asked.without("filter").address("/why", why=product_id),
        )
    ]


def _of_another(
    asked: Asked, product_id: str, found: Explanation, otherwise: Explanation | None
) -> list[Remedy]:
    made = [
        Remedy(
            _("Another shopper may see it.") + _then(otherwise),
            asked.without("shopper", "kind", "who").address("/why", why=product_id),
        )
    ]
    if found.outcome is ProductOutcome.SEEN:
        made.append(Remedy(_("Set drop_seen = false in scene {scene}.", scene=scene_of(found))))
    return made


def _then(otherwise: Explanation | None) -> str:
    """Say what becomes of the product then."""
    if otherwise is None:
        return ""
    if otherwise.outcome is ProductOutcome.SHOWN:
        return " " + _("Then it has place {place}.", place=otherwise.rank)
    return " " + otherwise.text


def _higher(asked: Asked, found: Explanation) -> list[Remedy]:
    made: list[Remedy] = []
    named = found.outcome is ProductOutcome.OUTRANKED
    if named and found.rank in SIZES:
        more = replace(asked, size=str(found.rank))
        text = _("Show {rank} products: it has place {rank}.", rank=found.rank)
        made.append(Remedy(text, more.address("/")))
    elif found.rank:
        made.append(Remedy(_("It would have place {rank}.", rank=found.rank)))
    text = _("Pin it, or boost it, by a control of scene {scene}.", scene=scene_of(found))
    made.append(Remedy(text, asked.address("/shelf")))
    if not named:
        text = _(
            "Let scene {scene} look at more candidates: over_fetch, most_candidates.",
            scene=scene_of(found),
        )
        made.append(Remedy(text))
    lost = _largest_loss(found)
    return [*([Remedy(lost)] if lost else []), *made]


def _largest_loss(found: Explanation) -> str:
    """Name the part by which the product loses most to the last one shown; empty: none."""
    own, last = found.score, found.last_shown
    if own is None or last is None or own.product_id == last.product_id:
        return ""
    mine = {part.name: part.value for part in own.parts}
    theirs = {part.name: part.value for part in last.parts}
    losses = {name: theirs[name] - mine.get(name, 0.0) for name in theirs}
    name = max(losses, key=lambda each: losses[each], default="")
    if not name or losses[name] <= 0:
        return ""
    words = _(tables.PARTS[name]) if name in tables.PARTS else name
    return _(
        "It loses most by “{words}”: {mine:.3f} against {theirs:.3f} of the last product shown.",
        words=words,
        mine=mine.get(name, 0.0),
        theirs=theirs[name],
    )
