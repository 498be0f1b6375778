"""Products, jobs, models and index generations as tables for people."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sightline.common.v1 import audit_service_pb2
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, tables
from sightline_client.cli.show.grids import grid, lines, plain
from sightline_client.convert import from_wire
from sightline_client.files.audit import AuditSegment
from sightline_client.values.answers import Listing, SearchResults
from sightline_client.values.catalog import CategoryDoubt, PhotoMisfit
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
    table = grid(
        (_("job"), _("kind"), _("state"), _("done"), _("result"), _("created"), _("ended")),
        spare=(_("created"), _("done")),
    )
    for job in values:
        of = f"{job.done:,}" + (_(" of {total:,}", total=job.total) if job.total else "")
        made = ", ".join(f"{name} {value}" for name, value in job.results.items())
        why = str(job.error) if job.error is not None else made
        times = (_time(job.create_time), _time(job.end_time))
        table.add_row(job.job_id, job.kind, job.state, of, why or "–", *times)
    return table if values else Text(_("No jobs."))


def audit(message: audit_service_pb2.ListAuditEntriesResponse) -> RenderableType:
    """Show entries of the audit log, a line each, and how to continue."""
    table = grid(
        (_("time"), _("caller"), _("call"), _("outcome"), _("request")), spare=(_("request"),)
    )
    for entry in map(from_wire.audit_entry, message.entries):
        call = entry.method.rpartition("/")[2]
        outcome = entry.reason or entry.code
        if entry.left_out:
            outcome += _(" and {left_out:,} more", left_out=entry.left_out)
        table.add_row(_time(entry.time), entry.caller, call, outcome, entry.request_id)
    if not message.next_page_token:
        return table if message.entries else Text(_("No audit entries."))
    return Group(
        table,
        Text(
            _(
                "for older entries repeat the command with --page {next_page_token}",
                next_page_token=message.next_page_token,
            )
        ),
    )


def audit_chains(segments: Sequence[AuditSegment]) -> RenderableType:
    """Show verified chains of the audit log, and how to verify them later."""
    table = grid((_("store"), _("catalog"), _("entries"), _("from"), _("to"), _("not chained")))
    for each in segments:
        numbers = (each.count, each.begin.number + 1, each.end.number, each.unchained)
        table.add_row(each.store, each.catalog, *(f"{number:,}" for number in numbers))
    old = sum(each.unchained for each in segments)
    notes = [Text(f"--head {head(each)}") for each in segments if each.end.number]
    if old:
        notes.append(
            Text(_("{old:,} entries are from before there were chains: not verified", old=old))
        )
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
    table = grid(
        (_("backup"), _("taken"), _("products"), _("photos"), _("vectors"), "MB", _("spaces")),
        spare=(_("photos"), _("vectors")),
    )
    for backup in values:
        spaces = ", ".join(f"{space.space} {space.generation}" for space in backup.spaces)
        table.add_row(
            backup.backup_id,
            _time(backup.create_time),
            *(f"{n:,}" for n in (backup.product_count, backup.image_count, backup.vector_count)),
            f"{backup.size / 1e6:,.1f}",
            str(backup.error) if backup.error is not None else spaces or "–",
        )
    return table if values else Text(_("No backups: `sightline backup create` makes one."))


def takedowns(values: Sequence[Takedown]) -> RenderableType:
    """Show photos that were taken down, a line each."""
    table = grid((_("photo"), _("taken down"), _("reason")))
    for each in values:
        table.add_row(each.image_id, _time(each.create_time), each.reason)
    return table if values else Text(_("No photos were taken down."))


def catalogs(values: Sequence[Catalog]) -> RenderableType:
    """Show catalogs, a line each."""
    table = grid(
        (
            _("catalog"),
            _("name"),
            _("state"),
            _("language"),
            _("quota share"),
            _("labels"),
            _("created"),
        ),
        spare=(_("created"), _("language"), _("quota share"), _("labels")),
    )
    for each in values:
        labels = ", ".join(f"{name}={value}" for name, value in each.labels.items())
        created = _("in the settings") if each.declared else _time(each.create_time)
        language, share = each.language_code or "–", f"{each.quota_share:g}"
        state = each.state.lower()
        if each.purge_time is not None:
            state += _(", removal {purge_time}", purge_time=_time(each.purge_time))
        if each.copied_from:
            state += _(", copied from {copied_from}", copied_from=each.copied_from)
        if each.pending_services:
            state += _(
                ", not yet: {pending_services}", pending_services=", ".join(each.pending_services)
            )
        table.add_row(
            *(each.catalog_id, each.display_name, state),
            *(language, share, labels, created),
        )
    return table if values else Text(_("No catalogs are permitted by the token."))


def catalog_aliases(values: Sequence[CatalogAlias]) -> RenderableType:
    """Show aliases, a line each."""
    table = grid((_("alias"), _("catalog"), _("since")))
    for each in values:
        table.add_row(each.alias_id, each.catalog_id, _time(each.update_time))
    return table if values else Text(_("No aliases of catalogs that the token permits."))


BESIDE = "popularity_"
"""Prefix of the popularity baseline's metrics, which `models evaluate --show` compares with."""


def models(values: Sequence[Model]) -> RenderableType:
    """Show models, a line each."""
    table = grid(
        (
            _("model"),
            _("state"),
            _("evidence"),
            _("trained"),
            _("events"),
            _("people"),
            _("products"),
            _("quality"),
        ),
        spare=(_("trained"), _("events"), _("people"), _("products")),
    )
    for model in values:
        own = [metric for metric in model.metrics if not metric.name.startswith(BESIDE)]
        quality = ", ".join(f"{metric.name} {metric.value:.3f}" for metric in own)
        if own:
            quality += f" (n={max(metric.sample_count for metric in own):,})"
        table.add_row(
            model.model_version,
            _model_state(model),
            "–" if model.verdict is EvaluationVerdict.UNKNOWN else model.verdict.value.lower(),
            _time(model.train_time),
            f"{model.event_count:,}",
            f"{model.shopper_count:,}",
            f"{model.product_count:,}",
            quality or "–",
        )
    return table if values else Text(_("No models: `sightline models train` makes one."))


def _model_state(model: Model) -> str:
    if model.promoted:
        return _("serves (forced)") if model.forced else _("serves")
    return _("pruned") if model.pruned else _("ready")


def generations(values: Sequence[Generation]) -> RenderableType:
    """Show index generations, a line each."""
    names = (
        _("generation"),
        _("version"),
        _("index"),
        _("state"),
        _("photos"),
        _("waiting"),
        _("failed"),
    )
    spare = (_("verified"), _("failed"), _("waiting"), _("active since"), _("index"))
    table = grid((*names, _("verified"), _("active since")), spare=spare)
    for value in values:
        since = _time(value.activate_time) if value.active else "–"
        table.add_row(
            value.name,
            f"{value.space} {value.space_version}",
            f"{value.parameters.kind.lower()} {value.metric.lower()}, {value.dimension}-d",
            _place(value),
            *(_count(count) for count in (value.indexed_count, value.pending_count)),
            _count(value.failed_count),
            _verified(value.verification),
            since + (_(" (forced)") if value.active and value.forced else ""),
        )
    return (
        table
        if values
        else Text(_("No generations: the retriever's worker creates the first one."))
    )


def verification(value: Verification) -> RenderableType:
    """Show the result of a verification, a line a figure, and what is wrong."""
    filtered = value.filtered_recall
    rows = (
        (_("recall at {k:,}", k=value.k), f"{value.recall:.4f}"),
        (
            _("recall at {k:,} under a filter", k=value.k),
            _("no suitable filter") if filtered is None else f"{filtered:.4f}",
        ),
        (
            _("{sample_count:,} photos embedded again", sample_count=value.sample_count),
            _("minimum similarity {least_agreement:.6f}", least_agreement=value.least_agreement),
        ),
        (
            _("rows"),
            _(
                "{index_count:,} in the index, {record_count:,} in the record",
                index_count=value.index_count,
                record_count=value.record_count,
            ),
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
    wrong = [Text(_("Wrong: {item}", item=plain(item)), style="yellow") for item in value.findings]
    return Group(grid((_("check"), _("result")), rows), *(wrong or [Text(_("It passed."))]))


def timeline(steps: Sequence[tuple[datetime, str, str, float]]) -> RenderableType:
    """Show steps with their start, result, and duration in seconds."""
    rows = (
        (_time(began), _(name), result, f"{seconds:,.1f} s")
        for began, name, result, seconds in steps
    )
    return grid((_("began"), _("step"), _("result"), _("took")), rows)


def _place(value: Generation) -> str:
    if value.active:
        return _("active")
    return (
        _("{state}, before the active one", state=value.state.lower())
        if value.previous
        else value.state.lower()
    )


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _verified(value: Verification | None) -> str:
    if value is None:
        return "–"
    outcome = (
        _("recall {recall:.3f}", recall=value.recall)
        if value.passed
        else _("{findings} findings", findings=len(value.findings))
    )
    return f"{_('passed') if value.passed else _('failed')}, {outcome}"


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
    return Group(table, Text(_("There are more: raise --top."))) if more else table


def misfits(rows: Sequence[PhotoMisfit], examined: int) -> RenderableType:
    """Return the photos that do not fit their product, of so many products."""
    table = grid((_("product"), _("photo"), _("own"), _("nearest other"), _("other"), _("lead")))
    for each in rows:
        table.add_row(
            each.product_id,
            f"{each.image_id[:12]}…",
            f"{each.similarity:.2f}",
            each.other_product_id,
            f"{each.other_similarity:.2f}",
            f"{each.lead:.2f}",
        )
    summary = _(
        "Photos that fit another product better: {count}. Products with two photos or more that"
        " were compared: {examined}.",
        count=len(rows),
        examined=examined,
    )
    return Group(table, Text(summary)) if rows else Text(summary)


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
        image_id=value.image_id[:12],
        like=like,
        probability=value.probability,
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
    return _time(value) if field.kind is FieldKind.TIME else str(value)


def listed(value: Listing, *, verbose: bool = False) -> RenderableType:
    """Show a page of a listing, with degradations and the token of the next page. ``verbose``: with
    stage timings and versions."""
    rows = (
        (
            str(item.rank),
            item.product.product_id,
            grids.plain(item.product.title),
            " > ".join(item.product.category_path) or "–",
            str(item.product.price or "–"),
        )
        for item in value.results
    )
    table = grid((_("rank"), _("product"), _("title"), _("category"), _("price")), rows)
    more = _(
        "; --page-token {next_page_token} shows the next page",
        next_page_token=value.next_page_token,
    )
    count = _(
        "{product_count} products pass{more}",
        product_count=value.product_count,
        more=more if value.next_page_token else "",
    )
    results = table if value.results else Text(_("No products pass."))
    notes = [*tables.degraded(value.degradations), *map(tables.score_note, value.score_notes)]
    computed = tables.computed(value, verbose=verbose)
    return Group(results, *tables.empty(value.empty_reason), Text(count, "dim"), *notes, *computed)


def found(value: SearchResults, *, verbose: bool = False) -> RenderableType:
    """Show candidates with their similarity and degradations. ``verbose``: with stage timings and
    versions."""
    lost = [*tables.empty(value.empty_reason), *tables.degraded(value.degradations)]
    if value.match is not None and value.match.poor:
        lost.append(Text(grids.plain(tables.why(value.match)), style="yellow"))
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
    table = grid(
        (_("rank"), _("product"), _("title"), _("category"), _("price"), _("similarity")),
        rows,
        spare=(_("category"),),
    )
    results = table if value.results else Text(_("No products match."))
    similarity = _("similarity: cosine to the nearest signal of the query, −1 to 1.")
    like = tables.like_it_caption(value.results)
    caption = Text(f"{similarity} {like}".rstrip(), style="dim")
    return Group(
        results,
        caption,
        *lost,
        *tables.computed(value, verbose=verbose),
    )


def suggested(value: Suggestions) -> RenderableType:
    """Show suggestions with the typed parts in bold, corrections and degradations."""
    table = grid((_("suggestion"), _("text"), _("products"), _("then")))
    for one in value.suggestions:
        text = Text(plain(one.text))
        for part in one.highlights:
            text.stylize("bold", part.start, part.stop)
        then = one.filter_text and f"--filter '{one.filter_text}'"
        count = f"{one.product_count:,}" if one.product_count else "–"
        kind = one.kind.lower().replace("_", " ")
        table.add_row(kind, text, count, Text(plain(one.product_id or then or "–")))
    notes = (
        [Text(_("Nothing has the words as typed: corrected."), "dim")] if value.corrected else []
    )
    shown = table if value.suggestions else Text(_("No suggestions."))
    return Group(shown, *notes, *tables.degraded(value.degradations))


def searched(value: TopSearches) -> RenderableType:
    """Show what most shoppers searched for."""
    rows = (
        (plain(one.text), f"{one.shopper_count:,}", f"{one.product_count:,}")
        for one in value.searches
    )
    floor = _(
        "Texts of at least {least_shoppers} shoppers in the last 90 days.",
        least_shoppers=value.least_shoppers,
    )
    shown = (
        grid((_("text"), _("shoppers"), _("products")), rows)
        if value.searches
        else Text(_("No searches."))
    )
    return Group(shown, Text(floor, "dim"))


def facet(value: Facet) -> RenderableType:
    """Show how many products have each value of a field, and how to search among them."""
    rows = ((one.text, f"{one.product_count:,}", one.filter_text) for one in value.values)
    table = grid((value.field, _("products"), _("narrow with --filter")), rows)
    rest = _(
        "{more_count:,} further values; {missing_count:,} products without one.",
        more_count=value.more_count,
        missing_count=value.missing_count,
    )
    return Group(
        table, Text(_("{rest} Variants of one product count once.", rest=rest), style="dim")
    )


def purged(*, force: bool) -> str:
    """Say what happens to the products or events that a purge counted."""
    return _("deleted") if force else _("would be deleted; --force deletes them")


def _time(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"
