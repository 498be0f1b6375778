"""A suitable request for each built-in scene."""

from collections.abc import Sequence
from dataclasses import dataclass

from examples.wines.demo.model import Shown
from examples.wines.demo.scenes import by_id, changed_photo
from examples.wines.loading import Wine
from examples.wines.scenes.shopping import AGAIN, AUTHORS, CUSTOMER, VISITOR
from sightline_client import Control, ControlKind, F, RecommendOptions

TOP = 5
PAGE = "112875"
"""The wine whose page is viewed."""
BESIDE = "111478"
"""The other wine in the cart."""
TEXT = "something bubbly to celebrate with"
CATEGORY = "Red"


@dataclass(frozen=True, slots=True)
class Question:
    """A scene's request, and the parts that identify its answer."""

    scene: str
    asked: str
    """The request in words."""
    request: RecommendOptions
    parts: tuple[str, ...]
    """Parts; each must be in the raw score of at least one product."""
    queries: tuple[Shown, ...] = ()


def questions(wines: Sequence[Wine]) -> tuple[Question, ...]:
    """Return all questions in the order of a visit: product page, cart, home page, lists, search,
    feed."""
    known = by_id(wines)
    wine, beside = known[PAGE], known[BESIDE]
    on_page = (_shown(wine, "the page's product"),)
    in_cart = (_shown(wine, "in the cart"), _shown(beside, "in the cart"))
    photo = changed_photo(wine)

    def page(scene: str, *parts: str) -> Question:
        asked = f"The page of “{wine.title}”: it is the anchor."
        return Question(scene, asked, {"anchors": PAGE}, parts, on_page)

    def shopper(scene: str, asked: str, *parts: str, user: str = "", visitor: str = "") -> Question:
        return Question(scene, asked, {"user": user or None, "visitor": visitor or None}, parts)

    def category(scene: str, part: str) -> Question:
        asked = f"The page of the category {CATEGORY}: a filter names it."
        return Question(scene, asked, {"filter": F.category == CATEGORY}, (part,))

    return (
        page("similar", "visual", "co_view"),
        page("similar-looks", "visual"),
        page("similar-behavior", "co_view", "co_purchase"),
        page("bought-together", "co_purchase"),
        page("also-viewed", "co_view"),
        page("complete-the-look", "visual"),
        Question(
            "cart",
            f"A cart with “{wine.title}” and “{beside.title}”: both are anchors.",
            {"anchors": [PAGE, BESIDE], "visitor": VISITOR},
            ("co_purchase", "co_view"),
            in_cart,
        ),
        shopper(
            "for-you",
            f"Customer {CUSTOMER} on the home page; no model was trained.",
            *("visual", "affinity"),
            user=CUSTOMER,
        ),
        Question(
            "reorder",
            f"Customer {CUSTOMER}, who ordered these twice and more since.",
            {"user": CUSTOMER},
            ("reorder",),
            tuple(_shown(known[each], "ordered before") for each in AGAIN),
        ),
        shopper(
            "recently-viewed",
            f"Visitor {VISITOR}, who looked at three sparkling wines.",
            "recently_viewed",
            visitor=VISITOR,
        ),
        category("popular", "best_sellers"),
        category("trending", "trending"),
        category("new", "freshness"),
        Question(
            "photo",
            f"A shopper's photo of “{wine.title}”, cropped, turned and darkened.",
            {"image": photo},
            ("visual",),
            (Shown(photo, "the photo that was sent"),),
        ),
        Question("text", f"“{TEXT}”, typed into the search box.", {"text": TEXT}, ("text",)),
        Question(
            "default",
            f"Customer {CUSTOMER} on any page: the request names nothing else.",
            {"user": CUSTOMER},
            ("visual", "affinity"),
        ),
        Question(
            "feed",
            f"Customer {CUSTOMER}, who follows {AUTHORS[0]} and {AUTHORS[1]}.",
            {"user": CUSTOMER, "followed": list(AUTHORS[:2])},
            ("followed", "freshness"),
        ),
    )


def controlled(wines: Sequence[Wine]) -> tuple[Question, tuple[Control, ...]]:
    """Return the same page with a merchandiser's controls, and the controls."""
    first = next(q for q in questions(wines) if q.scene == "similar-looks")
    hero = next(wine for wine in wines if wine.type == "Sparkling" and wine.available)
    gone = next(wine for wine in wines if not wine.available)
    controls = (
        Control("hero", ControlKind.PIN, [hero.id], place=1),
        Control("sold-out", ControlKind.PIN, [gone.id], place=2),
        Control("whites", ControlKind.BOOST, filter=F.category == "White", boost=0.5),
    )
    asked = (
        f"The same page, with “{hero.title}” pinned to place 1, “{gone.title}”, which is sold out,"
        " to place 2, and white wines boosted by 0.5."
    )
    request: RecommendOptions = {**first.request, "controls": controls}
    return Question(first.scene, asked, request, first.parts, first.queries), controls


def _shown(wine: Wine, caption: str) -> Shown:
    return Shown(wine.image.read_bytes(), f"{caption}: {wine.title}")
