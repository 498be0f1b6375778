"""Values that the gateway's unit tests share."""

from gateway.model.filters import CallersFilter
from gateway.model.query import RequestQuery, Signal, SignalKind
from gateway.model.response import RecommendAnswer, SearchAnswer
from gateway.model.scene import Budgets, Fusion, Scene
from sightline_core.answer import AnswerResult
from sightline_core.branch import Branch
from sightline_core.columns import ProductColumns
from sightline_core.reasons import Reason
from sightline_core.shoppers import Identity, Shopper
from sightline_core.versions import SpaceVersion

FILTER = CallersFilter("a filter", b"filter", names_availability=False)


def reason(code: str, text: str, product_id: str = "") -> Reason:
    return Reason(code, text, (("product_id", product_id),) if product_id else ())


ANN = Shopper(Identity.USER, "ann")

SPACE = SpaceVersion(space="visual", version="v1", generation="g1")

DEFAULT = Scene(
    name="default",
    version="abc",
    over_fetch=2.0,
    least_candidates=10,
    most_candidates=100,
    buyable_only=True,
    drop_seen=False,
    min_quality=0.0,
    popular_fallback=True,
    new_fallback=True,
    branches={Branch.VISUAL: 1.0, Branch.TEXT: 1.0, Branch.COLLABORATIVE: 0.5},
    parts_with_signals={"visual": 1.0, "taste": 0.1},
    parts_without_signals={"taste": 1.0, "popularity": 1.0},
    budgets=Budgets(embed=0.5, candidates=0.65, fallback=0.8, rank=0.9),
    fusion=Fusion.RANK,
)


def content_of(signal: Signal) -> bytes:
    return signal.image or (signal.text or signal.image_uri).encode()


def address(index: int = 0, uri: str = "https://photos.test/a.jpg") -> Signal:
    return Signal(index, SignalKind.IMAGE_URI, image_uri=uri)


def photo(index: int = 0, image: bytes = b"photo", weight: float = 0.0) -> Signal:
    return Signal(index, SignalKind.IMAGE, image=image, weight=weight)


def near(product_id: str, index: int = 0) -> Signal:
    return Signal(index, SignalKind.PRODUCT, product_id=product_id)


def words(text: str = "a red wine", index: int = 0) -> Signal:
    return Signal(index, SignalKind.TEXT, text=text)


def columns(*ids: str) -> ProductColumns:
    """Return columns such as the record returns for products."""
    return ProductColumns(
        product_ids=list(ids),
        parent_ids=[""] * len(ids),
        image_hashes=[0] * len(ids),
        create_time_micros=list(range(len(ids))),
        blocks=[(f"all of {' '.join(ids)}", range(len(ids)))],
    )


def by_photo(**fields: object) -> RequestQuery:
    """Return a query by the photo b"photo"."""
    return RequestQuery(**{"signals": (photo(),), **fields})  # type: ignore[arg-type]


def ids(answer: RecommendAnswer | SearchAnswer) -> list[str]:
    """Return the ids of the answer's products, best first."""
    rows = (each.row if isinstance(each, AnswerResult) else each.product for each in answer.results)
    return [row.product_id for row in rows]


def degraded(answer: RecommendAnswer) -> list[tuple[str, int]]:
    """Return stage and cause of each degradation."""
    return [(item.stage, item.cause) for item in answer.degradations]
