"""Overview of the suite, the first dashboard for operators."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    GREEN,
    RED,
    YELLOW,
    Board,
    PanelQuery,
    PanelRow,
    graph,
    number,
    quantiles,
    rare,
    rates,
)
from deploy.monitoring.slo import Slos

RECOMMEND = '@, service="gateway", method="sightline.gateway.v1.RecommendationService/Recommend"'
PROCESSES = "all|gateway|embedder|retriever|retriever-worker|ranker|ranker-worker|vision|vision-worker|triton"


def overview(found: Slos) -> Board:
    """Return the dashboard of the whole suite."""
    return Board(
        "overview",
        "Sightline / Overview",
        "Objectives, request rates, latency, and failures.",
        (_objectives(found), _traffic(found), _parts()),
    )


def _objectives(found: Slos) -> PanelRow:
    budgets = (
        number(
            name.capitalize(),
            f"{slo.promise} Objective: {slo.objective:g}% over {found.days} days. The value is the "
            "remaining error budget: 100% = nothing spent, below 0 = the objective is missed.",
            "percentunit",
            PanelQuery(
                f'min by (slo) (sightline:slo_budget_left:ratio{{@, slo="{name}"}})', "left"
            ),
            base=RED,
            limits={0.0: YELLOW, 0.25: GREEN},
        )
        for name, slo in found.slos.items()
    )
    burning = graph(
        "Burn rates",
        "The share that was bad in the last hour, as a multiple of what the objective allows. At 1 the budget "
        f"lasts exactly {found.days} days; at 14.4 for an hour, or 6 for six hours, an alert fires.",
        "short",
        PanelQuery(
            "max by (slo) (sightline:slo_error_ratio:1h{@})"
            " / on (slo) (1 - max by (slo) (sightline:slo_objective))",
            "{{slo}}",
        ),
        width=24,
        limits={1.0: YELLOW, 6.0: RED},
    )
    return PanelRow("Objectives", (*budgets, burning))


def _traffic(found: Slos) -> PanelRow:
    within = 1 - found.slos["latency"].allowed
    return PanelRow(
        "What is asked",
        (
            graph(
                "Requests by call",
                "Requests per second that the gateway answered, by method.",
                "reqps",
                rates("sightline_rpc_seconds_count", '@, service="gateway"', "method"),
                stacked=True,
            ),
            graph(
                "Requests that failed, by code",
                "Requests per second that ended with an error. UNAVAILABLE, DEADLINE_EXCEEDED, "
                "INTERNAL and DATA_LOSS are faults of the suite; INVALID_ARGUMENT, NOT_FOUND and "
                "PERMISSION_DENIED are faults of callers.",
                "reqps",
                rare(
                    rates("sightline_rpc_seconds_count", '@, service="gateway", code!="OK"', "code")
                ),
                stacked=True,
            ),
            graph(
                "Time of a recommendation",
                f"50th, 95th and 99th percentile of the latency of recommendations. The objective: {within:.0%} within "
                "250 ms.",
                "s",
                *quantiles("sightline_rpc_seconds", f'{RECOMMEND}, code="OK"'),
                limits={0.25: RED},
            ),
            graph(
                "Quality of answers",
                "Recommendations per second by quality: full = not degraded, reduced = computed "
                "without a part, fallback = popular products instead, snapshot = from the "
                "gateway's copy.",
                "reqps",
                rates("sightline_gateway_answers_total", "@", "quality"),
                stacked=True,
            ),
            graph(
                "Calls under way",
                "Calls in progress in each service, and their limit. Near its limit a service "
                "rejects calls (SERVICE_OVERLOADED): it needs more pods.",
                "short",
                PanelQuery("sum by (service) (sightline_calls_in_flight{@})", "{{service}}"),
                PanelQuery(
                    "sum by (service) (sightline_concurrency_limit{@})", "limit of {{service}}"
                ),
            ),
            graph(
                "Index lag",
                "Age of the oldest write to the catalog that searches do not find yet. Seconds "
                "are normal; the objective allows a minute.",
                "s",
                PanelQuery(
                    "max by (catalog, space) (sightline_index_lag_seconds{@catalog})",
                    "{{catalog}}/{{space}}",
                ),
                limits={60.0: RED},
            ),
        ),
    )


def _parts() -> PanelRow:
    return PanelRow(
        "What runs",
        (
            graph(
                "Responding processes",
                "Processes of each kind whose metrics Prometheus could read. A falling line means "
                "that a process ended or hangs.",
                "short",
                PanelQuery(f'sum by (job) (up{{@, job=~"{PROCESSES}"}})', "{{job}}"),
            ),
            graph(
                "Processor use",
                "Busy processor cores of the services' processes. Decoders of photos are separate "
                "processes, shown on the dashboard of costs.",
                "cores",
                rates("process_cpu_seconds_total", f'@, job=~"{PROCESSES}"', "job"),
                stacked=True,
            ),
            graph(
                "Memory",
                "Memory of the processes. A line that only rises over days is a leak.",
                "bytes",
                PanelQuery(
                    f'sum by (job) (process_resident_memory_bytes{{@, job=~"{PROCESSES}"}})',
                    "{{job}}",
                ),
                stacked=True,
            ),
            graph(
                "Rejected calls",
                "Calls per second that a service rejected before processing, by reason. "
                "QUOTA_EXHAUSTED: a caller's quota is used up. SERVICE_OVERLOADED: the service "
                "needs more pods.",
                "reqps",
                rare(rates("sightline_refused_total", "@", "reason")),
            ),
            graph(
                "Hanging peers",
                "1 while a service serves without a peer that does not answer health checks.",
                "short",
                PanelQuery("max by (job, peer) (sightline_peer_hangs{@})", "{{job}} → {{peer}}"),
                limits={1.0: RED},
            ),
            number(
                "Triton answers",
                "1 while every embedder reaches Triton, which computes embeddings.",
                "short",
                PanelQuery("min(sightline_triton_server_up{@})"),
                base=RED,
                limits={1.0: GREEN},
            ),
            number(
                "Leading workers",
                "Workers that write to the index. There must be one.",
                "short",
                PanelQuery("sum(sightline_index_leader{@})"),
                base=RED,
                limits={1.0: GREEN},
            ),
        ),
    )
