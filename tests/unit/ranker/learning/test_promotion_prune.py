import pytest

from ranker.adapters.retriever import Published
from ranker.learning.promotion import prune
from servicekit.clock import now_micros
from servicekit.errors import Unavailable


class Registry:
    def __init__(self, gone: tuple[str, ...]) -> None:
        self.gone = gone
        self.asked: list[tuple[int, set[str]]] = []

    async def answering(self, catalog_id, since_micros):
        assert since_micros == pytest.approx(now_micros() - 86_400e6, abs=60e6)
        return frozenset({"pinned"})

    async def prune(self, catalog_id, keep, spared, now_micros):
        self.asked.append((keep, set(spared)))
        return self.gone


class Files:
    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, catalog_id: str, version: str) -> bool:
        self.deleted.append(version)
        return True


class Index:
    def __init__(self, *made: Published, away: bool = False) -> None:
        self.made, self.away = made, away

    async def generations(self, catalog_id: str):
        if self.away:
            raise Unavailable("the retriever is away", reason="RETRIEVER_UNAVAILABLE")
        return self.made


def published(version: str, *, live: bool = True) -> Published:
    return Published(version, version, live, True, False, False, 1)


async def test_files_go_but_for_models_whose_products_are_in_the_index() -> None:
    registry, files = Registry(("old", "older")), Files()
    index = Index(published("live"), published("dropped", live=False))
    await prune(registry, files, index, 5, "default")  # type: ignore[arg-type]
    assert registry.asked == [(5, {"live", "pinned"})]
    assert files.deleted == ["old", "older"]


async def test_everything_stays_until_later_while_nobody_says_what_is_published() -> None:
    registry, files = Registry(("old",)), Files()
    await prune(registry, files, Index(away=True), 5, "default")  # type: ignore[arg-type]
    assert (registry.asked, files.deleted) == ([], [])
