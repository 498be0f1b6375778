"""Runs the benches: prints their tables and writes JSON under bench/results/."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from bench.cases import (
    at_rest,
    feedback,
    imports,
    monolith,
    recommenders,
    releases,
    replay,
    search,
    sizes,
)
from bench.harness import docs, machine, report
from bench.harness.model import BenchResult
from examples.wines.loading import LoadingFailed
from examples.wines.local import terminable
from lab.cases import (
    ablation,
    accuracy,
    beside,
    capacity,
    compression,
    consistency,
    corrections,
    deliveries,
    detect,
    diversity,
    duplicates,
    embedding,
    erasure,
    experiments,
    exposure,
    extras,
    faces,
    filters,
    gpu,
    heat_map,
    hops,
    http,
    idle_catalogs,
    import_beside,
    inspection,
    labels,
    latency,
    listing,
    million_users,
    misfits,
    new_films,
    new_pods,
    no_good_match,
    nominate,
    objectives,
    photo_clicks,
    photo_parts,
    photo_search,
    posters,
    private_counts,
    quality,
    ranking,
    recommend,
    restore,
    safeguards,
    scale,
    sequence,
    shelf_plans,
    shelves,
    side_features,
    signals,
    standin,
    store,
    suggest,
    texts,
    training,
    watch,
    watch_beside,
    watch_counts,
    watchdog,
)
from lab.peers.embedders import ServerRefused
from local_suite.model import SuiteError
from sightline_client import SightlineError
from tests.drill import DrillFailed

BENCHES: Mapping[str, Callable[[Callable[[str], None]], BenchResult]] = {
    "ablation": ablation.run,
    "accuracy": accuracy.run,
    "capacity": capacity.run,
    "recommend": recommend.run,
    "recommenders": recommenders.run,
    "imports": imports.run,
    "search": search.run,
    "sequence": sequence.run,
    "shelf_plans": shelf_plans.run,
    "shelves": shelves.run,
    "scale": scale.run,
    "latency": latency.run,
    "listing": listing.run,
    "suggest": suggest.run,
    "hops": hops.run,
    "http": http.run,
    "idle_catalogs": idle_catalogs.run,
    "consistency": consistency.run,
    "at_rest": at_rest.run,
    "beside": beside.run,
    "import_beside": import_beside.run,
    "detect": detect.run,
    "duplicates": duplicates.run,
    "embedding": embedding.run,
    "deliveries": deliveries.run,
    "diversity": diversity.run,
    "exposure": exposure.run,
    "faces": faces.run,
    "labels": labels.run,
    "watch": watch.run,
    "watch_beside": watch_beside.run,
    "watch_counts": watch_counts.run,
    "extras": extras.run,
    "experiments": experiments.run,
    "feedback": feedback.run,
    "million_users": million_users.run,
    "misfits": misfits.run,
    "monolith": monolith.run,
    "new_films": new_films.run,
    "new_pods": new_pods.run,
    "no_good_match": no_good_match.run,
    "photo_clicks": photo_clicks.run,
    "photo_parts": photo_parts.run,
    "photo_search": photo_search.run,
    "nominate": nominate.run,
    "objectives": objectives.run,
    "posters": posters.run,
    "private_counts": private_counts.run,
    "quality": quality.run,
    "ranking": ranking.run,
    "compression": compression.run,
    "releases": releases.run,
    "replay": replay.run,
    "erasure": erasure.run,
    "restore": restore.run,
    "photos": scale.photos,
    "side_features": side_features.run,
    "standin": standin.run,
    "safeguards": safeguards.run,
    "filters": filters.run,
    "gpu": gpu.run,
    "heat_map": heat_map.run,
    "inspect": inspection.run,
    "store": store.run,
    "watchdog": watchdog.run,
    "training": training.run,
    "texts": texts.run,
    "corrections": corrections.run,
    "signals": signals.run,
    "sizes": sizes.run,
}
"""Every bench. A new one is a module with ``run(say) -> BenchResult`` and a line here."""

USUAL = (
    *("monolith", "imports", "ranking", "embedding", "safeguards", "replay"),
    *("extras", "feedback", "recommenders", "heat_map", "posters", "new_films"),
)
"""The benches of `make bench`, in at most twenty minutes: cost of answers and imports, gain by
recommenders, posters and features of new products.
"""

LONG = (
    *("recommend", "search", "latency", "training", "quality", "accuracy"),
    *("consistency", "filters", "experiments", "capacity", "listing", "suggest", "objectives"),
    *("diversity", "side_features", "photo_search", "photo_parts", "labels", "no_good_match"),
    *("scale", "store", "texts"),
)
"""Other benches with goals: up to five minutes each; the last three take seven to thirteen, as the
first two fill a million rows.
"""

FULL: Mapping[str, Callable[[Callable[[str], None]], BenchResult]] = {
    **BENCHES,
    "capacity": capacity.full,
    "embedding": embedding.full,
    "extras": extras.full,
    "imports": imports.full,
    "latency": latency.full,
    "listing": listing.full,
    "monolith": monolith.full,
    "safeguards": safeguards.full,
    "scale": scale.full,
    "sizes": sizes.full,
    "suggest": suggest.full,
    "training": training.full,
}
"""All benches, with the forms that take hours instead of their short forms."""

SAMPLES: Mapping[str, Callable[[Callable[[str], None]], BenchResult]] = {
    "ablation": ablation.sample,
    "gpu": gpu.sample,
}
"""Quick forms of benches. Do not publish their figures."""


def main(arguments: Sequence[str]) -> int:
    """Run the benches that are named, or the usual ones.

    Return 0 when all ran, whatever they measured; 1 when one could not; 130 when interrupted.
    """
    parsed, names = _parsed(arguments)
    benches, form = (FULL, "full") if parsed.full else (BENCHES, "")
    if parsed.sample:
        benches, form = {**benches, **SAMPLES}, "sample"
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    try:
        with terminable():
            for name in names:
                kept = name if benches[name] is BENCHES[name] else f"{name}-{form}"
                result = _run(console, kept, benches[name])
                if parsed.write_docs:
                    docs.write(name, result)
        if names is USUAL:
            console.print(f"NOT MEASURED: {', '.join(LONG)}, by name or with --full.")
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    except (
        DrillFailed,
        LoadingFailed,
        ServerRefused,
        SightlineError,
        SuiteError,
        OSError,
    ) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        console.print(Text(f"The bench failed: {error}{notes}", style="bold red"))
        return 1
    return 0


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, Sequence[str]]:
    """Return the options and the names of the benches to run. Exits when they are invalid."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHES)}")
    parser.add_argument(
        "--full", action="store_true", help="all of them, including forms that take hours"
    )
    parser.add_argument(
        "--sample", action="store_true", help="ablation: a part of the photos; gpu: on the CPU"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write the tables into the bench's page"
    )
    parsed = parser.parse_args(arguments)
    if parsed.sample and parsed.write_docs:
        parser.error("figures of a sample must not be published: omit --write-docs")
    names = parsed.names or (list(BENCHES) if parsed.full else USUAL)
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    return parsed, names


def _run(
    console: Console, kept: str, bench: Callable[[Callable[[str], None]], BenchResult]
) -> BenchResult:
    """Run a bench, print its result and write it under the name `kept`."""
    described, commit, began = machine.describe(), machine.commit(), time.monotonic()
    result = bench(lambda line: console.print(Text(line, style="dim")))
    report.show(console, result, described)
    path = report.write(
        report.RESULTS,
        kept,
        result,
        machine=described,
        versions=machine.versions(),
        commit=commit,
        now=datetime.now(UTC),
        seconds=(took := time.monotonic() - began),
    )
    console.print(Text(f"Took {took:,.0f} s. Written to {path}"))
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
