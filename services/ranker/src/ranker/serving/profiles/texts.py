"""Sentences of profiles in English and Chinese."""

from collections.abc import Mapping, Sequence

from ranker.domain import features
from sightline_core.reasons import in_language

ATTRIBUTE, PRICE_BAND = "ATTRIBUTE", "PRICE_BAND"
KINDS: Mapping[str, str] = {
    features.CATEGORY_KIND: "CATEGORY",
    features.BRAND_KIND: "BRAND",
    features.PRICE_KIND: PRICE_BAND,
    features.TAG_KIND: "TAG",
    features.LOOK_KIND: "STYLE",
}
"""Affinity.Kind (without its prefix) by the kind of a feature's name; attributes have a prefix."""

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "CATEGORY": "You often choose from {value}",
        "BRAND": "You like the brand {value}",
        "PRICE_BAND": "You often choose prices of {value}",
        "TAG": "You like {value}",
        "ATTRIBUTE": "You like {key} {value}",
        "STYLE": "You like what looks like {value}",
        "range": "{currency} {least} to {below}",
        "free": "nothing at all",
        "segment": "People who like {names}",
        "segment_plain": "People of many interests",
        "join": ", ",
        "ACTIVITY": "Last here {ago}; {visits}, {rate} a week",
        "today": "today",
        "days": "{count} days ago",
        "day": "yesterday",
        "visit": "1 visit",
        "visits": "{count} visits",
        "IN_CATEGORY": "It belongs to {value}",
        "OF_BRAND": "It is by {value}",
        "PRICED": "Its price is in the range of {value}",
        "PRICED_FREE": "It is free",
        "TAGGED": "It is described as {value}",
        "HAS": "{key}: {value}",
        "RISING": "It is becoming more popular",
        "FALLING": "It is becoming less popular",
        "POPULAR": "{share}% as popular as the most popular product",
        "LOOKS": "It looks like {value}",
    },
    "zh": {
        "CATEGORY": "您常选{value}类商品",
        "BRAND": "您喜欢品牌{value}",
        "PRICE_BAND": "您常选{value}的价位",
        "TAG": "您喜欢{value}",
        "ATTRIBUTE": "您喜欢{key}为{value}的商品",
        "STYLE": "您喜欢外观与{value}相近的商品",
        "range": "{currency} {least}至{below}",
        "free": "免费",
        "segment": "喜欢{names}的人",
        "segment_plain": "兴趣广泛的人",
        "join": "、",
        "ACTIVITY": "最近一次来访：{ago}；共{visits}，每周{rate}次",
        "today": "今天",
        "days": "{count}天前",
        "day": "昨天",
        "visit": "1次",
        "visits": "{count}次",
        "IN_CATEGORY": "属于{value}",
        "OF_BRAND": "品牌为{value}",
        "PRICED": "价位为{value}",
        "PRICED_FREE": "免费",
        "TAGGED": "标签：{value}",
        "HAS": "{key}：{value}",
        "RISING": "热度正在上升",
        "FALLING": "热度正在下降",
        "POPULAR": "热度为最热门商品的{share}%",
        "LOOKS": "外观与{value}相近",
    },
}


class ProfileWords:
    """Sentences of one language; English if the language is not supported."""

    def __init__(self, language_code: str) -> None:
        """`language_code`: BCP 47."""
        self._texts = in_language(TEXTS, language_code)

    def say(self, what: str, **named: object) -> str:
        """Format the sentence named `what` with these values."""
        return self._texts[what].format(**named)

    def join(self, parts: Sequence[str]) -> str:
        return self._texts["join"].join(parts)

    def feature(self, name: str) -> tuple[str, str, str]:
        """Return a feature's kind, its attribute's key if it is one, and its value in words."""
        kind, _, value = name.partition("=")
        if kind.startswith(features.ATTRIBUTE_KIND):
            return ATTRIBUTE, kind.removeprefix(features.ATTRIBUTE_KIND), value
        known = KINDS[kind]
        return known, "", self.prices(value) if known == PRICE_BAND else value

    def prices(self, band: str) -> str:
        least, below = features.price_range(band)
        if not below.micros:
            return self._texts["free"]
        return self.say(
            "range", currency=least.currency, least=_amount(least), below=_amount(below)
        )

    def ago(self, days: float) -> str:
        whole = int(days)
        if whole < 2:
            return self._texts["day" if whole else "today"]
        return self.say("days", count=whole)

    def visits(self, count: int) -> str:
        return self.say("visit" if count == 1 else "visits", count=count)


def _amount(money: features.Money) -> str:
    amount = money.micros / 1e6
    return f"{amount:.2f}" if amount < 100 else f"{amount:.0f}"
