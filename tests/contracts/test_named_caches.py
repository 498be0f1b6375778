"""What is kept in memory by the id of a catalog, which another catalog may get later.

A catalog that is removed and created again shows nothing of the earlier one. So each mapping that a
service keeps by such a name is listed here with what keeps the two apart; a new one fails until it
is.
"""

import ast
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from tests.code import nodes

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "embedder", "retriever", "ranker", "vision")
NAMES = {"catalog_id", "catalog", "collection", "reference_id", "webhook_id", "watch_id"}
"""Names of what can be deleted and created again."""
LOOKUPS = {"get", "pop", "require", "setdefault"}


class Apart(Enum):
    """Reason why an entry is never taken for that of an earlier bearer of the name."""

    FOLLOWS = "its class drops it when the list of catalogs changes, and work under way too"
    UID = "the entry carries the uid, a hash of the content or a number that is never used again"
    COMMIT = "it is valid for one state of the store alone"
    UNIQUE = "the name is drawn, and never used again"
    NO_CONTENT = "times, counts or tasks, from which no answer shows anything of the catalog"


FOLLOWS, UID, COMMIT, UNIQUE, NO_CONTENT = Apart
CACHES = {
    ("gateway.servicer.declared_prices", "_PricedField", "_learned"): NO_CONTENT,
    ("gateway.state.experiments", "RunningExperiments", "_in_force"): FOLLOWS,
    ("gateway.state.exposure_goals", "ExposureGoals", "_states"): FOLLOWS,
    ("gateway.state.exposures", "Exposures", "_counts"): FOLLOWS,
    ("gateway.state.exposures", "Exposures", "_own"): FOLLOWS,
    ("gateway.state.past_searches", "PastSearches", "_known"): FOLLOWS,
    ("gateway.state.pins", "Pins", "_held"): FOLLOWS,
    ("gateway.state.popular", "PopularLists", "_lists"): FOLLOWS,
    ("gateway.state.prices", "RequestPrices", "_products"): FOLLOWS,
    ("gateway.state.recent_requests", "RecentRequests", "_kept"): FOLLOWS,
    ("gateway.state.request_context", "SpaceVersions", "_known"): FOLLOWS,
    ("gateway.state.scenes.recorded", "SteeredScenes", "_held"): FOLLOWS,
    ("gateway.state.snapshots.__init__", "Snapshots", "_held"): FOLLOWS,
    ("gateway.state.snapshots.__init__", "Snapshots", "_due"): FOLLOWS,
    ("gateway.state.text_spaces", "TextQuerySpaces", "_versions"): FOLLOWS,
    ("retriever.catalog.synonyms", "HeldSynonyms", "_rules"): FOLLOWS,
    ("retriever.columns.column_cache", "Columns", "_catalogs"): UID,
    ("retriever.columns.column_cache", "_Catalog", "vectors"): UNIQUE,
    ("retriever.columns.column_cache", "Columns", "_running"): FOLLOWS,
    ("retriever.columns.column_cache", "Columns", "_too_many"): FOLLOWS,
    ("retriever.columns.column_cache", "Columns", "_too_large"): UNIQUE,
    ("retriever.columns.column_cache", "Columns", "_locks"): NO_CONTENT,
    ("retriever.columns.suggestion_index", "SuggestionIndexes", "_kept"): UID,
    ("retriever.columns.suggestion_index", "SuggestionIndexes", "_running"): FOLLOWS,
    ("retriever.search.fallback.collection_breaker", "CollectionBreaker", "_probing"): UNIQUE,
    ("retriever.search.fallback.collection_breaker", "CollectionBreaker", "_answered"): UNIQUE,
    ("retriever.search.recall.watchdog", "Watchdog", "_subsets"): UNIQUE,
    ("retriever.search.sampling", "Samples", "_kept"): FOLLOWS,
    ("vision.watching.frames", "FrameChecks", "_queues"): NO_CONTENT,
    ("retriever.workers.collection_loop", "IndexLoop", "_statuses"): UNIQUE,
    ("retriever.workers.embedding", "EmbeddingLoop", "_offers"): NO_CONTENT,
    ("ranker.events.backups.consents", "ConsentNotes", "_noted"): NO_CONTENT,
    ("ranker.events.consent_retention", "ConsentRetention", "_forgotten"): NO_CONTENT,
    ("ranker.record.events", "EventRecord", "_popular"): COMMIT,
    ("ranker.events.searches", "FrequentSearches", "_counts"): FOLLOWS,
    ("ranker.serving.models.live", "LiveModels", "_serving"): FOLLOWS,
    ("ranker.serving.models.live", "LiveModels", "_former"): FOLLOWS,
    ("ranker.serving.models.live", "LiveModels", "_refused"): NO_CONTENT,
    ("ranker.workers.unlearning", "Unlearning", "_due"): NO_CONTENT,
    ("servicekit.admission.quotas", "Quotas", "_accounts"): NO_CONTENT,
}


def keyed(path: Path) -> Iterator[tuple[str, str]]:
    """Yield class and attribute of each mapping of a module that is read or written by a name."""
    for kind in nodes(path):
        if not isinstance(kind, ast.ClassDef):
            continue
        made = set(_mappings(kind))
        for node in ast.walk(kind):
            match node:
                case ast.Subscript(
                    value=ast.Attribute(value=ast.Name("self"), attr=held), slice=key
                ):
                    pass
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name("self"), attr=held), attr=method
                    ),
                    args=[key, *_],
                ) if method in LOOKUPS:
                    pass
                case _:
                    continue
            if held in made and NAMES & set(_names(key)):
                yield kind.name, held


def _mappings(kind: ast.ClassDef) -> Iterator[str]:
    """Yield the attributes of a class that begin as an empty mapping, or are refreshed by key."""
    for node in ast.walk(kind):
        match node:
            case ast.AnnAssign(target=target, annotation=written):
                made = ast.unparse(written)
            case ast.Assign(targets=[target], value=ast.Call(func=written)):
                made = ast.unparse(written)
            case _:
                continue
        if made.startswith(("dict[", "OrderedDict[", "defaultdict[", "Refreshed[")):
            match target:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def _names(key: ast.expr) -> Iterator[str]:
    for node in ast.walk(key):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def found() -> dict[tuple[str, str, str], Path]:
    """Return the module of each mapping of the services, by its module, class and attribute."""
    folders = [ROOT / "services" / name / "src" for name in SERVICES]
    folders.append(ROOT / "kit" / "src")
    return {
        (".".join(path.relative_to(folder).with_suffix("").parts), *each): path
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for each in keyed(path)
    }


FOUND = found()


def test_every_mapping_by_a_name_is_listed() -> None:
    assert set(FOUND) == set(CACHES)


@pytest.mark.parametrize("place", [each for each, how in CACHES.items() if how is FOLLOWS])
def test_what_follows_the_list_of_catalogs_can_be_dropped(place: tuple[str, str, str]) -> None:
    _, name, _ = place
    kinds = [node for node in nodes(FOUND[place]) if isinstance(node, ast.ClassDef)]
    (kind,) = (each for each in kinds if each.name == name)
    methods = {each.name for each in kind.body if isinstance(each, ast.FunctionDef)}
    assert methods & {"follow", "forget", "forget_catalog"}
