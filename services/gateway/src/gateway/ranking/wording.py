"""Texts for people, in English and Chinese.

The ranker does not know titles: reasons that name a product are worded again here, with the title.
Other languages get English.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain

from gateway.model.explanation import ProductExplanation, ProductOutcome
from gateway.model.match import Match
from sightline_core.reasons import Reason, in_language, sentence
from sightline_core.search import UsedSynonym

TITLED: Mapping[str, Mapping[str, str]] = {
    "en": {
        "SIMILAR_TO_VIEWED": "Because you looked at {title}",
        "LIKED_TOGETHER": "People who like {title} like this too",
        "BOUGHT_WITH": "Often bought with {title}",
    },
    "zh": {
        "SIMILAR_TO_VIEWED": "因为您看过“{title}”",
        "LIKED_TOGETHER": "喜欢“{title}”的人也喜欢它",
        "BOUGHT_WITH": "常与“{title}”一起购买",
    },
}
"""Reasons that name a product."""

SIMILAR, TASTE = "SIMILAR_TO_VIEWED", "MATCHES_TASTE"
AFFINITY_CODE = "AFFINITY"
"""The ranker's code of the gateway's own part."""
OF_LAST_PRODUCTS = {"LOOKS_LIKE_QUERY": SIMILAR, "MATCHES_TEXT": SIMILAR}
"""Codes of parts by similarity, if a shopper's last products were searched by: code to give."""

WORDS = "MATCHES_WORDS"
SYNONYMS: Mapping[str, str] = {
    "en": "Has “{term}”, which means “{typed}” here",
    "zh": "包含“{term}”，即“{typed}”的同义词",
}
"""Reason MATCHES_WORDS of a product that has a synonym of what was typed."""

LABEL = "READS_LABEL"
LABELS: Mapping[str, str] = {
    "en": "The label reads “{text}”",
    "zh": "标签上写着“{text}”",
}
"""Reason READS_LABEL with the words of the photo's label that the product has."""

WHY = ProductOutcome
OUTCOMES: Mapping[str, Mapping[str, str]] = {
    "en": {
        WHY.SHOWN: "It is shown at place {rank}.",
        WHY.PRODUCT_NOT_FOUND: "The catalog has no product with this id.",
        WHY.EXCLUDED: "The request excludes it.",
        WHY.EXCLUDED_BY_CONTROL: "A control excludes it.",
        f"{WHY.EXCLUDED_BY_CONTROL}/named": "The control {controls} excludes it.",
        WHY.FILTERED: "The filter excludes it: it requires {condition} ({held}).",
        WHY.UNAVAILABLE: "It can't be bought now, and the scene excludes such products.",
        WHY.HIDDEN: "The shopper hid it.",
        WHY.SEEN: "The shopper has seen it, and the scene excludes such products.",
        WHY.COLLAPSED: "It is a variant of {into}, or looks the same, and is grouped with it.",
        WHY.NOT_A_CANDIDATE: "No branch found it; it would be at place {rank}.",
        f"{WHY.NOT_A_CANDIDATE}/similarity": "Its similarity is {similarity:.3f}, and that of"
        " the last candidate {last:.3f}: it is no candidate. It would be at place {rank}.",
        WHY.OUTRANKED: "It is at place {rank}.",
        f"{WHY.OUTRANKED}/score": "It is at place {rank}: its score is {score:.3f}, and"
        " that of the last product shown {last:.3f}.",
    },
    "zh": {
        WHY.SHOWN: "已展示，位于第 {rank} 位。",
        WHY.PRODUCT_NOT_FOUND: "商品目录中没有此编号的商品。",
        WHY.EXCLUDED: "请求本身排除了该商品。",
        WHY.EXCLUDED_BY_CONTROL: "被人工规则排除。",
        f"{WHY.EXCLUDED_BY_CONTROL}/named": "被人工规则 {controls} 排除。",
        WHY.FILTERED: "被筛选条件排除：要求 {condition}（{held}）。",
        WHY.UNAVAILABLE: "该商品目前无法购买，此处不展示这类商品。",
        WHY.HIDDEN: "该顾客隐藏了此商品。",
        WHY.SEEN: "该顾客已看过此商品，此处不展示看过的商品。",
        WHY.COLLAPSED: "它是 {into} 的款式，或外观相同，因此归在其后。",
        WHY.NOT_A_CANDIDATE: "没有任何来源提名该商品；若被提名，将位于第 {rank} 位。",
        f"{WHY.NOT_A_CANDIDATE}/similarity": "其相似度为 {similarity:.3f}，最后一个候选商品为"
        " {last:.3f}，因此未成为候选；若被提名，将位于第 {rank} 位。",
        WHY.OUTRANKED: "位于第 {rank} 位。",
        f"{WHY.OUTRANKED}/score": "位于第 {rank} 位：其得分为 {score:.3f}，最后展示的商品得分为"
        " {last:.3f}。",
    },
}


MATCHES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "GOOD": "There is a good match: its score is {value:.3f}, and at least {threshold:.3f} is"
        " required.",
        "POOR/visual": "Nothing in the catalog looks like this: the best match has {value:.3f}, and"
        " at least {threshold:.3f} is required.",
        "POOR/text": "Nothing in the catalog matches the text: the best match has {value:.3f},"
        " and at least {threshold:.3f} is required.",
        "POOR/text_visual": "Nothing in the catalog looks like the text: the best match has"
        " {value:.3f}, and at least {threshold:.3f} is required.",
        "POOR/keywords": "No product matches the words of the text well enough: the best match has"
        " {value:.3f}, and at least {threshold:.3f} is required.",
        "POOR": "Nothing in the catalog is likely enough: the highest probability is {value:.3f},"
        " and at least {threshold:.3f} is required.",
        "NOTHING_FOUND": "Nothing was found in the catalog.",
        "NO_THRESHOLD": "The best match has {value:.3f}; no threshold is set.",
        "INCOMPLETE": "A part of the search failed: it is unknown whether there is a good match.",
    },
    "zh": {
        "GOOD": "有良好匹配：得分 {value:.3f}，要求为 {threshold:.3f}。",
        "POOR/visual": "目录中没有外观相似的商品：最接近的为 {value:.3f}，良好匹配至少为"
        " {threshold:.3f}。",
        "POOR/text": "目录中没有符合描述的商品：最接近的为 {value:.3f}，良好匹配至少为"
        " {threshold:.3f}。",
        "POOR/text_visual": "目录中没有外观符合描述的商品：最接近的为 {value:.3f}，良好匹配至少为"
        " {threshold:.3f}。",
        "POOR/keywords": "没有商品足够符合所输入的词语：最高为 {value:.3f}，要求为"
        " {threshold:.3f}。",
        "POOR": "目录中没有足够可能的商品：最高概率为 {value:.3f}，要求为 {threshold:.3f}。",
        "NOTHING_FOUND": "目录中没有找到相应的商品。",
        "NO_THRESHOLD": "最接近的为 {value:.3f}；没有可比较的阈值。",
        "INCOMPLETE": "部分搜索失败：无法判断是否有良好匹配。",
    },
}
"""Sentences about a match, by outcome and, where it matters, branch."""


CACHED = 4_096
"""Reasons that stay worded: products share most of them."""


@lru_cache(CACHED)
def own_reason(code: str, language_code: str) -> Reason:
    """Return a reason of the gateway's own."""
    text = sentence(f"{code}/", language_code) or sentence(code, language_code)
    return Reason(code, text or code)


@lru_cache(CACHED)
def of_last_products(
    reasons: tuple[Reason, ...],
    language_code: str,
    product_id: str = "",
    feature: tuple[str, str] | None = None,
) -> tuple[Reason, ...]:
    """Return reasons of a product that the shopper's last ones found, each once.

    `product_id`: the last product that it is most like; `feature`: kind and value that it shares
    with them. Both may be unknown.
    """
    named = (("product_id", product_id),) if product_id else ()
    found = []
    for reason in reasons:
        if code := OF_LAST_PRODUCTS.get(reason.code):
            found.append(Reason(code, own_reason(code, language_code).text, named))
        elif reason.code == AFFINITY_CODE:
            found.append(_taste(language_code, feature))
        else:
            found.append(reason)
    return tuple(dict.fromkeys(found))


def _taste(language_code: str, feature: tuple[str, str] | None) -> Reason:
    if feature is None:
        return own_reason(TASTE, language_code)
    kind, value = feature
    text = sentence(TASTE, language_code) or TASTE
    return Reason(TASTE, text.format(value=value), (("feature", kind), ("value", value)))


def named_products(reasons: Iterable[tuple[Reason, ...]]) -> list[str]:
    """Return the products whose titles the reasons need, each once."""
    return [*dict.fromkeys(chain.from_iterable(map(named, reasons)))]


@lru_cache(CACHED)
def named(reasons: tuple[Reason, ...]) -> tuple[str, ...]:
    """Return the products whose titles the reasons of a product need."""
    found = (each.product_id for each in reasons if each.code in TITLED["en"])
    return tuple([product_id for product_id in found if product_id])


@lru_cache(CACHED)
def titled(
    reasons: tuple[Reason, ...], titles: tuple[str | None, ...], language_code: str
) -> tuple[Reason, ...]:
    """Return a product's reasons with the titles of the products that they name (`named`); one
    whose title is unknown stays unchanged."""
    known = dict(zip(named(reasons), titles, strict=True))
    templates, found = in_language(TITLED, language_code), list[Reason]()
    for reason in reasons:
        template, title = templates.get(reason.code), known.get(reason.product_id)
        if template and title:
            text = template.format(title=title)
            found.append(Reason(reason.code, text, reason.parameters))
        else:
            found.append(reason)
    return tuple(found)


def meant(reasons: tuple[Reason, ...], used: UsedSynonym, language_code: str) -> tuple[Reason, ...]:
    """Return reasons of a product that has a synonym of what was typed: MATCHES_WORDS says so, and
    is added if it is missing."""
    text = in_language(SYNONYMS, language_code)
    parameters = (("typed", used.typed), ("synonym", used.term))
    own = Reason(WORDS, text.format(typed=used.typed, term=used.term), parameters)
    if all(reason.code != WORDS for reason in reasons):
        return (*reasons, own)
    return tuple([own if reason.code == WORDS else reason for reason in reasons])


def read(reasons: tuple[Reason, ...], text: str, language_code: str) -> tuple[Reason, ...]:
    """Return reasons of a product that has words of a label, as the photo shows them: READS_LABEL
    says them, and is added if it is missing."""
    template = in_language(LABELS, language_code)
    own = Reason(LABEL, template.format(text=text), (("text", text),))
    if all(reason.code != LABEL for reason in reasons):
        return (*reasons, own)
    return tuple([own if reason.code == LABEL else reason for reason in reasons])


def outcome(value: ProductExplanation, language_code: str) -> str:
    """Return the outcome of a product, as a sentence."""
    key: str = value.outcome
    known: dict[str, object] = {"into": value.collapsed_into}
    if value.placed is not None:
        known |= {"rank": value.placed.rank, "score": value.placed.answered.raw_score}
    if value.rejection is not None:
        held = "; ".join(value.rejection.held)
        known |= {"condition": value.rejection.condition, "held": held}
    if value.outcome is ProductOutcome.EXCLUDED_BY_CONTROL and value.excluding:
        key, known["controls"] = f"{key}/named", ", ".join(value.excluding)
    if value.outcome is ProductOutcome.OUTRANKED and value.last_shown is not None:
        key, known["last"] = f"{key}/score", value.last_shown.answered.raw_score
    if value.outcome is ProductOutcome.NOT_A_CANDIDATE:
        for verdict in value.branches:
            if verdict.similarity is not None and verdict.last_similarity is not None:
                key = f"{ProductOutcome.NOT_A_CANDIDATE}/similarity"
                known |= {"similarity": verdict.similarity, "last": verdict.last_similarity}
                break
    return in_language(OUTCOMES, language_code)[key].format(**known)


def matched(match: Match, language_code: str) -> str:
    """Return the quality of the best match, as a sentence."""
    name = match.outcome.name
    texts = in_language(MATCHES, language_code)
    text = texts.get(f"{name}/{match.branch}") or texts.get(name, "")
    return text.format(value=match.value or 0.0, threshold=match.threshold or 0.0)
