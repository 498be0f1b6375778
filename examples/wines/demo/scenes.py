"""The demo's scenes except the first and the last: request, checks and findings."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from examples.wines import transforms
from examples.wines.catalogue import Rating, Wine
from examples.wines.demo import measures
from examples.wines.demo.measures import SEED, VIEWS, Hits, Newcomer
from examples.wines.demo.model import Answer, Figures, Scene, Shown, require
from sightline_client import F, Recommendations, SightlineClient, money

TOP = 5
PHOTO_WINE = "101847"
"""The wine whose photo is changed for the first scene."""
FILTER_WINE = "102079"
"""The wine whose photo is sent together with a filter."""
MOST_EUROS = 25
FILTER_TYPE = "Red"
PERSONAL_PARTS = frozenset({"visual", "text", "co_view", "co_purchase", "affinity"})
NEWCOMER_SHOWN = "Rosé"

_HIT_FLOOR = 0.5
"""Minimum hit rates, far below the expected ones: a lower rate means a fault."""
_TYPES_THAT_FALL = 4


async def photo(client: SightlineClient, wines: Sequence[Wine]) -> Scene:
    """Show scene 1: a photo whose bytes are not in the catalog."""
    wine = by_id(wines)[PHOTO_WINE]
    changed = changed_photo(wine)
    known = {hashlib.sha256(other.image.read_bytes()).hexdigest() for other in wines}
    require(hashlib.sha256(changed).hexdigest() not in known, "the photo is in the catalog")
    answer = await client.recommend(image=changed, page_size=TOP)
    whole(answer)
    place = place_of(answer, wine.id)
    return Scene(
        title="1. A photo",
        intro=f"A photo of “{wine.title}”, cropped, turned by a few degrees and darkened: byte for"
        " byte it is in no catalog entry.",
        queries=(Shown(changed, "the photo that was sent"),),
        answers=(Answer("What looks like it", answer),),
        findings=(
            f"The wine in the photo came at place {place}."
            if place
            else f"The wine in the photo is not among the first {TOP}.",
        ),
    )


async def hit_rates(
    client: SightlineClient, wines: Sequence[Wine], progress: Callable[[int, int], None]
) -> Scene:
    """Show scene 1b: hit@1 and hit@5 over all wines and transforms, measured now."""
    measured = await measures.hits(client, wines, progress)
    photos, at_1, at_5 = (
        sum(item.photos for item in measured),
        sum(item.at_1 for item in measured),
        sum(item.at_5 for item in measured),
    )
    require(at_5 / photos >= _HIT_FLOOR, f"only {at_5} of {photos} photos found their wine")
    return Scene(
        title="1b. The same with every wine, measured now",
        intro=f"All {len(wines)} photos, each under {len(measured)} changes (seed {SEED}):"
        " does the changed photo find its own wine?",
        figures=(_hit_figures(measured),),
        findings=(
            f"hit@1 {at_1 / photos:.3f} ({at_1} of {photos}), hit@5 {at_5 / photos:.3f}"
            f" ({at_5} of {photos}).",
        ),
    )


async def filtered(client: SightlineClient, wines: Sequence[Wine]) -> Scene:
    """Show scene 2: a photo with a filter on price and type."""
    wine = by_id(wines)[FILTER_WINE]
    changed = changed_photo(wine)
    limit = money(MOST_EUROS, "EUR")
    answer = await client.recommend(
        image=changed, filter=(F.category == FILTER_TYPE) & (F.price < limit), page_size=TOP
    )
    whole(answer)
    for item in answer.results:
        product = item.product
        passes = product.price is not None and product.price.amount < limit.amount
        require(
            passes and FILTER_TYPE in product.category_path,
            f"{product.title} does not pass the filter",
        )
    return Scene(
        title="2. A photo and a filter",
        intro=f"A changed photo of “{wine.title}”, but only {FILTER_TYPE} wines under {limit}.",
        queries=(Shown(changed, "the photo that was sent"),),
        answers=(Answer(f"{FILTER_TYPE}, under {limit}, nearest first", answer),),
        findings=(f"All {len(answer.results)} results pass the filter.",),
    )


async def similar(client: SightlineClient, wines: Sequence[Wine]) -> Scene:
    """Show scene 3: products similar to a product."""
    wine = by_id(wines)[PHOTO_WINE]
    answer = await client.recommend(products=wine.id, exclude=wine.id, page_size=TOP)
    whole(answer)
    require(not place_of(answer, wine.id), "an excluded product came back")
    return Scene(
        title="3. A product",
        intro=f"What is similar to “{wine.title}” ({wine.id}), which itself is left out?",
        queries=(Shown(wine.image.read_bytes(), wine.title),),
        answers=(Answer("Similar products", answer),),
    )


async def customer(
    client: SightlineClient, wines: Sequence[Wine], ratings: Sequence[Rating]
) -> Scene:
    """Show scene 4: the customer with the most ratings (the first by id among equals)."""
    counts = Counter(rating.user_id for rating in ratings)
    user = min(counts, key=lambda user_id: (-counts[user_id], user_id))
    answer = await client.recommend(user=user, page_size=TOP)
    whole(answer)
    parts = {part.name for item in answer.results for part in item.parts if part.value}
    require(bool(parts & PERSONAL_PARTS), f"nothing personal in the scores, only {sorted(parts)}")
    own = [rating for rating in ratings if rating.user_id == user]
    titles = by_id(wines)
    return Scene(
        title="4. A customer with history",
        intro=f"Customer {user} rated {len(own)} wines:"
        f" {'; '.join(f'{titles[r.wine_id].title} {r.value:g}★' for r in own)}.",
        queries=tuple(
            Shown(titles[r.wine_id].image.read_bytes(), f"rated {r.value:g}★") for r in own
        ),
        answers=(Answer("For this customer", answer),),
        findings=(f"Personal parts in the scores: {', '.join(sorted(parts & PERSONAL_PARTS))}.",),
    )


async def newcomer(
    client: SightlineClient, wines: Sequence[Wine], progress: Callable[[int, int], None]
) -> Scene:
    """Show scene 5: a new visitor after 0, 1 and 3 views."""
    types = [kind for kind in by_type(wines) if kind != "Red"]
    measured = await measures.newcomers(client, wines, types, progress)
    for item in measured:
        for answer in item.answers:
            whole(answer)
    falling = sum(item.falls for item in measured)
    require(
        falling >= _TYPES_THAT_FALL,
        f"the viewed type came nearer to the top in only {falling} of {len(types)} types",
    )
    shown = next(item for item in measured if item.type == NEWCOMER_SHOWN)
    return Scene(
        title="5. A new visitor",
        intro=f"For each type except Red a new visitor views up to {VIEWS[-1]} of its wines; each"
        " view is an event written through the API and counts in the next request.",
        queries=tuple(Shown(w.image.read_bytes(), f"viewed: {w.title}") for w in shown.viewed),
        answers=tuple(
            Answer(f"{shown.type}: after {_views(views)}, the first {TOP}", first(answer, TOP))
            for views, answer in zip(VIEWS, shown.answers, strict=True)
        ),
        figures=(_newcomer_figures(measured, by_type(wines)),),
        findings=(
            f"After {_views(VIEWS[-1])} the type is nearer to the top in {falling} of"
            f" {len(types)} types.",
        ),
    )


def changed_photo(wine: Wine) -> bytes:
    """Return the wine's photo under all transforms at once."""
    return transforms.apply(wine.image.read_bytes(), *transforms.ALL, seed=SEED, key=wine.id)


def whole(answer: Recommendations) -> None:
    """Raise DemoFailed unless the answer has results and is not degraded."""
    require(bool(answer.results), "the answer is empty")
    lost = [f"{loss.stage}: {loss.cause}" for loss in answer.degradations]
    require(not lost, f"the answer is degraded: {', '.join(lost)}")


def first(answer: Recommendations, count: int) -> Recommendations:
    """Return the answer with its first products only, for display."""
    return replace(answer, results=answer.results[:count])


def place_of(answer: Recommendations, product_id: str) -> int:
    """Return the product's place from 1; 0 = not in the answer."""
    ids = [item.product.product_id for item in answer.results]
    return ids.index(product_id) + 1 if product_id in ids else 0


def by_id(wines: Sequence[Wine]) -> dict[str, Wine]:
    """Return the wines by their ids."""
    return {wine.id: wine for wine in wines}


def by_type(wines: Sequence[Wine]) -> dict[str, list[Wine]]:
    """Return the wines of each type, the largest type first."""
    groups: dict[str, list[Wine]] = defaultdict(list)
    for wine in wines:
        groups[wine.type].append(wine)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _hit_figures(measured: Sequence[Hits]) -> Figures:
    return Figures(
        title="Changed photos that find their own wine",
        headers=("change", "photos", "hit@1", "hit@5"),
        rows=tuple(
            (
                item.transform.value,
                str(item.photos),
                f"{item.at_1 / item.photos:.2f}",
                f"{item.at_5 / item.photos:.2f}",
            )
            for item in measured
        ),
        caption="hit@1: share of photos whose own wine is the first result of Recommend; hit@5:"
        " among the first five. Sold-out wines are asked for too, so that all can be found.",
    )


def _newcomer_figures(measured: Sequence[Newcomer], groups: dict[str, list[Wine]]) -> Figures:
    def row(item: Newcomer) -> tuple[str, ...]:
        return (
            item.type,
            str(len(groups[item.type])),
            *(f"{rank:.1f}" for rank in item.mean_ranks),
            *("–" if math.isnan(rank) else f"{rank:.1f}" for rank in item.unseen_mean_ranks),
        )

    views = [_views(count) for count in VIEWS]
    return Figures(
        title="Mean rank of the viewed type",
        headers=("type", "wines", *views, *(f"{view}, others" for view in views)),
        rows=tuple(row(item) for item in measured),
        caption="Mean rank (1 = top) of all wines of the type among all 100, after so many views of"
        " wines of that type; “others”: without the viewed wines themselves. Lower is nearer to"
        " the top; 50.5 would be chance. Viewed wines are left out of the next answer, which counts"
        " as the last rank. A visitor without views gets what is popular and"
        " then, newest first, wines without likes.",
    )


def _views(count: int) -> str:
    return f"{count} view{'' if count == 1 else 's'}"
