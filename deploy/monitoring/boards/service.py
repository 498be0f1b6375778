"""Panels of every service: its calls and its processes."""

from __future__ import annotations

from deploy.monitoring.boards.model import PanelQuery, PanelRow, graph, rare, rates, slowest


def calls(service: str) -> PanelRow:
    """Return the row of a service's calls: rate, latency and outcome."""
    own = f'@, service="{service}"'
    return PanelRow(
        "Calls",
        (
            graph(
                "Calls by method",
                "Answered calls per second, by method.",
                "reqps",
                rates("sightline_rpc_seconds_count", own, "method"),
                stacked=True,
            ),
            graph(
                "Failed calls by code",
                "Calls per second that ended with an error, by gRPC status code.",
                "reqps",
                rare(rates("sightline_rpc_seconds_count", f'{own}, code!="OK"', "code")),
                stacked=True,
            ),
            graph(
                "Time of calls",
                "95th percentile of the latency, by method.",
                "s",
                slowest("sightline_rpc_seconds", f'{own}, code="OK"', "method"),
            ),
            graph(
                "Calls under way",
                "Calls in progress, and their limit. Near the limit calls are rejected, and more "
                "pods are needed.",
                "short",
                PanelQuery(f"sum(sightline_calls_in_flight{{{own}}})", "under way"),
                PanelQuery(f"sum(sightline_concurrency_limit{{{own}}})", "limit"),
                width=12,
            ),
            graph(
                "Rejected calls",
                "Calls per second that admission rejected, by reason.",
                "reqps",
                rare(rates("sightline_refused_total", own, "reason")),
                width=12,
            ),
        ),
    )


def process(jobs: str, named: str) -> PanelRow:
    """Return the row of processor, memory and files of a service's processes."""
    own = f'@, job=~"all|{jobs}"'  # "all": one process of all services
    return PanelRow(
        "Processes",
        (
            graph(
                "Processor use by process",
                f"Cores that each process of the {named} keeps busy. Near 1 a Python process is "
                "saturated.",
                "cores",
                rates("process_cpu_seconds_total", own, "instance"),
            ),
            graph(
                "Memory by process",
                "Memory of each process. A line that only rises over days is a leak.",
                "bytes",
                PanelQuery(
                    f"sum by (instance) (process_resident_memory_bytes{{{own}}})", "{{instance}}"
                ),
            ),
            graph(
                "Open files by process",
                "Open files and connections, as a share of the process's limit.",
                "percentunit",
                PanelQuery(
                    f"max by (instance) (process_open_fds{{{own}}} / process_max_fds{{{own}}})",
                    "{{instance}}",
                ),
                limits={0.8: "red"},
            ),
        ),
    )
