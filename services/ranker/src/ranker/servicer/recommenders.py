"""Anchors and recommenders on the wire. Edge: translates and decides nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ranker.domain.features import CATEGORY_KIND, PRICE_KIND, price_range
from ranker.domain.recommenders import CountScope
from ranker.servicer.requests import check_range, refuse
from ranker.serving.ranking.recommenders import MOST_ANCHORS
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_core.branch import RECOMMENDERS, Branch
from sightline_core.ranking import AnchorSource, RequestAnchors
from sightline_rules.categories import CategoryInvalidError, check_path, join
from sightline_rules.ids import IdInvalidError, check_id

MOST_RECOMMENDERS = 8
MOST_TEXT = 256
_SOURCES = {
    pb.Anchors.Source.Value(f"SOURCE_{one.name}"): one for one in AnchorSource if one.is_history
}


def anchors_of(request: Any) -> RequestAnchors | None:
    """Return the request's anchors, None without any; RequestInvalid."""
    if not request.HasField("anchors"):
        return None
    given: pb.Anchors = request.anchors
    ids = tuple(given.product_ids)
    check_range("anchors.product_ids", len(ids), 0, MOST_ANCHORS)
    refuse(_anchor_problems(ids))
    if given.source and given.source not in _SOURCES:
        refuse([("anchors.source", "is not a source that this release knows")])
    source = _SOURCES.get(given.source, AnchorSource.REQUEST)
    return RequestAnchors(ids, source) or None


def _anchor_problems(ids: Sequence[str]) -> Iterable[tuple[str, str]]:
    times = Counter(ids)
    for place, item in enumerate(ids):
        try:
            check_id(item)
        except IdInvalidError as error:
            yield f"anchors.product_ids[{place}]", str(error)
            continue
        if times[item] > 1:
            yield f"anchors.product_ids[{place}]", "is repeated"


_KNOWN = {one.value: one for one in sorted(RECOMMENDERS)}


def recommenders_of(
    names: Sequence[str], path: str = "recommenders", among: Sequence[Branch] = ()
) -> tuple[Branch, ...]:
    """Return the recommenders of these names; RequestInvalid if one is repeated or `among` others.

    `path`: field of the request.
    """
    check_range(path, len(names), 0, MOST_RECOMMENDERS)
    if not names:
        return ()
    times = Counter((*names, *among))
    refuse(
        (f"{path}[{place}]", "is repeated" if name in _KNOWN else f"is none of {[*_KNOWN]}")
        for place, name in enumerate(names)
        if name not in _KNOWN or times[name] > 1
    )
    return tuple([_KNOWN[name] for name in names])


def scope_of(request: Any) -> CountScope:
    """Return the scope of the requested counts. Raise RequestInvalid."""
    if not request.HasField("scope"):
        return CountScope()
    given: pb.CountScope = request.scope
    refuse(_scope_problems(given))
    groups = []
    if given.category_path:
        groups.append(f"{CATEGORY_KIND}={join(tuple(given.category_path))}")
    if given.price_band:
        groups.append(f"{PRICE_KIND}={given.price_band}")
    return CountScope(tuple(groups), given.segment)


def _scope_problems(given: pb.CountScope) -> Iterable[tuple[str, str]]:
    try:
        check_path(given.category_path)
    except CategoryInvalidError as error:
        yield "scope.category_path", str(error)
    try:
        if given.price_band:
            price_range(given.price_band)
    except (ValueError, OverflowError):
        yield "scope.price_band", 'is no price band, such as "EUR:6"'
    key, _, value = given.segment.partition("=")
    if given.segment and not (key and value and len(given.segment) <= MOST_TEXT):
        yield "scope.segment", 'is not key=value, such as "country=FR"'
