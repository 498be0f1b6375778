"""What every service has: its calls, and its process."""

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
                "Calls a second that were answered, by method.",
                "reqps",
                rates("sightline_rpc_seconds_count", own, "method"),
                stacked=True,
            ),
            graph(
                "Calls that failed, by code",
                "Calls a second that ended with an error, by gRPC's code.",
                "reqps",
                rare(rates("sightline_rpc_seconds_count", f'{own}, code!="OK"', "code")),
                stacked=True,
            ),
            graph(
                "Time of calls",
                "95% of the calls of each method take at most so long.",
                "s",
                slowest("sightline_rpc_seconds", f'{own}, code="OK"', "method"),
            ),
            graph(
                "Calls under way",
                "Calls that are worked on, and how many are taken at a time: near the limit calls are refused and "
                "more pods are needed.",
                "short",
                PanelQuery(f"sum(sightline_calls_in_flight{{{own}}})", "under way"),
                PanelQuery(f"sum(sightline_concurrency_limit{{{own}}})", "limit"),
                width=12,
            ),
            graph(
                "Calls that were refused",
                "Calls a second that admission rejected, by reason.",
                "reqps",
                rare(rates("sightline_refused_total", own, "reason")),
                width=12,
            ),
        ),
    )


def process(jobs: str, named: str) -> PanelRow:
    """Return the row of processor, memory and files of a service's processes."""
    own = f'@, job=~"{jobs}"'
    return PanelRow(
        "Processes",
        (
            graph(
                "Processor use by process",
                f"Cores that each process of the {named} keeps busy. Near 1 a Python process can do no more.",
                "cores",
                rates("process_cpu_seconds_total", own, "instance"),
            ),
            graph(
                "Memory by process",
                "Memory that each process holds. A line that only climbs, over days, is a leak.",
                "bytes",
                PanelQuery(
                    f"sum by (instance) (process_resident_memory_bytes{{{own}}})", "{{instance}}"
                ),
            ),
            graph(
                "Open files by process",
                "Files and connections that are open, as a share of what the process may open.",
                "percentunit",
                PanelQuery(
                    f"max by (instance) (process_open_fds{{{own}}} / process_max_fds{{{own}}})",
                    "{{instance}}",
                ),
                limits={0.8: "red"},
            ),
        ),
    )
