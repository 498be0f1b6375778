"""Tables of answers and states for a terminal. Each table explains its figures."""

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _, later, npgettext, pgettext
from sightline_client.cli.show.grids import grid, lines, phrase
from sightline_client.cli.show.grids import plain as plain  # noqa: PLC0414 (also imported from here)
from sightline_client.cli.show.value_tables import ValueTable, written
from sightline_client.values import answers, operations
from sightline_client.values.catalog import Availability
from sightline_client.values.controls import ControlOutcome, ControlResult

PARTS = MappingProxyType(
    {
        "visual": "looks like the query, or like the shopper's last products",
        "text": "text is similar to the query, or to the shopper's last products",
        "text_visual": "photo matches the query's text",
        "keywords": "contains the query's words",
        "labels": "has words of the label in the query's photo",
        "collaborative": "liked by shoppers who liked the query's products",
        "taste": "fits this customer's history",
        "session": "fits the products viewed last",
        "item_item": "liked by shoppers who liked the products viewed last",
        "bought_together": "bought with products that were added to the cart",
        "content": "new, with features that fit this customer's history",
        "trend": "liked more than usual recently",
        "affinity": "of a category or brand of the shopper's last products",
        "popularity": "liked by many",
        "co_view": "viewed in the same visits",
        "co_purchase": "in the same orders and baskets",
        "trending": "more demand than usual",
        "best_sellers": "bought most",
        "reorder": "bought before, and due to be bought again",
        "recently_viewed": "viewed recently",
        "left_in_cart": "put into the cart, and not bought",
        "followed": "has a value that the shopper follows",
        "given": "score that the request gives",
        "freshness": "new in the catalog",
        "rating": "rated well",
        "stock": "units in stock",
        "margin": "share of the price above the cost",
        "low_price": "costs less than the other candidates",
        "fusion": "position by similarity (the ranker did not answer)",
    }
)
"""Meaning of each part of a score."""

CAUSES = MappingProxyType(
    {
        answers.Cause.UNKNOWN: "a cause that this client does not know: update it",
        answers.Cause.EMBEDDER_UNAVAILABLE: "photos and texts could not be embedded",
        answers.Cause.INDEX_UNAVAILABLE: "the vector index did not answer",
        answers.Cause.RETRIEVER_UNAVAILABLE: "the catalog did not answer",
        answers.Cause.RANKER_UNAVAILABLE: "the ranker did not answer: products are ordered by"
        " similarity",
        answers.Cause.PROFILE_UNAVAILABLE: "the shopper's history could not be read: the answer is"
        " not personal, and may contain products that the shopper hid",
        answers.Cause.STAGE_DEADLINE: "a stage exceeded its share of the deadline",
        answers.Cause.SPACE_UNAVAILABLE: "no model for this kind of query is installed",
        answers.Cause.MODEL_NOT_READY: "the promoted ranking model, or the one that the scene"
        " pins, is not loaded: see the ranker's log, or promote or pin another model",
        answers.Cause.ANSWER_RECORD_DROPPED: "this answer was not recorded: later pages and replay"
        " do not find it",
    }
)
"""Explanation of each cause of a degradation."""


SCORE_NOTES = MappingProxyType(
    {
        answers.ScoreNoteCause.UNKNOWN: "a cause that this client does not know: update it",
        answers.ScoreNoteCause.NUMBER_MISSING: "products lack the number",
        answers.ScoreNoteCause.COST_ABOVE_PRICE: "the cost is above the price: the margin is 0",
        answers.ScoreNoteCause.OTHER_CURRENCY: "amounts in another currency are left out",
        answers.ScoreNoteCause.RATING_WITHOUT_COUNT: "ratings without a count count as one rating",
        answers.ScoreNoteCause.CHANCE_BY_CLICKS: "too few purchases to learn from: the chance of a"
        " purchase follows that of a click",
        answers.ScoreNoteCause.CHANCE_BY_FORMULA: "too few events to learn from: a formula replaces"
        " chances",
        answers.ScoreNoteCause.NOT_APPLIED: "not applied, as the ranker did not answer",
    }
)
"""Explanation of each cause of a note about scores."""

QUALITIES = MappingProxyType(
    {
        answers.AnswerQuality.SNAPSHOT: "cached products, whose prices and availability may be out"
        " of date",
        answers.AnswerQuality.FALLBACK: "popular or new products, because the search failed",
        answers.AnswerQuality.REDUCED: "computed without a part, such as the ranker",
    }
)
"""Explanation of each quality below FULL."""


def answer(
    value: answers.Recommendations, *, title: str = "", verbose: bool = False
) -> RenderableType:
    """Show an answer as a table, with degradations. ``verbose``: with timings and versions."""
    return Group(_results(value.results, title), *_notes(value), *computed(value, verbose=verbose))


def computed(
    value: answers.Recommendations
    | answers.SearchResults
    | answers.RecommendedValues
    | answers.Listing,
    *,
    verbose: bool,
) -> Iterator[RenderableType]:
    """Yield the stage timings and versions of an answer, if wanted."""
    if not verbose:
        return
    yield timings(value.stage_timings)
    if value.versions is not None:
        freshness = None if isinstance(value, answers.Listing) else value.freshness
        yield from versions(value.versions, freshness)


def status(value: operations.Status) -> RenderableType:
    """Show the suite's state: each part, the catalog and its index, the model, the scenes."""
    columns = (pgettext("component", "part"), _("state"), _("answered in ms"))
    rows = (
        (one.component, _component_state(one), written(one, "latency")) for one in value.components
    )
    table = grid(columns, rows, right=columns[2:])
    return Group(table, *(Text(line) for line in (_(STATUS_CAPTION), *_status_lines(value))))


def catalog(value: operations.Status) -> RenderableType:
    """Show how many photos and texts of the catalog are in the index."""
    lines = [*_index_lines(value), *_outgrown(value)]
    return Group(*map(Text, lines))


STATUS_CAPTION = later("answered in ms: response time of the health check, measured by the gateway")


def degradation(value: answers.Degradation) -> str:
    """Write a degradation: its stage, cause and fallback."""
    as_of = _(" (as of {as_of:%Y-%m-%d %H:%M:%S} UTC)", value) if value.as_of else ""
    instead = (
        _(" Fallback: {substitute}{as_of}.", substitute=plain(value.substitute), as_of=as_of)
        if value.substitute
        else ""
    )
    cause = f"{_(CAUSES[value.cause])} [{value.cause}]"
    return f"{plain(value.stage)}: {cause}" + _(".") + instead


def degraded(values: Iterable[answers.Degradation]) -> list[Text]:
    """Show each degradation on a line."""
    return [phrase("Degraded: {item}", item=degradation(item), style="yellow") for item in values]


_stages = ValueTable(
    answers.StageTiming,
    {name: name for name in ("stage", "start", "total", "network", "work")},
    right=("start", "total", "network", "work"),
)


def timings(values: Sequence[answers.StageTiming]) -> RenderableType:
    """Show stage timings in milliseconds."""
    if not values:
        return phrase("No stage timings in this answer.")
    # Below the table and not its caption, which would wrap to its narrow width.
    return Group(_stages(values), Text(_(TIMINGS_CAPTION), style="dim"))


TIMINGS_CAPTION = later(
    "Milliseconds by the gateway's clock. start: since the request began (stages that overlap ran"
    " concurrently); network: transfer and queueing; work: in the called service; –: unknown"
)


def versions(value: answers.Versions, freshness: answers.Freshness | None) -> list[Text]:
    """Return the versions that computed the answer, a line each."""
    lines = [
        phrase(
            "space {space}: version {version}, index generation {generation}",
            space,
            generation=space.generation or "–",
            style="dim",
        )
        for space in value.spaces
    ]
    lines += [
        phrase(
            "ranking model: {model_version}",
            model_version=value.model_version or _("none yet"),
            style="dim",
        ),
        phrase(
            "scene: {scene} (content {scene_version}); plan: {plan}; gateway {service_version}",
            value,
            style="dim",
        ),
    ]
    if freshness is not None:
        lines.append(Text(index_line(freshness), style="dim"))
    return lines


SEE = later("see the docs")
LEAST_SHOWN = 0.0005
"""Minimum shown; smaller parts would be printed as 0.000."""


def parts(product: answers.RecommendedProduct) -> str:
    """Write the contributions to a raw score, largest first, without those that would be printed
    as 0.000."""
    ordered = sorted(product.parts, key=lambda part: -abs(part.value))
    shown = [part for part in ordered if abs(part.value) >= LEAST_SHOWN] or ordered[:1]
    return "  ".join(f"{plain(part.name)} {part.value:+.3f}" for part in shown)


RAW_SCORE = later(
    "raw score: the sum of its parts; it has no unit and is comparable within this answer only."
)


def part_meanings(results: Iterable[answers.RecommendedProduct]) -> str:
    """Explain the parts that occur."""
    names = dict.fromkeys(part.name for result in results for part in result.parts)
    meanings = "; ".join(f"{plain(name)}: {_(PARTS.get(name, SEE))}" for name in names)
    return meanings + _(".") if meanings else ""


def like_it(item: answers.RecommendedProduct | answers.FoundProduct) -> str:
    """Write how many near-duplicates the product represents: "+2 like it"; "" = none."""
    number = len(item.collapsed_product_ids)
    return _("+{number:,} like it", number=number) if number else ""


def titled(item: answers.RecommendedProduct | answers.FoundProduct) -> str:
    """Write the product's title, and how many near-duplicates it represents."""
    like = like_it(item)
    return plain(item.product.title) + (f" ({like})" if like else "")


def like_it_caption(results: Iterable[answers.RecommendedProduct | answers.FoundProduct]) -> str:
    """Explain "like it" if it occurs; "" = it does not."""
    if not any(item.collapsed_product_ids for item in results):
        return ""
    return _(
        "+n like it: variants and products with the same photo that the product "
        "represents; --json has their ids."
    )


def _results(results: Sequence[answers.RecommendedProduct], title: str) -> RenderableType:
    if not results:
        return phrase("{title}No products match.", title=title + ": " if title else "")
    parts, score, category = _("parts"), _("raw score"), _("category")
    columns = (_("rank"), _("product"), _("title"), category, _("price"), score, parts, _("reason"))
    return grid(
        columns,
        map(_cells, results),
        right=(columns[0], _("price"), score),
        spare=(category, parts),
        title=Text(plain(title), style="bold") if title else None,
        notes={
            score: _(RAW_SCORE),
            parts: part_meanings(results),
            _("title"): like_it_caption(results),
        },
    )


def _cells(item: answers.RecommendedProduct) -> tuple[str | Text, ...]:
    product = item.product
    sold_out = _("\n(sold out)") if product.availability is Availability.OUT_OF_STOCK else ""
    return (
        str(item.rank),
        plain(product.product_id),
        titled(item),
        plain(" > ".join(product.category_path)) or "–",
        lines((str(product.price) if product.price is not None else "–") + sold_out),
        lines(f"{item.raw_score:.4f}\n{chance(item)}".rstrip()),
        parts(item),
        plain(item.reasons[0].text or item.reasons[0].code) if item.reasons else "–",
    )


def chance(item: answers.RecommendedProduct) -> str:
    """Write the calibrated score with its event; "" = it has none."""
    event = item.score_event.lower().replace("_", " ") if item.score_event else ""
    return "" if item.score is None else f"{item.score:.1%} {event}".rstrip()


def empty(value: answers.EmptyReason | None) -> list[Text]:
    """Say why an answer has no results."""
    if value is None:
        return []
    lines = [Text(plain(value.text), style="yellow")]
    if value.near_category_paths:
        near = ", ".join(f'"{path}"' for path in value.near_category_paths)
        lines.append(Text(plain(_("near categories: {near}", near=near)), style="yellow"))
    return lines


def corrected(values: Iterable[answers.CorrectedQuery]) -> list[Text]:
    """Say which texts were corrected."""
    return [
        phrase(
            "Searched for “{text}” instead of “{original_text}”.",
            each,
        )
        for each in values
    ]


def _notes(value: answers.Recommendations) -> list[Text]:
    notes = [*empty(value.empty_reason), *corrected(value.corrected_queries)]
    notes += degraded(value.degradations)
    if words := QUALITIES.get(value.quality):
        notes.append(phrase("Quality: {words} [{quality}]", value, words=_(words), style="yellow"))
    if value.no_good_match:
        notes.append(Text(poor(value), style="yellow"))
    if value.missing_product_ids:
        missing = ", ".join(value.missing_product_ids)
        notes.append(phrase("Not in the catalog: {missing}", missing=missing, style="yellow"))
    notes += resting(value.control_outcomes)
    notes += map(score_note, value.score_notes)
    if value.hidden_count:
        notes.append(phrase("Left out because the shopper hid them: {hidden_count}", value))
    if value.experiment_arms:
        arms = ", ".join(value.experiment_arms)
        notes.append(phrase("Experiment arms: {arms}", arms=arms))
    return notes


def resting(values: Iterable[ControlOutcome]) -> Iterator[Text]:
    """Yield why controls do not apply."""
    for each in values:
        if each.outcome is not ControlResult.APPLIED:
            of = f"{each.scene}: {each.control}" if each.scene else each.control
            yield phrase(
                "Control {of}: {product_id} {became}",
                each,
                of=of,
                became=each.outcome.lower().replace("_", " "),
            )


def score_note(value: answers.ScoreNote) -> Text:
    """Say what the scores lack."""
    became = _(SCORE_NOTES[value.cause])
    if value.product_count:
        became += f" ({counted(value.product_count, 'candidate', 'candidates')})"
    return phrase("Score {part}: {became}", part=value.part, became=became, style="yellow")


def poor(value: answers.Recommendations) -> str:
    """Say why there is no good match."""
    nearest = _(": these are the nearest") if value.results else ""
    return _(
        "No good match for the query{nearest}. {match}",
        nearest=nearest,
        match=plain(why(value.match)),
    ).rstrip()


def why(match: answers.Match | None) -> str:
    """Say how good the best match is, and in which version of a space; "" = unknown."""
    if match is None or not match.text:
        return ""
    of = f" ({match.space.space} {match.space.version})" if match.threshold and match.space else ""
    return match.text + of


def _component_state(item: operations.ComponentStatus) -> Text:
    if item.error is None:
        return Text(pgettext("component", "answers"), style="green")
    return Text(f"{item.error.code.name}: {plain(item.error.message)}", style="red")


def _status_lines(value: operations.Status) -> list[str]:
    model = value.model_version or _("none yet")
    return [
        *_index_lines(value),
        plain(_("ranking model: {model_version}", model_version=model)),
        plain(_("scenes: {scenes}", scenes=", ".join(value.scenes) or _("none"))),
        *(
            plain(_("scene file rejected: {problem}", problem=each))
            for each in value.scene_problems
        ),
        *_outgrown(value),
    ]


def _outgrown(value: operations.Status) -> list[str]:
    return [plain(_("outgrown: {advice}", advice=each)) for each in value.advice]


def _index_lines(value: operations.Status) -> list[str]:
    space = value.visual_space
    lines = [
        _("products in the catalog: {products}", products=count(value.products)),
        _(
            "photos: {indexed_images} in the index, {pending_images} pending embedding, "
            "{failed_images} could not be embedded",
            indexed_images=count(value.indexed_images),
            pending_images=count(value.pending_images),
            failed_images=count(value.failed_images),
        ),
        _(
            "texts: {indexed_texts} in the index, {pending_texts} pending embedding, "
            "{failed_texts} could not be embedded",
            indexed_texts=count(value.indexed_texts),
            pending_texts=count(value.pending_texts),
            failed_texts=count(value.failed_texts),
        ),
        _("visual space: ")
        + (
            _("version {version}, index generation {generation}", space)
            if space
            else _("not known")
        ),
    ]
    if space and value.embedder_space_version not in ("", space.version):
        lines.append(_("the embedder already serves version {embedder_space_version}", value))
    lines += [_offer_line(each) for each in value.embedder_spaces]
    if value.freshness is not None:
        lines.append(index_line(value.freshness))
    lines += map(_recall_line, value.recall)
    return [plain(line) for line in lines]


def _offer_line(offered: operations.EmbedderSpace) -> str:
    notes = (_("the default"),) * offered.default + (_("not ready"),) * (not offered.ready)
    noted = f" ({', '.join(notes)})" if notes else ""
    return _(
        "embedder: {space} by {model}, version {version}{noted}",
        offered,
        version=offered.version or "?",
        noted=noted,
    )


def index_line(freshness: answers.Freshness) -> str:
    behind = freshness.lag.total_seconds()
    lag = _("{behind:.1f} s behind the catalog", behind=behind) if behind else _("up to date")
    photos = counted(freshness.pending, "photo", "photos")
    pending = _("; {photos} pending embedding", photos=photos) if freshness.pending else ""
    return _("index: {lag}{pending}", lag=lag, pending=pending)


def _recall_line(item: operations.RecallEstimate) -> str:
    filters = (
        _("without filter") if item.filter_class == "none" else _("{filter_class} filters", item)
    )
    line = _(
        "recall at {k} ({plan}, {filters}): {recall:.3f}, {lower:.3f} to {upper:.3f} by {searches}",
        item,
        filters=filters,
        searches=counted(item.search_count, "search", "searches"),
    )
    if item.ef_factor > 1:
        line += f"; ef ×{item.ef_factor:g}"
    return line + _("; BELOW THE FLOOR") if item.below_floor else line


def count(value: int | None) -> str:
    """Write a count that may be unknown."""
    return _("not known") if value is None else f"{value:,}"


def counted(number: int, one: str, many: str) -> str:
    """Write a number with its noun: 1 product, 2 products."""
    return f"{number:,} {npgettext('number', one, many, number)}"
