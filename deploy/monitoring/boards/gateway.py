"""The gateway: what callers meet."""

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
        "Calls of shoppers and shops: which, how fast, with which outcome; what the gateway keeps.",
        (calls("gateway"), _stages(), _records(), _state(), process("gateway", "gateway")),
    )


def _stages() -> PanelRow:
    return PanelRow(
        "Where the time goes",
        (
            graph(
                "Time of stages",
                "95% of the requests spend at most so long in each stage. The stage that grows names the part to look at: "
                "embed → embedder, index and hydrate → retriever, rank → ranker.",
                "s",
                slowest("sightline_stage_seconds", OWN, "stage"),
                width=12,
            ),
            graph(
                "Second requests",
                "Requests a second that were sent to a second replica because the first took long: won = the second was "
                "faster. Many of them: a replica is slow.",
                "reqps",
                rare(rates("sightline_hedged_total", "@", "outcome")),
                width=6,
            ),
            graph(
                "Open streams",
                "Long-lived calls: those of callers, and anonymous ones (health and reflection).",
                "short",
                PanelQuery(f"sum by (of) (sightline_streams{{{OWN}}})", "{{of}}"),
                width=6,
            ),
        ),
    )


def _records() -> PanelRow:
    return PanelRow(
        "Records of answers",
        (
            graph(
                "Records kept",
                "Answers a second whose record reached the ranker. Later pages, replays and learning rest on them.",
                "ops",
                rates("sightline_gateway_answers_kept_total", "@"),
            ),
            graph(
                "Records dropped",
                "Answers a second whose record was lost, by cause. 0 is normal; else see whether the ranker answers.",
                "ops",
                rare(rates("sightline_gateway_answers_dropped_total", "@", "cause")),
                limits={0.001: RED},
            ),
            graph(
                "Records that wait",
                "Records in the gateway's memory that the ranker has not taken yet.",
                "short",
                PanelQuery("sum(sightline_gateway_answers_waiting{@})", "waiting"),
            ),
        ),
    )


def _state() -> PanelRow:
    return PanelRow(
        "What the gateway holds",
        (
            graph(
                "Age of the snapshot",
                "How old the copy of popular and new products is that is shown while the catalog can't be read. A minute "
                "is normal.",
                "s",
                PanelQuery(
                    "time() - min by (job) (sightline_gateway_snapshot_timestamp_seconds{@} > 0)",
                    "oldest",
                ),
                limits={900.0: YELLOW},
            ),
            graph(
                "Reads of the snapshot",
                "Attempts a second to read it anew: read or failed.",
                "ops",
                rates("sightline_gateway_snapshot_reads_total", "@", "outcome"),
            ),
            number(
                "Products in the snapshot",
                "Products that can be shown when nothing else can be read.",
                "short",
                PanelQuery("min(sightline_gateway_snapshot_products{@})"),
            ),
            number(
                "Scene files refused",
                "1 while the scene files are bad and those before them go on: `sightline scenes check` says why.",
                "short",
                PanelQuery("max(sightline_gateway_scenes_stale{@})"),
                limits={1.0: RED},
            ),
            number(
                "Experiment files refused",
                "1 while experiment files are invalid or change a running experiment: earlier ones apply.",
                "short",
                PanelQuery("max(sightline_gateway_experiments_stale{@})"),
                limits={1.0: RED},
            ),
            number(
                "Audit entries stored nowhere",
                "Audited calls of the last hour that no store took: their lines in the log are all there is.",
                "short",
                PanelQuery("sum(increase(sightline_audit_unstored_total{@}[1h]))"),
                limits={1.0: RED},
            ),
            number(
                "First certificate ends in",
                "Time until the first of the certificates in use ends. Nothing is shown where connections are plain.",
                "dtdurations",
                PanelQuery("min(sightline_certificate_expiry_timestamp_seconds{@}) - time()"),
                base=RED,
                limits={14 * 86400.0: "green"},
            ),
        ),
    )
