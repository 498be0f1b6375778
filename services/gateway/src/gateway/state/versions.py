"""Which version of a space to embed with: the one that the index holds.

The embedder may serve two versions of a space during a roll-out. Which one the active index holds
is learned from the retriever's refusals, so that an activation costs one more embedding and no
request.
"""


class SpaceVersions:
    """The versions that were learned, by catalog and space."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def of(self, catalog_id: str, space: str) -> str:
        """The version to embed with; empty = the embedder's default one."""
        return self._known.get((catalog_id, space), "")

    def learn(self, catalog_id: str, space: str, version: str) -> None:
        """The index holds this one."""
        self._known[catalog_id, space] = version

    def forget(self, catalog_id: str, space: str) -> None:
        """The embedder does not serve it."""
        self._known.pop((catalog_id, space), None)
