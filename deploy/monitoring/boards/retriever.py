"""The dashboard of the retriever and its index."""

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
        "Searches, the catalog's record, and completeness of the index.",
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
            "Index lag",
            "Age of the oldest write that is missing from the index. 0 = up to date; the "
            "objective allows a minute.",
            "s",
            PanelQuery(
                "max by (catalog, space) (sightline_index_lag_seconds{@catalog})",
                "{{catalog}}/{{space}}",
            ),
            limits={60.0: RED},
        ),
        graph(
            "Pending embedding",
            "Photos, or texts of products, without a vector. Many are normal during an import; "
            "the number must fall afterwards.",
            "short",
            PanelQuery(
                "max by (catalog, space) (sightline_index_pending{@catalog})",
                "{{catalog}}/{{space}}",
            ),
        ),
        graph(
            "Embeddings and failures",
            "Photos and texts embedded per second, and failed attempts, which are retried.",
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
            "Rows per second written to the engine or deleted in it.",
            "ops",
            rates("sightline_index_applied_rows_total", "@", "space"),
        ),
        graph(
            "Rows repaired",
            "Rows repaired in the last hour because the engine differed from the record. Expected "
            "after a restart of the engine; otherwise the engine loses rows.",
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
            "Deleted photos per second: those without a product for a long time.",
            "ops",
            rates("sightline_photos_collected_total", "@", legend="without a product"),
        ),
    )


def _index_now() -> tuple[Panel, ...]:
    return (
        number(
            "Leading workers",
            "There must be one; otherwise writes do not reach the index.",
            "short",
            PanelQuery("sum(sightline_index_leader{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Collections lost",
            "Collections that the engine does not answer for.",
            "short",
            PanelQuery("max(sightline_index_lost{@})"),
            limits={1.0: RED},
        ),
        number(
            "Versions that do not match",
            "Spaces whose version the embedder does not serve: their photos stay pending.",
            "short",
            PanelQuery("sum(max by (catalog, space) (sightline_space_version_mismatch{@catalog}))"),
            limits={1.0: RED},
        ),
        number(
            "Photos in the wrong category",
            "Products whose photo contradicts their category: check them in the catalog.",
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
                "Estimated share of the nearest products that live searches found; the lowest of "
                "all plans and filters. The minimum is RETRIEVER_WATCH_FLOOR, .95 by default.",
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
                "95th percentile of the time in each stage of a call.",
                "s",
                slowest("sightline_stage_seconds", '@, service="retriever"', "stage"),
            ),
            graph(
                "Searches checked",
                "Searches per second that were compared with an exact search, and those that were "
                "skipped for lack of time.",
                "ops",
                rates("sightline_watched_searches_total", "@", "outcome"),
            ),
            number(
                "Rows in memory",
                "Vectors in memory that searches compare.",
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
                "Searches per second of Milvus' proxies, by outcome. It requires a scraped "
                "Milvus; Milvus Lite has no metrics.",
                "reqps",
                PanelQuery(
                    'sum by (status) (rate(milvus_proxy_req_count{function_name="Search", status!="total"}[$__rate_interval]))',
                    "{{status}}",
                ),
            ),
            graph(
                "Time of a search in Milvus",
                "95th percentile of the duration of a search in Milvus' proxies (milliseconds).",
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
                "95th percentile of the wait for a query node (milliseconds). If it grows, add "
                "query nodes.",
                "short",
                PanelQuery(
                    "histogram_quantile(0.95, sum by (le) (rate(milvus_querynode_sq_queue_latency_bucket"
                    "[$__rate_interval])))",
                    "p95",
                ),
            ),
        ),
    )
