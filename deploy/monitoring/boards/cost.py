"""The dashboard of costs: processors, pods, GPUs, money."""

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
"""Current dollars per hour."""
RECOMMENDATIONS = f"sum(rate(sightline_rpc_seconds_count{{{RECOMMEND}}}[$__rate_interval]))"


def cost() -> Board:
    """Return the dashboard of processor time and money per recommendation."""
    return Board(
        "cost",
        "Sightline / Cost",
        "Processor time and cost per recommendation, pods by service, and use of GPUs. Enter your "
        "prices in the fields above.",
        (_recommendations(), _pods(), _requested()),
        asked=(
            Variable(
                "pod_price", "$ per pod-hour", "Price of a pod of a service or worker.", "0.05"
            ),
            Variable(
                "triton_price",
                "$ per Triton pod-hour",
                "Price including its GPU, if it has one.",
                "0.80",
            ),
            Variable("cpu_price", "$ per core-hour", "Price of a requested core.", "0.04"),
            Variable("memory_price", "$ per GB-hour", "Price of requested memory.", "0.005"),
            Variable("gpu_price", "$ per GPU-hour", "Price of a requested GPU.", "0.70"),
        ),
    )


def _recommendations() -> PanelRow:
    return PanelRow(
        "A recommendation",
        (
            graph(
                "Processor seconds per recommendation",
                "Processor time of each kind of process, divided by the recommendations answered. "
                "All work counts, including imports and training, except decoders of photos and "
                "services of several processes (GATEWAY_PROCESSES above 1).",
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
                "Recommendations a second per busy core, by service. Higher is cheaper.",
                "reqps",
                PanelQuery(
                    f"scalar({RECOMMENDATIONS}) / sum by (job)"
                    f' (rate(process_cpu_seconds_total{{@, job=~"{PROCESSES}"}}[$__rate_interval]))',
                    "{{job}}",
                ),
                width=12,
            ),
            number(
                "Cost per hour",
                "Cost per hour of the running pods, by the prices above.",
                "currencyUSD",
                PanelQuery(PRICED),
                width=8,
            ),
            number(
                "Cost of a million recommendations",
                "The cost per hour, divided by the current rate of answers.",
                "currencyUSD",
                PanelQuery(f"{PRICED} / ({RECOMMENDATIONS} * 3600) * 1e6"),
                width=8,
            ),
            number(
                "Cost of the time shown",
                "Pod-hours within the selected time, by the prices above.",
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
                "Pods, or processes, of each kind that respond.",
                "short",
                PanelQuery("sum by (job) (sightline:pods:count{@})", "{{job}}"),
                width=12,
                stacked=True,
            ),
            graph(
                "Pod-hours",
                "Cumulative pod-hours of each kind within the selected time.",
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
        "Resources requested of Kubernetes (needs kube-state-metrics and cAdvisor)",
        (
            graph(
                "Used share of the processors requested",
                "Processor use of containers, including decoders, relative to their requests. If "
                "it is below a half for days, request less, or run fewer pods.",
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
                "Cost per hour of requested resources",
                "Cost of the cores, memory and GPUs that pods request, by the prices above.",
                "currencyUSD",
                PanelQuery(price, "requested"),
            ),
            graph(
                "Use of GPUs",
                "Average share of the time in which Triton's GPUs compute. If it is below a half "
                "for days, use fewer or smaller GPUs.",
                "percentunit",
                PanelQuery("avg(nv_gpu_utilization{@})", "all"),
                most=1.0,
            ),
        ),
    )
