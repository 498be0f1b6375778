"""Load generator for a running suite: sends at a given rate without waiting for answers (open
loop).

Requests are lines of a JSON file, as `sightline recommend --batch` takes them: photos, products,
texts, users, scenes, in the file's mix. They are sent as a Poisson process; latency counts from the
scheduled time. Exit codes: 0; 3 if the rate could not be kept; 4 if more than --most-failed of the
requests got no answer.

    python -m bench.open_load requests.jsonl --target gateway:8600 --rate 200 --seconds 60
    python -m bench.open_load requests.jsonl --rate 0:50,60:400,300:400,330:50 --out sale.json
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console
from rich.text import Text

from bench.harness import machine, report
from bench.harness.model import BenchResult
from bench.open_load import schedule, sending
from bench.open_load.findings import LoadFindings
from bench.open_load.schedule import Curve
from bench.open_load.sending import DEGRADED, WHOLE, Sent, Where
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.cli.work import asking
from sightline_client.errors import SightlineError
from sightline_client.transport.token import check

START = 2.0
"""Seconds until all processes have started and the first request is sent."""
NOT_KEPT, FAILED = 3, 4


def main(arguments: Sequence[str]) -> int:
    """Send the load and print the figures. Return the exit code; see the module."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        curve = schedule.curve(given.rate, given.seconds)
        requests = read(given.requests, given.catalog, given.top)
        where = _where(given)
    except (OSError, ValueError, SightlineError) as error:
        parser.error(str(error))
    console = Console(highlight=False)
    console.print(Text(f"{curve.most:g} requests/s at most, for {curve.seconds:g} s", style="dim"))
    sent = loaded(where, curve, requests, given.processes, given.seed, fresh=not given.same_photos)
    found = LoadFindings(curve, sent)
    report.show(console, BenchResult(tuple(found.tables()), found.figures()), machine.describe())
    console.print(Text(found.verdict(), style="" if found.kept else "bold red"))
    if given.out:
        asked = {"target": given.target, "requests": str(given.requests), "seed": given.seed}
        content = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "asked": {**asked, "timeout": given.timeout, "processes": given.processes},
            "machine": machine.describe(),
            **found.figures(),
        }
        given.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not found.kept:
        return NOT_KEPT
    bad = sum(count for end, count in found.ends.items() if end not in (WHOLE, DEGRADED))
    return FAILED if bad > given.most_failed * len(sent.ends) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.open_load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("requests", type=Path, help="JSON lines, as for `sightline recommend --batch`")
    add("--target", default=os.environ.get("SIGHTLINE_TARGET", "127.0.0.1:8600"))
    add("--rate", required=True, help="requests/s, or points SECONDS:RATE,SECONDS:RATE,…")
    add("--seconds", type=float, help="duration of a constant rate")
    add("--timeout", type=float, default=2.0, help="deadline of a request, in seconds (2)")
    add("--catalog", default="default")
    add("--top", type=int, default=10, help="products of an answer, if a line has no top (10)")
    add(
        "--processes",
        type=int,
        default=1,
        help="processes that share the rate: one sends about 1,000/s",
    )
    add("--seed", type=int, default=1)
    add("--same-photos", action="store_true", help="send JPEGs unchanged, so that caches apply")
    add(
        "--most-failed",
        type=float,
        default=0.0,
        help="accepted fraction of requests without an answer (0)",
    )
    add("--out", type=Path, help="file for the figures, as JSON")
    add("--token-file", type=Path, help="file whose first line is the token")
    add("--tls", action="store_true", help="use TLS, with the default authorities of gRPC")
    add("--ca", type=Path, help="authority of the gateway's certificate (PEM)")
    add("--cert", type=Path, help="client certificate (PEM), with --key")
    add("--key", type=Path)
    return parser


def _where(given: argparse.Namespace) -> Where:
    """Return the requests' target. Raise ValueError or OSError for invalid options or files."""
    if (given.cert is None) != (given.key is None):
        raise ValueError("--cert and --key require each other")
    if given.timeout <= 0 or given.processes < 1:
        raise ValueError("--timeout must be above 0, and --processes at least 1")
    token = None
    if given.token_file:
        check(token := given.token_file.read_text(encoding="utf-8").partition("\n")[0].strip())
    ca, cert, key = (
        None if each is None else each.read_bytes() for each in (given.ca, given.cert, given.key)
    )
    return Where(given.target, given.timeout, token, ca, cert, key, given.tls)


def read(path: Path, catalog: str, top: int) -> list[rec.RecommendRequest]:
    """Return the file's requests with their photos.

    Raise ValueError that names the first invalid line.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found.append(
                    asking.request(
                        json.loads(line), path.parent, catalog=catalog, top=top, currency=""
                    )
                )
            except (ValueError, SightlineError, AttributeError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} contains no request")
    return found


def loaded(
    where: Where,
    curve: Curve,
    requests: Sequence[rec.RecommendRequest],
    processes: int,
    seed: int,
    *,
    fresh: bool,
) -> Sent:
    """Send the whole load from several processes. Return the outcomes of all requests."""
    part, begin = curve.shared(processes), time.time() + START
    messages = [request.SerializeToString() for request in requests]
    jobs = [(where, part, messages, seed + number, fresh, begin) for number in range(processes)]
    if processes == 1:
        return _part(*jobs[0])
    total = Sent()
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned) as pool:
        for each in [pool.submit(_part, *job) for job in jobs]:
            total.extend(each.result())
    return total


def _part(  # noqa: PLR0917 - a job of a pool is a tuple
    where: Where, curve: Curve, messages: Sequence[bytes], seed: int, fresh: bool, begin: float
) -> Sent:
    """Send one process's part of the load."""
    requests = [rec.RecommendRequest.FromString(each) for each in messages]
    asked = sending.questions(requests, seed, fresh=fresh)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(sending.send(where, curve.times(seed), asked, begin))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
