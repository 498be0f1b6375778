"""What the use cases ask of their collaborators."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model import peers
from gateway.model.answer import AnswerRecord
from gateway.model.columns import Columns
from gateway.model.messages import Classification, Rejection, Space, Subject, Vector
from gateway.model.query import Scope, Shopper, Signal
from gateway.model.scene import Scene


class Embedder(Protocol):
    """Turns photos and texts into vectors, and classifies photos. Raises ServiceError when the
    whole call fails."""

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str,
        views: int = 0,
    ) -> peers.Embedded:
        """A vector or an error for each signal, all into one space; an empty version = its default
        one. `views`: of each photo; 0 = the space's own number."""

    async def spaces(self, catalog_id: str) -> Sequence[Space]:
        """The spaces as they are now."""

    async def classify(
        self, catalog_id: str, photo: Signal, top_k: int
    ) -> tuple[Classification, Subject | None]:
        """What a photo is of by the catalog's newest head, and where its subject is if that is to
        be looked for. Raises ServiceError for the photo too."""


class Retriever(Protocol):
    """Finds products and knows the record. Every call raises ServiceError when it fails."""

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | peers.Blend,
        scope: Scope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> peers.Found:
        """The `top_k` products nearest to a vector, to the product of that id, or to several
        together.

        Near-duplicates of one another count as one and come all.
        """

    async def keywords(
        self, catalog_id: str, text: str, scope: Scope, *, top_k: int, exclude: Sequence[str]
    ) -> peers.Found:
        """The `top_k` products whose words match a text best, their similarities 0 to 1.

        Near-duplicates of one another count as one and come all.
        """

    async def columns(self, catalog_id: str, ids: Sequence[str], scope: Scope) -> Columns:
        """Those of up to 1,000 products that exist and pass, in the order asked."""

    async def checked(self, catalog_id: str, ids: Sequence[str], scope: Scope) -> peers.Checked:
        """The same, and why the others of them are left out."""

    async def newest(self, catalog_id: str, scope: Scope, count: int) -> Columns:
        """The newest products that pass, newest first."""

    async def products(
        self, catalog_id: str, ids: Sequence[str], scope: Scope, titles: Sequence[str] = ()
    ) -> peers.Rows:
        """Those of up to 1,000 products that exist and pass, whole, in the order asked; and the
        titles of up to 1,000 others, whether they pass or not."""

    async def rejection(self, catalog_id: str, product_id: str, scope: Scope) -> Rejection | None:
        """Why a product that exists does not pass; None = it does."""


class Ranker(Protocol):
    """Knows behaviour. Every call raises ServiceError when it fails."""

    async def generate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        session_id: str,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool = False,
    ) -> peers.RankerCandidates:
        """Products that fit the shopper's behaviour; popular ones when there is none.

        `accept_vectors`: of a large catalog the shopper's vectors will do.
        """

    async def rank(self, order: peers.RankOrder) -> peers.Ranked:
        """The candidates ordered, hidden ones dropped."""

    async def reasons(self, order: peers.ReasonOrder) -> peers.Reasoned:
        """Reasons of up to 200 products that were ranked before."""

    async def answer(
        self, catalog_id: str, answer_id: str, offset: int = 0, limit: int = 0
    ) -> AnswerRecord:
        """A kept answer with its products from `offset` on, at most `limit` of them (0 = all);
        ANSWER_RECORD_MISSING when there is none. Its shopper is None."""

    async def control_counts(
        self, catalog_id: str, day: int, names: Sequence[str]
    ) -> Mapping[str, int]:
        """In how many answers of the day (since 1970, UTC) each of up to 1,000 controls acted."""


class Answers(Protocol):
    """Takes answer records to be handed over after the answer."""

    def offer(self, catalog_id: str, record: AnswerRecord) -> bool:
        """Take a record; False = the queue is full, and it was dropped."""

    def find(self, catalog_id: str, answer_id: str) -> AnswerRecord | None:
        """A record that was taken and is not handed over yet."""


class Scenes(Protocol):
    """The scenes that can be asked for."""

    def get(self, name: str) -> Scene:
        """The scene as it is now; empty = "default". Raises SceneNotFound."""

    def names(self) -> tuple[str, ...]:
        """Their names, sorted."""
