"""The retriever and its index: the catalog, and what searches find of it."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    GREEN,
    RED,
    YELLOW,
    Board,
    Panel,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
    slowest,
)
from deploy.monitoring.boards.service import calls, process


def retriever() -> Board:
    """Return the dashboard of the catalog and its searches."""
    return Board(
        "retriever",
        "Sightline / Retriever and index",
        "Searches, the catalog's record, and whether the index holds all of it.",
        (
            calls("retriever"),
            _index(),
            _searches(),
            _milvus(),
            process("retriever|retriever-worker", "retriever and its worker"),
        ),
    )


def _index() -> PanelRow:
    return PanelRow("The index", (*_index_over_time(), *_index_now()))


def _index_over_time() -> tuple[Panel, ...]:
    return (
        graph(
            "Behind the catalog",
            "Age of the oldest write that the index does not hold. 0 = up to date; the objective allows a minute.",
            "s",
            PanelQuery(
                "max by (catalog, space) (sightline_index_lag_seconds{@catalog})",
                "{{catalog}}/{{space}}",
            ),
            limits={60.0: RED},
        ),
        graph(
            "Pending embedding",
            "Photos, or texts of products, that have no vector yet. During an import many; what counts is that they "
            "get fewer.",
            "short",
            PanelQuery(
                "max by (catalog, space) (sightline_index_pending{@catalog})",
                "{{catalog}}/{{space}}",
            ),
        ),
        graph(
            "Embedded, and failed",
            "Photos and texts a second that the worker had embedded, and attempts that failed and are tried again.",
            "ops",
            rates("sightline_index_embedded_total", "@", "space", legend="{{space}}"),
            rare(
                rates(
                    "sightline_index_embed_failed_total",
                    "@",
                    "space",
                    legend="failed {{space}}",
                )
            ),
        ),
        graph(
            "Rows written",
            "Rows a second that were written to the engine or deleted in it.",
            "ops",
            rates("sightline_index_applied_rows_total", "@", "space"),
        ),
        graph(
            "Rows that differed",
            "Rows of the last hour in which the engine differed from the record, and which were fixed. Expected after "
            "a restart of the engine; otherwise it loses rows.",
            "short",
            rare(
                PanelQuery(
                    "sum by (space, kind) (increase(sightline_index_drift_rows_total{@}[1h]))",
                    "{{space}} {{kind}}",
                )
            ),
        ),
        graph(
            "Photos deleted",
            "Photos a second that were deleted: those that no product had for long, and those of failed writes.",
            "ops",
            rates("sightline_photos_collected_total", "@", legend="without a product"),
            rates("sightline_photos_taken_back_total", "@", legend="of failed writes"),
        ),
    )


def _index_now() -> tuple[Panel, ...]:
    return (
        number(
            "Workers that lead",
            "There must be one, or nothing new gets into the index.",
            "short",
            PanelQuery("sum(sightline_index_leader{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Collections lost",
            "Collections that the engine does not answer for now.",
            "short",
            PanelQuery("max(sightline_index_lost{@})"),
            limits={1.0: RED},
        ),
        number(
            "Versions that do not match",
            "Spaces whose version the embedder does not serve: photos wait.",
            "short",
            PanelQuery("sum(max by (catalog, space) (sightline_space_version_mismatch{@catalog}))"),
            limits={1.0: RED},
        ),
        number(
            "Photos in the wrong category",
            "Products whose photo contradicts their category: look at them in the catalog.",
            "short",
            PanelQuery("sum(max by (catalog) (sightline_doubted_products{@catalog}))"),
        ),
    )


def _searches() -> PanelRow:
    return PanelRow(
        "Searches",
        (
            graph(
                "Recall",
                "Share of the nearest products that live searches found, estimated; the lowest of all plans and filters. "
                "The floor is RETRIEVER_WATCH_FLOOR, .95 by default.",
                "percentunit",
                PanelQuery(
                    "min by (catalog, space) (sightline_recall{@catalog})", "{{catalog}}/{{space}}"
                ),
                most=1.0,
                base=RED,
                limits={0.95: GREEN},
            ),
            graph(
                "Time of stages",
                "95% of the calls spend at most so long in each stage.",
                "s",
                slowest("sightline_stage_seconds", '@, service="retriever"', "stage"),
            ),
            graph(
                "Searches looked at",
                "Searches a second that were compared with an exact one, and those for which there was no time.",
                "ops",
                rates("sightline_watched_searches_total", "@", "outcome"),
            ),
            number(
                "Rows in memory",
                "Vectors in memory that searches compare with, beside the engine's.",
                "short",
                PanelQuery("sum(sightline_columns_rows{@})"),
            ),
            number(
                "Products in memory",
                "Products whose columns are in memory.",
                "short",
                PanelQuery("sum(sightline_columns_products{@})"),
            ),
            number(
                "Memory of columns",
                "Memory of these columns, without ids, tags and attributes.",
                "bytes",
                PanelQuery("sum(sightline_columns_bytes{@})"),
            ),
        ),
    )


def _milvus() -> PanelRow:
    return PanelRow(
        "Milvus",
        (
            graph(
                "Searches in Milvus",
                "Searches a second that Milvus' proxies took, by outcome. Milvus has to be scraped too; Milvus Lite has no "
                "metrics.",
                "reqps",
                PanelQuery(
                    'sum by (status) (rate(milvus_proxy_req_count{function_name="Search", status!="total"}[$__rate_interval]))',
                    "{{status}}",
                ),
            ),
            graph(
                "Time of a search in Milvus",
                "95% of the searches take Milvus' proxies at most so long (milliseconds).",
                "short",
                PanelQuery(
                    "histogram_quantile(0.95, sum by (le) (rate(milvus_proxy_sq_latency_bucket"
                    '{query_type="search"}[$__rate_interval])))',
                    "p95",
                ),
                limits={100.0: YELLOW},
            ),
            graph(
                "Waiting in Milvus' query nodes",
                "95% of the searches wait at most so long for a query node (milliseconds): more of these nodes are needed "
                "when it grows.",
                "short",
                PanelQuery(
                    "histogram_quantile(0.95, sum by (le) (rate(milvus_querynode_sq_queue_latency_bucket"
                    "[$__rate_interval])))",
                    "p95",
                ),
            ),
        ),
    )
