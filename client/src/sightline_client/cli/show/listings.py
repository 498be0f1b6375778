"""Products, jobs, models and index generations as tables for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline.common.v1 import audit_service_pb2
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, tables
from sightline_client.cli.show.grids import grid, lines, phrase, plain
from sightline_client.cli.show.value_tables import Column, ValueTable, moment
from sightline_client.convert import from_wire
from sightline_client.files.audit import AuditSegment
from sightline_client.values.answers import FoundProduct, Listing, RecommendedProduct, SearchResults
from sightline_client.values.catalog import CategoryDoubt, DistinctPair, PhotoMisfit
from sightline_client.values.catalogs import Catalog, CatalogAlias, SteeredBy
from sightline_client.values.evaluation import EvaluationVerdict
from sightline_client.values.facets import Facet
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.operations import (
    AuditEntry,
    Backup,
    Generation,
    Job,
    Model,
    Takedown,
    Verification,
)
from sightline_client.values.products import FIELDS, Product
from sightline_client.values.suggestions import Suggestion, Suggestions, TopSearch, TopSearches


def _result(job: Job) -> str:
    made = ", ".join(f"{name} {value}" for name, value in job.results.items())
    return (str(job.error) if job.error is not None else made) or "–"


def _done(job: Job) -> str:
    return f"{job.done:,}" + (_(" of {total:,}", job) if job.total else "")


jobs = ValueTable(
    Job,
    {
        "job": "job_id",
        "kind": "kind",
        "state": "state",
        "done": _done,
        "result": _result,
        "created": "create_time",
        "ended": "end_time",
    },
    empty="No jobs.",
    spare=("created", "done"),
)


def _outcome(entry: AuditEntry) -> str:
    more = _(" and {left_out:,} more", entry) if entry.left_out else ""
    return (entry.reason or entry.code) + more


audit_entries = ValueTable(
    AuditEntry,
    {
        "time": "time",
        "caller": "caller",
        "call": lambda entry: entry.method.rpartition("/")[2],
        "outcome": _outcome,
        "request": "request_id",
    },
    empty="No audit entries.",
    spare=("request",),
)


def audit(message: audit_service_pb2.ListAuditEntriesResponse) -> RenderableType:
    """Show entries of the audit log, a line each, and how to continue."""
    entries = [*map(from_wire.audit_entry, message.entries)]
    if not message.next_page_token:
        return audit_entries(entries)
    more = _("for older entries repeat the command with --page {next_page_token}", message)
    return Group(audit_entries.grid(entries), Text(more))


_chains = ValueTable(
    AuditSegment,
    {
        "store": "store",
        "catalog": "catalog",
        "entries": "count",
        "from": lambda segment: f"{segment.begin.number + 1:,}",
        "to": "end.number",
        "not chained": "unchained",
    },
)


def audit_chains(segments: Sequence[AuditSegment]) -> RenderableType:
    """Show verified chains of the audit log, and how to verify them later."""
    old = sum(each.unchained for each in segments)
    notes = [Text(f"--head {head(each)}") for each in segments if each.end.number]
    if old:
        notes.append(
            phrase("{old:,} entries are from before there were chains: not verified", old=old)
        )
    return Group(_chains(segments), *notes)


def head(segment: AuditSegment) -> str:
    """Return the end of a chain as `sightline audit verify --head` takes it."""
    return f"{segment.store}:{segment.end.number}:{segment.end.hash.hex()}"


def chain_facts(segment: AuditSegment) -> dict[str, object]:
    """Return a verified chain for programs."""
    return {
        "store": segment.store,
        "catalogId": segment.catalog,
        "entries": segment.count,
        "unchained": segment.unchained,
        "after": segment.begin.number,
        "head": head(segment),
    }


def _spaces(backup: Backup) -> str:
    spaces = ", ".join(f"{space.space} {space.generation}" for space in backup.spaces)
    return str(backup.error) if backup.error is not None else spaces or "–"


backups = ValueTable(
    Backup,
    {
        "backup": "backup_id",
        "taken": "create_time",
        "products": "product_count",
        "photos": "image_count",
        "vectors": "vector_count",
        "MB": lambda backup: f"{backup.size / 1e6:,.1f}",
        "spaces": _spaces,
    },
    empty="No backups: `sightline backup create` makes one.",
    spare=("photos", "vectors"),
)
distinct_pairs = ValueTable(
    DistinctPair,
    {
        "product": "product_id",
        "other product": "other_product_id",
        "author": "author or –",
        "time": "create_time",
    },
    empty="No products of one picture were decided to be different.",
)
takedowns = ValueTable(
    Takedown,
    {"photo": "image_id", "taken down": "create_time", "reason": "reason"},
    empty="No photos were taken down.",
)


def _catalog_state(catalog: Catalog) -> str:
    state = catalog.state.lower()
    if catalog.purge_time is not None:
        state += _(", removal {purge_time}", purge_time=moment(catalog.purge_time))
    if catalog.copied_from:
        state += _(", copied from {copied_from}", catalog)
    if catalog.pending_services:
        pending = ", ".join(catalog.pending_services)
        state += _(", not yet: {pending_services}", pending_services=pending)
    if catalog.steered_by is SteeredBy.RECORD:
        state += _(", scenes from the record")
    return state


catalogs = ValueTable(
    Catalog,
    {
        "catalog": "catalog_id",
        "name": "display_name",
        "state": _catalog_state,
        "language": "language_code or –",
        "quota share": "quota_share:g",
        "labels": lambda each: ", ".join(f"{name}={value}" for name, value in each.labels.items()),
        "created": lambda each: _("in the settings") if each.declared else moment(each.create_time),
    },
    empty="No catalogs are permitted by the token.",
    spare=("created", "language", "quota share", "labels"),
)
catalog_aliases = ValueTable(
    CatalogAlias,
    {"alias": "alias_id", "catalog": "catalog_id", "since": "update_time"},
    empty="No aliases of catalogs that the token permits.",
)

BESIDE = "popularity_"
"""Prefix of the popularity baseline's metrics, which `models evaluate --show` compares with."""


def _quality(model: Model) -> str:
    own = [metric for metric in model.metrics if not metric.name.startswith(BESIDE)]
    quality = ", ".join(f"{metric.name} {metric.value:.3f}" for metric in own)
    return quality + f" (n={max(each.sample_count for each in own):,})" if own else "–"


def _model_state(model: Model) -> str:
    if model.promoted:
        return _("serves (forced)") if model.forced else _("serves")
    return _("pruned") if model.pruned else _("ready")


models = ValueTable(
    Model,
    {
        "model": "model_version",
        "state": _model_state,
        "evidence": lambda model: (
            "–" if model.verdict is EvaluationVerdict.UNKNOWN else model.verdict.lower()
        ),
        "trained": "train_time",
        "events": "event_count",
        "people": "shopper_count",
        "products": "product_count",
        "quality": _quality,
    },
    empty="No models: `sightline models train` makes one.",
    spare=("trained", "events", "people", "products"),
)


def _place(value: Generation) -> str:
    if value.active:
        return _("active")
    state = value.state.lower()
    return _("{state}, before the active one", state=state) if value.previous else state


def _verified(value: Generation) -> str:
    found = value.verification
    if found is None:
        return "–"
    if found.passed:
        return ", ".join([_("passed"), _("recall {recall:.3f}", found)])
    return ", ".join([_("failed"), _("{findings} findings", findings=len(found.findings))])


def _active_since(value: Generation) -> str:
    if not value.active:
        return "–"
    return moment(value.activate_time) + (_(" (forced)") if value.forced else "")


generations = ValueTable(
    Generation,
    {
        "generation": "name",
        "version": lambda each: f"{each.space} {each.space_version}",
        "index": lambda each: (
            f"{each.parameters.kind.lower()} {each.metric.lower()}, {each.dimension}-d"
        ),
        "state": _place,
        "photos": lambda each: _count(each.indexed_count),
        "waiting": lambda each: _count(each.pending_count),
        "failed": lambda each: _count(each.failed_count),
        "verified": _verified,
        "active since": _active_since,
    },
    empty="No generations: the retriever's worker creates the first one.",
    spare=("verified", "failed", "waiting", "active since", "index"),
)


def verification(value: Verification) -> RenderableType:
    """Show the result of a verification, a line a figure, and what is wrong."""
    filtered = value.filtered_recall
    rows = (
        (_("recall at {k:,}", value), f"{value.recall:.4f}"),
        (
            _("recall at {k:,} under a filter", value),
            _("no suitable filter") if filtered is None else f"{filtered:.4f}",
        ),
        (
            _("{sample_count:,} photos embedded again", value),
            _("minimum similarity {least_agreement:.6f}", value),
        ),
        (
            _("rows"),
            _("{index_count:,} in the index, {record_count:,} in the record", value),
        ),
        (_("vectors that can't be compared"), f"{value.unsound_count:,}"),
        *(
            (
                _("nearest other product, {share} of the photos below", share=share),
                _("cosine {cosine:.3f}", cosine=cosine),
            )
            for share, cosine in zip(("1%", "2%", "5%", "10%"), value.nearest_cosines, strict=False)
        ),
    )
    wrong = [phrase("Wrong: {item}", item=item, style="yellow") for item in value.findings]
    return Group(grid((_("check"), _("result")), rows), *(wrong or [phrase("It passed.")]))


def timeline(steps: Sequence[tuple[datetime, str, str, float]]) -> RenderableType:
    """Show steps with their start, result, and duration in seconds."""
    rows = (
        (moment(began), _(name), result, f"{seconds:,.1f} s")
        for began, name, result, seconds in steps
    )
    return grid((_("began"), _("step"), _("result"), _("took")), rows)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


_LISTED = ("title", "category", "brand", "price", "availability")
_COLUMNS = sorted(
    (field for field in FIELDS if field.name in _LISTED),
    key=lambda field: _LISTED.index(field.name),
)
"""Fields shown in a list of products."""


def products(
    values: Sequence[Product], *, more: bool = False, mismatched: bool = False
) -> RenderableType:
    """Show products, a line each. `mismatched`: with how their photos contradict their
    categories."""
    names = (_("product"), *(_label(field.name) for field in _COLUMNS), _("photos"))
    table = grid(
        (*names, _("mismatch")) if mismatched else names,
        spare=(_label("category"), _label("brand"), _label("availability"), _("photos")),
    )
    for product in values:
        table.add_row(
            product.product_id,
            *(_fact(field, product) or "–" for field in _COLUMNS),
            str(len(product.images)),
            *([mismatch(product.category_doubt)] if mismatched else ()),
        )
    if not values:
        return Text(
            _("No photos contradict their category.") if mismatched else _("No products match.")
        )
    return Group(table, phrase("There are more: raise --top.")) if more else table


_misfits = ValueTable(
    PhotoMisfit,
    {
        "product": "product_id",
        "photo": lambda each: f"{each.image_id[:12]}…",
        "own": "similarity:.2f",
        "nearest other": "other_product_id",
        "other": "other_similarity:.2f",
        "lead": "lead:.2f",
    },
)


def misfits(rows: Sequence[PhotoMisfit], examined: int) -> RenderableType:
    """Return the photos that do not fit their product, of so many products."""
    summary = _(
        "Photos that fit another product better: {count}. Products with two photos or more that"
        " were compared: {examined}.",
        count=len(rows),
        examined=examined,
    )
    return Group(_misfits(rows), Text(summary)) if rows else Text(summary)


def mismatch(value: CategoryDoubt | None) -> str:
    """Say how a photo contradicts the category."""
    if value is None:
        return ""
    like = _("similar to no known category")
    if value.instead is not None:
        path, chance = " > ".join(value.instead.category_path), value.instead.probability
        like = _("more likely {path} ({chance:.0%})", path=path, chance=chance)
    return _(
        "{image_id}…: {like}, own category at most {probability:.1%}",
        value,
        image_id=value.image_id[:12],
        like=like,
    )


_LABELS = {
    "parent_id": "variant of",
    "language_code": "language",
    "uri": "page",
    "create_time": "created",
    "update_time": "updated",
}
"""Labels that differ from the field's name."""


def product(value: Product) -> RenderableType:
    """Show one product, a line a field."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    photos = "\n".join(
        f"{item.image_id} {item.media_type} {item.width}×{item.height}" for item in value.images
    )
    facts = (
        (_("product"), value.product_id),
        *((_label(field.name), _fact(field, value)) for field in FIELDS),
        (_("category mismatch"), mismatch(value.category_doubt)),
        (_("photos"), photos),
        ("etag", value.etag),
    )
    for name, fact in facts:
        if fact:
            table.add_row(name, lines(fact))
    return table


def labels() -> list[str]:
    """Return the names of fields, in English."""
    return [_LABELS.get(field.name, field.name.replace("_", " ")) for field in FIELDS]


def _label(name: str) -> str:
    return _(_LABELS.get(name, name.replace("_", " ")))


def _fact(field: ProductField, product: Product) -> str:
    """Return the field's value as text; empty = unknown."""
    value = getattr(product, field.attribute)
    if value is None or value == ():
        return ""
    if field.kind is FieldKind.CATEGORY:
        return " > ".join(value)
    if field.kind is FieldKind.TEXTS:
        return ", ".join(value)
    if field.kind is FieldKind.ATTRIBUTES:
        return ", ".join(f"{item.key}={item.value}" for item in value)
    if field.kind is FieldKind.MARKETS:
        return ", ".join(item.market_id for item in value)
    return moment(value) if field.kind is FieldKind.TIME else str(value)


def _category(item: RecommendedProduct | FoundProduct) -> str:
    return " > ".join(item.product.category_path) or "–"


_ranked: Mapping[str, Column[RecommendedProduct | FoundProduct]] = {
    "rank": "rank:d",
    "product": "product.product_id",
    "title": tables.titled,
    "category": _category,
    "price": "product.price",
}
ranked = ValueTable[RecommendedProduct | FoundProduct](
    FoundProduct, _ranked, empty="No further products."
)
_passing = ValueTable[RecommendedProduct | FoundProduct](
    RecommendedProduct, {**_ranked, "title": "product.title"}, empty="No products pass."
)
_found = ValueTable[RecommendedProduct | FoundProduct](
    FoundProduct,
    {**_ranked, "similarity": "similarity:.4f"},
    empty="No products match.",
    spare=("category",),
)


def listed(value: Listing, *, verbose: bool = False) -> RenderableType:
    """Show a page of a listing, with degradations and the token of the next page. ``verbose``: with
    stage timings and versions."""
    more = _("; --page-token {next_page_token} shows the next page", value)
    count = _(
        "{product_count} products pass{more}", value, more=more if value.next_page_token else ""
    )
    notes = [*tables.degraded(value.degradations), *map(tables.score_note, value.score_notes)]
    computed = tables.computed(value, verbose=verbose)
    empty = tables.empty(value.empty_reason)
    return Group(_passing(value.results), *empty, Text(count, "dim"), *notes, *computed)


def found(value: SearchResults, *, verbose: bool = False) -> RenderableType:
    """Show candidates with their similarity and degradations. ``verbose``: with stage timings and
    versions."""
    lost = [*tables.empty(value.empty_reason), *tables.degraded(value.degradations)]
    if value.match is not None and value.match.poor:
        lost.append(Text(grids.plain(tables.why(value.match)), style="yellow"))
    similarity = _("similarity: cosine to the nearest signal of the query, −1 to 1.")
    like = tables.like_it_caption(value.results)
    caption = Text(f"{similarity} {like}".rstrip(), style="dim")
    computed = tables.computed(value, verbose=verbose)
    return Group(_found(value.results), caption, *lost, *computed)


def _suggested_text(one: Suggestion) -> Text:
    text = Text(plain(one.text))
    for part in one.highlights:
        text.stylize("bold", part.start, part.stop)
    return text


def _then(one: Suggestion) -> Text:
    narrowed = one.filter_text and f"--filter '{one.filter_text}'"
    return Text(plain(one.product_id or narrowed or "–"))


_suggestions = ValueTable(
    Suggestion,
    {
        "suggestion": lambda one: one.kind.lower().replace("_", " "),
        "text": _suggested_text,
        "products": lambda one: f"{one.product_count:,}" if one.product_count else "–",
        "then": _then,
    },
    empty="No suggestions.",
)
_searches = ValueTable(
    TopSearch,
    {"text": "text", "shoppers": "shopper_count", "products": "product_count"},
    empty="No searches.",
)


def suggested(value: Suggestions) -> RenderableType:
    """Show suggestions with the typed parts in bold, corrections and degradations."""
    notes = (
        [Text(_("Nothing has the words as typed: corrected."), "dim")] if value.corrected else []
    )
    return Group(_suggestions(value.suggestions), *notes, *tables.degraded(value.degradations))


def searched(value: TopSearches) -> RenderableType:
    """Show what most shoppers searched for."""
    floor = _("Texts of at least {least_shoppers} shoppers in the last 90 days.", value)
    return Group(_searches(value.searches), Text(floor, "dim"))


def facet(value: Facet) -> RenderableType:
    """Show how many products have each value of a field, and how to search among them."""
    rows = ((one.text, f"{one.product_count:,}", one.filter_text) for one in value.values)
    table = grid((value.field, _("products"), _("narrow with --filter")), rows)
    rest = _("{more_count:,} further values; {missing_count:,} products without one.", value)
    return Group(
        table, phrase("{rest} Variants of one product count once.", rest=rest, style="dim")
    )


def purged(*, force: bool) -> str:
    """Say what happens to the products or events that a purge counted."""
    return _("deleted") if force else _("would be deleted; --force deletes them")
