"""The dashboard of the gateway."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    RED,
    YELLOW,
    Board,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
    slowest,
)
from deploy.monitoring.boards.service import calls, process

OWN = '@, service="gateway"'


def gateway() -> Board:
    """Return the dashboard of the gateway."""
    return Board(
        "gateway",
        "Sightline / Gateway",
        "Calls of shoppers and shops by method, latency and outcome; data that the gateway stores.",
        (
            calls("gateway"),
            _stages(),
            _photos(),
            _records(),
            _state(),
            process("gateway", "gateway"),
        ),
    )


def _stages() -> PanelRow:
    return PanelRow(
        "Time by stage",
        (
            graph(
                "Time of stages",
                "95th percentile of the time in each stage. A growing stage names the service to "
                "check: embed → embedder, index and hydrate → retriever, rank → ranker.",
                "s",
                slowest("sightline_stage_seconds", OWN, "stage"),
                width=12,
            ),
            graph(
                "Open streams",
                "Open streams: of callers, and anonymous ones (health and reflection).",
                "short",
                PanelQuery(f"sum by (of) (sightline_streams{{{OWN}}})", "{{of}}"),
                width=12,
            ),
            graph(
                "Wait of expensive requests",
                "95th percentile of the time that expensive requests waited for one another, by outcome. If many are refused, add pods or raise GATEWAY_EXPENSIVE_REQUESTS.",
                "s",
                slowest("sightline_gateway_expensive_wait_seconds", "@", "outcome"),
                width=12,
            ),
            graph(
                "Queued expensive requests",
                "Requests above 0.1 processor seconds that wait until others have ended.",
                "short",
                PanelQuery("sum(sightline_gateway_expensive_requests_waiting{@})", "waiting"),
                width=12,
            ),
        ),
    )


def _photos() -> PanelRow:
    return PanelRow(
        "Photos of pieces",
        (
            graph(
                "Inspected pieces",
                "Photos per second that Inspect compared with a reference, by verdict. Many "
                "unlike ones from one day to the next: light, camera or label changed, so fit "
                "the reference again. cannot_say: it has too few photos, or too different ones.",
                "ops",
                rates("sightline_gateway_inspections_total", "@", "verdict"),
                width=12,
            ),
        ),
    )


def _records() -> PanelRow:
    return PanelRow(
        "Records of answers",
        (
            graph(
                "Records kept",
                "Answers per second whose record reached the ranker. Later pages, replays and learning need the record.",
                "ops",
                rates("sightline_gateway_answers_kept_total", "@"),
            ),
            graph(
                "Records dropped",
                "Answers per second whose record was lost, by cause. 0 is normal; otherwise check whether the ranker answers.",
                "ops",
                rare(rates("sightline_gateway_answers_dropped_total", "@", "cause")),
                limits={0.001: RED},
            ),
            graph(
                "Queued records",
                "Records in the gateway's memory that the ranker has not stored yet.",
                "short",
                PanelQuery("sum(sightline_gateway_answers_waiting{@})", "waiting"),
            ),
        ),
    )


def _state() -> PanelRow:
    return PanelRow(
        "State of the gateway",
        (
            graph(
                "Age of the snapshot",
                "Age of the copy of popular and new products that is used while the catalog can't "
                "be read. A minute is normal.",
                "s",
                PanelQuery(
                    "time() - min by (job) (sightline_gateway_snapshot_timestamp_seconds{@} > 0)",
                    "oldest",
                ),
                limits={900.0: YELLOW},
            ),
            graph(
                "Reads of the snapshot",
                "Refreshes per second: read or failed.",
                "ops",
                rates("sightline_gateway_snapshot_reads_total", "@", "outcome"),
            ),
            number(
                "Products in the snapshot",
                "Products that can be shown if the catalog can't be read.",
                "short",
                PanelQuery("min(sightline_gateway_snapshot_products{@})"),
            ),
            number(
                "Scene files rejected",
                "1 while the scene files are invalid and the previous ones stay in use; `sightline scenes check` gives the reason.",
                "short",
                PanelQuery("max(sightline_gateway_scenes_stale{@})"),
                limits={1.0: RED},
            ),
            number(
                "Experiment files rejected",
                "1 while the experiment files are invalid or change a running experiment, and the previous ones stay in use.",
                "short",
                PanelQuery("max(sightline_gateway_experiments_stale{@})"),
                limits={1.0: RED},
            ),
            number(
                "Stale keys",
                "1 while a file or URL of keys can't be read and the previous keys stay in use.",
                "short",
                PanelQuery("max(sightline_key_file_stale{@})"),
                limits={1.0: RED},
            ),
            graph(
                "Failed authentications",
                "Calls a second without a valid token, by reason.",
                "ops",
                rates(
                    "sightline_refused_total",
                    '@, reason=~"TOKEN_MISSING|TOKEN_INVALID|PEER_UNKNOWN"',
                    "reason",
                ),
            ),
            number(
                "Audit entries not stored",
                "Audited calls of the last hour that could not be stored; only their log lines exist.",
                "short",
                PanelQuery("sum(increase(sightline_audit_unstored_total{@}[1h]))"),
                limits={1.0: RED},
            ),
            number(
                "First certificate ends in",
                "Time until the first certificate in use expires. Empty if connections are not encrypted.",
                "dtdurations",
                PanelQuery("min(sightline_certificate_expiry_timestamp_seconds{@}) - time()"),
                base=RED,
                limits={14 * 86400.0: "green"},
            ),
        ),
    )
