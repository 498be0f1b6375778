"""What recommendations cost: processors, pods, GPUs, money."""

from __future__ import annotations

from deploy.monitoring.boards.model import Board, PanelQuery, PanelRow, Variable, graph, number
from deploy.monitoring.boards.overview import PROCESSES, RECOMMEND


def hours(labels: str) -> str:
    """Query pod-hours of the board's time range: pods are counted every 30 seconds."""
    return f"sum_over_time(sightline:pods:count{{{labels}}}[$__range]) * 30 / 3600"


PODS, TRITON = '@, job!="triton"', '@, job="triton"'
PRICED = (
    f"(sum(sightline:pods:count{{{PODS}}}) * $pod_price"
    f" + (sum(sightline:pods:count{{{TRITON}}}) or vector(0)) * $triton_price)"
)
"""Dollars an hour, now."""
RECOMMENDATIONS = f"sum(rate(sightline_rpc_seconds_count{{{RECOMMEND}}}[$__rate_interval]))"


def cost() -> Board:
    """Return the dashboard of processor time and money per recommendation."""
    return Board(
        "cost",
        "Sightline / Cost",
        "Processor time and money per recommendation, pods by service, and whether GPUs earn their price. Put your prices "
        "into the fields above.",
        (_recommendations(), _pods(), _requested()),
        asked=(
            Variable("pod_price", "$ per pod-hour", "Of a pod of a service or worker.", "0.05"),
            Variable(
                "triton_price", "$ per Triton pod-hour", "With its GPU, if it has one.", "0.80"
            ),
            Variable("cpu_price", "$ per core-hour", "Of a core that is requested.", "0.04"),
            Variable("memory_price", "$ per GB-hour", "Of memory that is requested.", "0.005"),
            Variable("gpu_price", "$ per GPU-hour", "Of a GPU that is requested.", "0.70"),
        ),
    )


def _recommendations() -> PanelRow:
    return PanelRow(
        "A recommendation",
        (
            graph(
                "Processor seconds per recommendation",
                "Processor time of each kind of process, divided by the recommendations answered: all work counts, imports "
                "and training too. Decoders of photos are not in it, nor services of several processes (GATEWAY_PROCESSES above 1).",
                "s",
                PanelQuery(
                    f'sum by (job) (rate(process_cpu_seconds_total{{@, job=~"{PROCESSES}"}}[$__rate_interval]))'
                    f" / scalar({RECOMMENDATIONS})",
                    "{{job}}",
                ),
                width=12,
                stacked=True,
            ),
            graph(
                "Recommendations per busy core",
                "Recommendations a second that one busy core answers, in each service alone. More is cheaper.",
                "reqps",
                PanelQuery(
                    f"scalar({RECOMMENDATIONS}) / sum by (job)"
                    f' (rate(process_cpu_seconds_total{{@, job=~"{PROCESSES}"}}[$__rate_interval]))',
                    "{{job}}",
                ),
                width=12,
            ),
            number(
                "Cost an hour",
                "What the pods that run now cost an hour, by the prices above.",
                "currencyUSD",
                PanelQuery(PRICED),
                width=8,
            ),
            number(
                "Cost of a million recommendations",
                "The cost an hour, divided by what is answered at the present rate.",
                "currencyUSD",
                PanelQuery(f"{PRICED} / ({RECOMMENDATIONS} * 3600) * 1e6"),
                width=8,
            ),
            number(
                "Cost of the time shown",
                "Pod-hours within the time above, by the prices above.",
                "currencyUSD",
                PanelQuery(
                    f"sum({hours(PODS)}) * $pod_price"
                    f" + (sum({hours(TRITON)}) or vector(0)) * $triton_price"
                ),
                width=8,
            ),
        ),
    )


def _pods() -> PanelRow:
    return PanelRow(
        "Pods",
        (
            graph(
                "Pods by service",
                "Pods, or processes, of each kind that answer.",
                "short",
                PanelQuery("sum by (job) (sightline:pods:count{@})", "{{job}}"),
                width=12,
                stacked=True,
            ),
            graph(
                "Pod-hours",
                "Pod-hours of each kind within the time above, up to each moment.",
                "short",
                PanelQuery(f"sum by (job) ({hours('@')})", "{{job}}"),
                width=12,
            ),
        ),
    )


def _requested() -> PanelRow:
    chosen = '@, resource="{}"'
    price = " + ".join(
        f"(sum(kube_pod_container_resource_requests{{{chosen.format(resource)}}}{per})"
        f" or vector(0)) * ${name}"
        for resource, per, name in (
            ("cpu", "", "cpu_price"),
            ("memory", " / 1e9", "memory_price"),
            ("nvidia_com_gpu", "", "gpu_price"),
        )
    )
    return PanelRow(
        "What Kubernetes sets aside (needs kube-state-metrics and cAdvisor)",
        (
            graph(
                "Used share of the processors requested",
                "What containers use, decoders included, of what they request. Below a half for days: request less, or "
                "run fewer pods.",
                "percentunit",
                PanelQuery(
                    "sum by (container)"
                    ' (rate(container_cpu_usage_seconds_total{@, container!=""}[$__rate_interval]))'
                    " / sum by (container)"
                    ' (kube_pod_container_resource_requests{@, resource="cpu"})',
                    "{{container}}",
                ),
            ),
            graph(
                "Cost an hour of what is requested",
                "Cores, memory and GPUs that pods request, by the prices above: what nodes have to have for them.",
                "currencyUSD",
                PanelQuery(price, "requested"),
            ),
            graph(
                "Use of GPUs",
                "Share of the time that Triton's GPUs computed something, on average. Below a half for days: fewer or "
                "smaller GPUs would do.",
                "percentunit",
                PanelQuery("avg(nv_gpu_utilization{@})", "all"),
                most=1.0,
            ),
        ),
    )
