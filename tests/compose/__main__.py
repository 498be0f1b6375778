"""Run compose.yaml: install, answer, break, stop and start again: `make compose-check`.

Uses Docker, else podman with podman-compose, and the images of `make images`. Without either it
prints NOT MEASURED. It needs the names and the port of `docker compose up`, so it does not start
beside a running project. 0 = every promise held, or none could be put to the test; 1 = one was
broken.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import yaml
from PIL import Image
from rich.console import Console
from rich.text import Text

from examples.wines.local import terminable
from tests.chaos.model import Report
from tests.cluster import results
from tests.compose.containers import PROJECT, ROOT, Engine, find
from tests.fakes.photos import claiming

PAGE = ROOT / "lab/research/cluster.md"
TARGET = "127.0.0.1:8600"
SECONDS = 180.0
"""In which the suite answers after a start or a fault."""
BIN = Path(sys.executable).parent
MOST_SIDE, AT_ONCE = 5_000, 8
BOMBS = ("AVIF", "PNG", "JPEG", "TIFF")
UNITS = {"m": 2**20, "g": 2**30}
OUTWARD = """
import socket
try:
    socket.create_connection(("1.1.1.1", 53), 3)
    print("open")
except OSError as error:
    print(error)
"""
"""Tries to leave the project's networks."""


class Busy(Exception):
    """Error of a project that runs already."""


def services() -> dict[str, dict[str, object]]:
    """Return the services of compose.yaml."""
    found: dict[str, dict[str, object]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found["services"]  # type: ignore[return-value]


def smoke() -> str:
    """Run the smoke test. Return its answers; CalledProcessError if one is not complete."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "deploy/smoke.sh", TARGET],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("(--"))


def within(work: Callable[[], str], seconds: float = SECONDS) -> float:
    """Repeat `work` until it succeeds, and return the seconds that it took. Raise its last error
    when the time is over."""
    began = time.monotonic()
    while True:
        try:
            work()
        except subprocess.SubprocessError:
            if time.monotonic() - began > seconds:
                raise
            time.sleep(1)
        else:
            return time.monotonic() - began


def install(engine: Engine, report: Report) -> None:
    """Start everything, load the wines and ask for full answers."""
    subprocess.run([ROOT / "deploy/secrets.sh"], cwd=ROOT, check=True, capture_output=True)
    began = time.monotonic()
    engine.compose("up", "--detach")
    load = [sys.executable, "-m", "examples.wines.load", "--target", TARGET]

    def loaded() -> str:
        done = subprocess.run(
            load, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
        )
        return done.stdout

    took = within(loaded)
    report.say("the wines are loaded")
    within(smoke)
    report.add(
        "from nothing to full answers: wines in, a photo asked",
        True,
        f"{time.monotonic() - began:.0f} s; wines after {took:.0f} s",
    )


def stays(engine: Engine, report: Report) -> None:
    """Stop everything, start it again and compare the answers."""
    before = smoke()
    engine.compose("down")
    engine.compose("up", "--detach")
    took = within(smoke)
    same = smoke() == before
    report.add("down and up again: the same answers", same, f"after {took:.0f} s")


def survives(engine: Engine, report: Report) -> None:
    """Kill each container once, and then all at once."""
    names = [name for name in services() if name != "models"]
    for name in names:
        kill(engine, name)
        report.add(f"{name} killed: full answers again", True, f"{within(smoke):.0f} s")
    kill(engine, *names)
    took = within(smoke)
    running = [name for name in names if engine.containers()[name]["State"]["Running"]]
    report.add(
        "all killed at once: all run again, with full answers",
        len(running) == len(names),
        f"{took:.0f} s; {len(running)} of {len(names)} run",
    )


def kill(engine: Engine, *names: str) -> None:
    """Kill the first process of these services' containers, as the kernel would; a kill by the
    engine's own command would count as a wish to stop."""
    found = engine.containers()
    for name in names:
        os.kill(found[name]["State"]["Pid"], signal.SIGKILL)


def bounded(engine: Engine, report: Report) -> None:
    """Compare the memory limits with the file, and send hostile photos."""
    found, declared = engine.containers(), services()
    wrong = []
    for name, container in found.items():
        limit = str(declared[name]["mem_limit"])
        if container["HostConfig"]["Memory"] != int(limit[:-1]) * UNITS[limit[-1]]:
            wrong.append(name)
    report.add(
        "memory limits are those of compose.yaml", not wrong, f"{len(found)}; wrong: {wrong}"
    )
    before = {name: each["RestartCount"] for name, each in found.items()}
    _decode(engine, report)
    refused = [_refusal(claiming(kind, 60_000, 60_000)) for kind in BOMBS]
    smoke()
    after = {name: each["RestartCount"] for name, each in engine.containers().items()}
    report.add(
        "photos that claim gigapixels are refused, and no container ends",
        after == before and all(refused),
        f"{len(refused)} photos: {', '.join(sorted(set(refused)))}",
    )


def _decode(engine: Engine, report: Report) -> None:
    """Ask by several AVIFs at once that are small as files and as large as a query may be."""
    kept = BytesIO()
    Image.new("RGB", (MOST_SIDE, MOST_SIDE)).save(kept, "AVIF", speed=9)
    with ThreadPoolExecutor(AT_ONCE) as callers:
        said = list(callers.map(_refusal, [kept.getvalue()] * AT_ONCE))
    ended = [name for name, each in engine.containers().items() if each["State"]["OOMKilled"]]
    report.add(
        f"{AT_ONCE} AVIFs of {len(kept.getvalue()) // 1024} KiB and 25 megapixels at once: no"
        " container exceeds its memory",
        not ended,
        f"ended: {ended}; {', '.join(sorted({each or 'answered' for each in said}))}",
    )


def _refusal(photo: bytes) -> str:
    """Ask by a photo and return the reason of the refusal; empty if it was answered."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(photo)
        file.flush()
        command = [str(BIN / "sightline"), "recommend", "--image", file.name, "--target", TARGET]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"\b[A-Z]+(_[A-Z]+)+\b", done.stderr + done.stdout)
    return found[0] if found else ""


def closed(engine: Engine, report: Report) -> None:
    """List the published ports, and try to leave the networks from inside."""
    published = {
        name: sorted(addresses)
        for name, container in engine.containers().items()
        if (addresses := _published(container["HostConfig"]["PortBindings"]))
    }
    only = {"gateway": ["127.0.0.1"], "gateway-http": ["127.0.0.1"]}
    report.add("only the gateway is published", published == only, f"{published}")
    for name in ("embedder", "retriever", "ranker"):
        container = engine.containers()[name]["Name"].strip("/")
        said = engine("exec", container, "python", "-c", OUTWARD)
        report.add(f"{name} has no way out", said != "open", said)


def _published(bindings: Mapping[str, Sequence[Mapping[str, str]]] | None) -> set[str]:
    """Return the addresses of this machine that ports of a container are published on."""
    return {each["HostIp"] for ports in (bindings or {}).values() for each in ports or ()}


def run(engine: Engine, report: Report) -> None:
    """Play all parts, and leave nothing."""
    if left := engine.left():
        raise Busy(f"{', '.join(left[:3])} … exist: run `deploy/compose.sh down --volumes` first")
    try:
        for part in (install, closed, stays, survives, bounded):
            report.say(f"{part.__name__} begins")
            try:
                part(engine, report)
            except (subprocess.SubprocessError, KeyError, OSError) as error:
                said = getattr(error, "stderr", "") or error
                report.add(f"{part.__name__} runs to its end", False, f"{said}"[:400])
    finally:
        report.say("stopping")
        left = engine.clean()
    report.add("nothing is left after down --volumes", not left, f"{left or 'nothing'}")


@contextmanager
def alone() -> Iterator[None]:
    """Hold this machine's lock of the project. Raise Busy while another run holds it."""
    with (Path("/tmp") / f"{PROJECT}-compose-check.lock").open("w") as lock:  # noqa: S108
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another `make compose-check` runs on this machine") from None
        yield


def write_page(part: results.Part, engine: Engine) -> None:
    """Write the table into lab/research/cluster.md."""
    made = results.tables(
        {f"Compose by {engine.name}": vars_of(part)}, [f"Compose by {engine.name}"]
    )
    pattern = re.compile(
        r"(<!-- make compose-check -->\n).*?(<!-- end of make compose-check -->)", re.DOTALL
    )
    PAGE.write_text(pattern.sub(lambda m: f"{m[1]}{made}{m[2]}", PAGE.read_text("utf-8")), "utf-8")


def vars_of(part: results.Part) -> dict[str, object]:
    """Return a part as `results.tables` takes it."""
    rows = [{"promise": r.promise, "verdict": r.verdict, "measured": r.measured} for r in part.rows]
    return {"rows": rows, "seconds": part.seconds}


def main() -> int:
    """Find an engine and run the parts."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--write-docs", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    engine = find()
    if isinstance(engine, str):
        print(f"NOT MEASURED: {engine}")
        return 0
    console = Console(highlight=False, width=130)
    report = Report(lambda line: console.print(Text(line, style="dim")))
    try:
        with terminable(), alone():
            run(engine, report)
    except KeyboardInterrupt:
        print("Interrupted; the project is stopped, and nothing is left of it.")
        return 130
    except Busy as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    part = results.part(report.checks, time.monotonic() - report.began)
    results.show(console, {f"Compose by {engine.name}": part})
    if given.write_docs:
        write_page(part, engine)
    return int(not report.clean)


if __name__ == "__main__":
    sys.exit(main())
