"""Reasons of products with their sentences, and why ranks differ from score ranks."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Reason(NamedTuple):
    """A reason for a product, in words. A tuple, because caches by reasons hash many of them."""

    code: str
    text: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Names with values."""

    @property
    def product_id(self) -> str:
        """The product that it names; empty if none."""
        for name, value in self.parameters:
            if name == "product_id":
                return value
        return ""


class ReasonText(NamedTuple):
    """Sentence of a reason in each language; a template of the reason's parameters."""

    en: str
    zh: str


REASONS: Mapping[str, ReasonText] = MappingProxyType(
    {
        "NEW": ReasonText("New in the shop", "新品上架"),
        "LOOKS_LIKE_QUERY": ReasonText("Looks like what you showed us", "与您提供的图片相似"),
        "MATCHES_TEXT": ReasonText("Matches what you asked for", "符合您的描述"),
        "LOOKS_LIKE_TEXT": ReasonText("Looks like what you asked for", "外观符合您的描述"),
        "MATCHES_WORDS": ReasonText("Has the words that you typed", "包含您输入的词语"),
        "READS_LABEL": ReasonText("Has words of the label in your photo", "包含照片标签上的词语"),
        "LIKED_TOGETHER": ReasonText(
            "Liked by people who like the same products", "喜欢同类商品的人也喜欢它"
        ),
        "SIMILAR_TO_VIEWED": ReasonText("Similar to something you looked at", "与您看过的商品相似"),
        "VIEWED_RECENTLY": ReasonText("You looked at this recently", "您最近看过"),
        "BOUGHT_WITH": ReasonText(
            "Often bought with something you chose", "常与您选过的商品一起购买"
        ),
        "MATCHES_TASTE": ReasonText("Fits your taste: {value}", "符合您的喜好：{value}"),
        "MATCHES_TASTE/price_band": ReasonText(
            "In a price range you often choose", "在您常选的价格区间"
        ),
        "MATCHES_TASTE/style": ReasonText("Has the look that you like", "是您喜欢的外观"),
        "MATCHES_TASTE/": ReasonText("Fits your taste", "符合您的喜好"),
        "POPULAR": ReasonText("Popular right now", "当前热门"),
        "ALSO_VIEWED": ReasonText(
            "Viewed by people who looked at the same things", "看过同样商品的人也看了它"
        ),
        "TRENDING": ReasonText("Wanted more than usual these days", "近来关注上升"),
        "BEST_SELLER": ReasonText("Sells best these weeks", "近期畅销"),
        "BUY_AGAIN": ReasonText("You bought this before", "您以前买过"),
        "LEFT_IN_CART": ReasonText("You put this into your cart", "您曾加入购物车"),
        "FOLLOWED": ReasonText("By someone you follow", "来自您关注的人"),
        "RATING": ReasonText("Rated well", "评价良好"),
        "STOCK": ReasonText("In stock", "现货充足"),
        "GIVEN": ReasonText("Selected for this page", "为此页面挑选"),
        "FEATURED": ReasonText("Picked by the shop", "店铺精选"),
    }
)
"""Sentence by code, and by code and kind of feature: "/" without a feature."""


def sentence(key: str, language_code: str) -> str | None:
    """Return the sentence of REASONS in a language (BCP 47), English in others than its own; None
    if no reason has this key."""
    texts = REASONS.get(key)
    return None if texts is None else in_language(texts._asdict(), language_code)


def in_language(texts: Mapping[str, T], language_code: str) -> T:
    """Return what is given for a language (BCP 47), English for one that is not among them."""
    found = texts.get(language_code.partition("-")[0].lower())
    return texts["en"] if found is None else found


class MoveCause(IntEnum):
    """Rule that moves a product, by the numbers of Move.Cause."""

    UNSPECIFIED = 0
    DIVERSITY = 1
    BRAND_CAP = 2
    CATEGORY_CAP = 3
    POPULARITY = 4
    EXPLORATION = 5
    CONTROL = 6
    COLLAPSE = 7
    OBJECTIVE = 8
    CALIBRATION = 9


class Move(NamedTuple):
    """Number of places that a rule moved a product up; negative: down."""

    cause: int
    """A MoveCause, or a cause that only a newer ranker knows."""
    places: int
