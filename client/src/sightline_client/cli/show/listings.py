"""Products, jobs, models and index generations as tables for people."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline.common.v1 import audit_service_pb2
from sightline_client.cli.show import tables
from sightline_client.cli.show.tables import add, grid, plain
from sightline_client.convert import from_wire
from sightline_client.files.audit import AuditSegment
from sightline_client.values.answers import Listing, SearchResults
from sightline_client.values.catalog import CategoryDoubt
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.evaluation import EvaluationVerdict
from sightline_client.values.facets import Facet
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.operations import (
    Backup,
    Generation,
    Job,
    Model,
    Takedown,
    Verification,
)
from sightline_client.values.products import FIELDS, Product
from sightline_client.values.suggestions import Suggestions, TopSearches


def jobs(values: Sequence[Job]) -> RenderableType:
    """Show jobs, a line each."""
    table = grid(("job", "kind", "state", "done", "result", "created", "ended"))
    for job in values:
        of = f"{job.done:,}" + (f" of {job.total:,}" if job.total else "")
        made = ", ".join(f"{name} {value}" for name, value in job.results.items())
        why = str(job.error) if job.error is not None else made
        times = (_time(job.create_time), _time(job.end_time))
        add(table, job.job_id, job.kind, job.state, of, why or "–", *times)
    return table if values else Text("no job")


def audit(message: audit_service_pb2.ListAuditEntriesResponse) -> RenderableType:
    """Show entries of the audit log, a line each, and how to continue."""
    table = grid(("time", "caller", "call", "outcome", "request"))
    for entry in map(from_wire.audit_entry, message.entries):
        call = entry.method.rpartition("/")[2]
        outcome = entry.reason or entry.code
        if entry.left_out:
            outcome += f" and {entry.left_out:,} more"
        add(table, _time(entry.time), entry.caller, call, outcome, entry.request_id)
    if not message.next_page_token:
        return table if message.entries else Text("no entry")
    return Group(
        table, Text(f"for older entries repeat the command with --page {message.next_page_token}")
    )


def audit_chains(segments: Sequence[AuditSegment]) -> RenderableType:
    """Show verified chains of the audit log, and how to verify them later."""
    table = grid(("store", "catalog", "entries", "from", "to", "not chained"))
    for each in segments:
        numbers = (each.count, each.begin.number + 1, each.end.number, each.unchained)
        add(table, each.store, each.catalog, *(f"{number:,}" for number in numbers))
    old = sum(each.unchained for each in segments)
    notes = [Text(f"--head {head(each)}") for each in segments if each.end.number]
    if old:
        notes.append(Text(f"{old:,} entries are from before there were chains: not verified"))
    return Group(table, *notes)


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


def backups(values: Sequence[Backup]) -> RenderableType:
    """Show backups, a line each."""
    table = grid(("backup", "taken", "products", "photos", "vectors", "MB", "spaces"))
    for backup in values:
        spaces = ", ".join(f"{space.space} {space.generation}" for space in backup.spaces)
        add(
            table,
            backup.backup_id,
            _time(backup.create_time),
            *(f"{n:,}" for n in (backup.product_count, backup.image_count, backup.vector_count)),
            f"{backup.size / 1e6:,.1f}",
            str(backup.error) if backup.error is not None else spaces or "–",
        )
    return table if values else Text("no backup: `sightline backup create`")


def takedowns(values: Sequence[Takedown]) -> RenderableType:
    """Show photos that were taken down, a line each."""
    table = grid(("photo", "taken down", "reason"))
    for each in values:
        add(table, each.image_id, _time(each.create_time), each.reason)
    return table if values else Text("no photo was taken down")


def catalogs(values: Sequence[Catalog]) -> RenderableType:
    """Show catalogs, a line each."""
    table = grid(("catalog", "name", "state", "language", "quota share", "labels", "created"))
    for each in values:
        labels = ", ".join(f"{name}={value}" for name, value in each.labels.items())
        created = "in the settings" if each.declared else _time(each.create_time)
        language, share = each.language_code or "–", f"{each.quota_share:g}"
        state = each.state.lower()
        if each.purge_time is not None:
            state += f", removal {_time(each.purge_time)}"
        if each.copied_from:
            state += f", copied from {each.copied_from}"
        if each.pending_services:
            state += f", not yet: {', '.join(each.pending_services)}"
        add(
            *(table, each.catalog_id, each.display_name, state),
            *(language, share, labels, created),
        )
    return table if values else Text("the token permits no catalog")


def catalog_aliases(values: Sequence[CatalogAlias]) -> RenderableType:
    """Show aliases, a line each."""
    table = grid(("alias", "catalog", "since"))
    for each in values:
        add(table, each.alias_id, each.catalog_id, _time(each.update_time))
    return table if values else Text("there is no alias of a catalog that the token permits")


BESIDE = "popularity_"
"""Prefix of the popularity baseline's metrics, which `models evaluate --show` compares with."""


def models(values: Sequence[Model]) -> RenderableType:
    """Show models, a line each."""
    table = grid(
        ("model", "state", "evidence", "trained", "events", "people", "products", "quality")
    )
    for model in values:
        own = [metric for metric in model.metrics if not metric.name.startswith(BESIDE)]
        quality = ", ".join(f"{metric.name} {metric.value:.3f}" for metric in own)
        if own:
            quality += f" (n={max(metric.sample_count for metric in own):,})"
        add(
            table,
            model.model_version,
            _model_state(model),
            "–" if model.verdict is EvaluationVerdict.UNKNOWN else model.verdict.value.lower(),
            _time(model.train_time),
            f"{model.event_count:,}",
            f"{model.shopper_count:,}",
            f"{model.product_count:,}",
            quality or "–",
        )
    return table if values else Text("no model: `sightline models train`")


def _model_state(model: Model) -> str:
    if model.promoted:
        return "serves (forced)" if model.forced else "serves"
    return "pruned" if model.pruned else "ready"


def generations(values: Sequence[Generation]) -> RenderableType:
    """Show index generations, a line each."""
    names = ("generation", "version", "index", "state", "photos", "waiting", "failed")
    table = grid((*names, "verified", "active since"))
    for value in values:
        since = _time(value.activate_time) if value.active else "–"
        add(
            table,
            value.name,
            f"{value.space} {value.space_version}",
            f"{value.parameters.kind.lower()} {value.metric.lower()}, {value.dimension}-d",
            _place(value),
            *(_count(count) for count in (value.indexed_count, value.pending_count)),
            _count(value.failed_count),
            _verified(value.verification),
            since + (" (forced)" if value.active and value.forced else ""),
        )
    return table if values else Text("no generation: the retriever's worker creates the first one")


def verification(value: Verification) -> RenderableType:
    """Show the result of a verification, a line a figure, and what is wrong."""
    filtered = value.filtered_recall
    rows = (
        (f"recall at {value.k:,}", f"{value.recall:.4f}"),
        (
            f"recall at {value.k:,} under a filter",
            "no suitable filter" if filtered is None else f"{filtered:.4f}",
        ),
        (
            f"{value.sample_count:,} photos embedded again",
            f"minimum similarity {value.least_agreement:.6f}",
        ),
        ("rows", f"{value.index_count:,} in the index, {value.record_count:,} in the record"),
        ("vectors that can't be compared", f"{value.unsound_count:,}"),
        *(
            (f"nearest other product, {share} of the photos below", f"cosine {cosine:.3f}")
            for share, cosine in zip(("1%", "2%", "5%", "10%"), value.nearest_cosines, strict=False)
        ),
    )
    wrong = [Text(f"Wrong: {plain(item)}", style="yellow") for item in value.findings]
    return Group(grid(("check", "result"), rows), *(wrong or [Text("It passed.")]))


def timeline(steps: Sequence[tuple[datetime, str, str, float]]) -> RenderableType:
    """Show steps with their start, result, and duration in seconds."""
    rows = (
        (_time(began), name, result, f"{seconds:,.1f} s") for began, name, result, seconds in steps
    )
    return grid(("began", "step", "result", "took"), rows)


def _place(value: Generation) -> str:
    if value.active:
        return "active"
    return (
        f"{value.state.lower()}, before the active one" if value.previous else value.state.lower()
    )


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _verified(value: Verification | None) -> str:
    if value is None:
        return "–"
    outcome = f"recall {value.recall:.3f}" if value.passed else f"{len(value.findings)} findings"
    return f"{'passed' if value.passed else 'failed'}, {outcome}"


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
    names = ("product", *(_label(field.name) for field in _COLUMNS), "photos")
    table = grid((*names, "mismatch") if mismatched else names)
    for product in values:
        add(
            table,
            product.product_id,
            *(_fact(field, product) or "–" for field in _COLUMNS),
            str(len(product.images)),
            *([_mismatch(product.category_doubt)] if mismatched else ()),
        )
    if not values:
        return Text("no photo contradicts its category" if mismatched else "no products match")
    return Group(table, Text("There are more: raise --top.")) if more else table


def _mismatch(value: CategoryDoubt | None) -> str:
    """Say how a photo contradicts the category."""
    if value is None:
        return ""
    like = "similar to no known category"
    if value.instead is not None:
        path, chance = " > ".join(value.instead.category_path), value.instead.probability
        like = f"more likely {path} ({chance:.0%})"
    return f"{value.image_id[:12]}…: {like}, own category at most {value.probability:.1%}"


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
    facts = {
        "product": value.product_id,
        **{_label(field.name): _fact(field, value) for field in FIELDS},
        "category mismatch": _mismatch(value.category_doubt),
        "photos": "\n".join(
            f"{item.image_id} {item.media_type} {item.width}×{item.height}" for item in value.images
        ),
        "etag": value.etag,
    }
    for name, fact in facts.items():
        if fact:
            table.add_row(name, Text("\n".join(plain(line) for line in fact.split("\n"))))
    return table


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


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
    return _time(value) if field.kind is FieldKind.TIME else str(value)


def listed(value: Listing) -> RenderableType:
    """Show a page of a listing, with degradations and the token of the next page."""
    rows = (
        (
            str(item.rank),
            item.product.product_id,
            tables.plain(item.product.title),
            " > ".join(item.product.category_path) or "–",
            str(item.product.price or "–"),
        )
        for item in value.results
    )
    table = grid(("rank", "product", "title", "category", "price"), rows)
    more = f"; --page-token {value.next_page_token} shows the next page"
    count = f"{value.product_count} products pass{more if value.next_page_token else ''}"
    results = table if value.results else Text("no products pass")
    return Group(results, Text(count, "dim"), *tables.degraded(value.degradations))


def found(value: SearchResults) -> RenderableType:
    """Show candidates with their similarity, degradations and stage timings."""
    lost = tables.degraded(value.degradations)
    if value.match is not None and value.match.poor:
        lost.append(Text(tables.plain(tables.why(value.match)), style="yellow"))
    rows = (
        (
            str(item.rank),
            item.product.product_id,
            tables.titled(item),
            " > ".join(item.product.category_path) or "–",
            str(item.product.price or "–"),
            f"{item.similarity:.4f}",
        )
        for item in value.results
    )
    table = grid(("rank", "product", "title", "category", "price", "similarity"), rows)
    results = table if value.results else Text("no products match")
    similarity = "similarity: cosine to the nearest signal of the query, −1 to 1."
    like = tables.like_it_caption(value.results)
    caption = Text(f"{similarity} {like}".rstrip(), style="dim")
    return Group(
        results,
        caption,
        *lost,
        tables.timings(value.stage_timings),
        *tables.versions(value.versions, value.freshness),
    )


def suggested(value: Suggestions) -> RenderableType:
    """Show suggestions with the typed parts in bold, corrections and degradations."""
    table = grid(("suggestion", "text", "products", "then"))
    for one in value.suggestions:
        text = Text(plain(one.text))
        for part in one.highlights:
            text.stylize("bold", part.start, part.stop)
        then = one.filter_text and f"--filter '{one.filter_text}'"
        count = f"{one.product_count:,}" if one.product_count else "–"
        kind = one.kind.lower().replace("_", " ")
        table.add_row(kind, text, count, Text(plain(one.product_id or then or "–")))
    notes = [Text("Nothing has the words as typed: corrected.", "dim")] if value.corrected else []
    shown = table if value.suggestions else Text("no suggestions")
    return Group(shown, *notes, *tables.degraded(value.degradations))


def searched(value: TopSearches) -> RenderableType:
    """Show what most shoppers searched for."""
    rows = (
        (plain(one.text), f"{one.shopper_count:,}", f"{one.product_count:,}")
        for one in value.searches
    )
    floor = f"Texts of at least {value.least_shoppers} shoppers in the last 90 days."
    shown = grid(("text", "shoppers", "products"), rows) if value.searches else Text("no searches")
    return Group(shown, Text(floor, "dim"))


def facet(value: Facet) -> RenderableType:
    """Show how many products have each value of a field, and how to search among them."""
    rows = ((one.text, f"{one.product_count:,}", one.filter_text) for one in value.values)
    table = grid((value.field, "products", "narrow with --filter"), rows)
    rest = f"{value.more_count:,} further values; {value.missing_count:,} products without one."
    return Group(table, Text(f"{rest} Variants of one product count once.", style="dim"))


def purged(*, force: bool) -> str:
    """Say what happens to the products or events that a purge counted."""
    return "deleted" if force else "would be deleted; --force deletes them"


def _time(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"
