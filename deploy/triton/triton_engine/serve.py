"""Run the real tritonserver of the nvidia-pytriton wheel: ``python -m triton_engine.serve``.

The process becomes the server, so signals reach it directly: SIGTERM lets requests finish and ends
with 0. Every endpoint binds 127.0.0.1; the wheel's server is an old release, for one machine only.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triton_engine import build, control
from triton_engine.manifest import BuildError

LOOPBACK: Final = "127.0.0.1"
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 # where the Python backend puts its regions
PROCESSES: Final = Path("/proc")
STUB: Final = "triton_python_backend_stub"
SUITE: Final = "SIGHTLINE_SUITE"
"""Variable that identifies the suite of a process; see deploy/local/README.md."""
# Not needed here, so disabled: it would require a key that no caller has.
CLOSED: Final = "shared-memory,trace,logging"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the server."""

    models: Path
    """The model repository."""
    spaces: Path | None
    """A second repository: models that the embedder adds, loads and removes."""
    load: Sequence[str]
    """Names of the models to load at the start, which fails if one cannot be loaded. Empty: all.
    Each needs a process and memory. Other models are loaded on request.
    """
    grpc_port: int
    """Port of the gRPC endpoint."""
    http_port: int | None
    """Port of the HTTP endpoint; None disables it, without an effect on gRPC or metrics."""
    metrics_port: int | None
    """Port of the Prometheus metrics; None disables them."""
    control_key_file: Path | None
    """File with the key of model control, created if missing; None: no key."""
    traces_url: str
    """URL for traces by OTLP over HTTP, of requests whose caller records one. Empty: no traces."""
    verbose: bool
    """Also log normal operation."""


def command(
    options: Options, server: Path, backends: Path, shm_prefix: str, key: str = ""
) -> list[str]:
    """Return the server's command line. `key`: of model control; empty: not required."""
    line = [
        str(server),
        *(f"--model-repository={folder}" for folder in (options.models, options.spaces) if folder),
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in options.load or ["*"]),
        "--disable-auto-complete-config",
        # Ready means that the server runs: a fitted space that can't be loaded must not affect
        # others.
        "--strict-readiness=false",
        "--exit-timeout-secs=5",
        "--pinned-memory-pool-byte-size=0",
        f"--grpc-address={LOOPBACK}",
        f"--grpc-port={options.grpc_port}",
        f"--grpc-restricted-protocol={CLOSED}:sightline-closed={secrets.token_hex(16)}",
        *([f"--grpc-restricted-protocol=model-repository:{control.NAME}={key}"] if key else []),
        f"--log-info={str(options.verbose).lower()}",
        "--log-format=ISO8601",
    ]
    if options.traces_url:
        # No traces by its own sampling (rate), only those of requests with a traceparent; without
        # the content of tensors (level).
        line += [
            f"--trace-config={setting}"
            for setting in (
                *("mode=opentelemetry", "level=TIMESTAMPS", "rate=0"),
                f"opentelemetry,url={options.traces_url}",
                "opentelemetry,resource=service.name=triton",
            )
        ]
    if options.http_port is None:
        line += ["--allow-http=false"]
    else:
        line += [f"--http-address={LOOPBACK}", f"--http-port={options.http_port}"]
    if options.metrics_port is None:
        line += ["--allow-metrics=false"]
    else:
        line += [
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={options.metrics_port}",
            "--allow-gpu-metrics=false",
        ]
    return line


def environment(inherited: dict[str, str]) -> dict[str, str]:
    """Return the environment in which the backend's stub finds this Python and its packages."""
    libraries = str(sysconfig.get_config_var("LIBDIR"))
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), inherited.get("PATH", "")]),
        # Without it the stub may load another libpython than this environment's.
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [libraries, inherited.get("LD_LIBRARY_PATH", "")])
        ),
        "PYTHONDONTWRITEBYTECODE": "1",
        # onnxruntime frees up to 19 MB per layer and allocates them again for the next. By default
        # the C library returns them to the kernel meanwhile, and clearing the pages again takes a
        # tenth of the processor time (measured 2026-11).
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
    }


def prepare_backends(wheel: Path, into: Path) -> Path:
    """Link the Python backend, its helper module and the stub for this Python into one folder."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    backend = into / "python"
    backend.mkdir(parents=True, exist_ok=True)
    for source in (
        wheel / "backends/python/libtriton_python.so",
        wheel / "backends/python/triton_python_backend_utils.py",
        wheel / f"python_backend_stubs/{version}/triton_python_backend_stub",
    ):
        if not source.is_file():
            raise FileNotFoundError(f"the nvidia-pytriton wheel lacks {source}")
        _link(source, backend / source.name)
    return into


def _link(source: Path, target: Path) -> None:
    """Create or replace a link atomically, for servers that start meanwhile."""
    if target.is_symlink() and target.readlink() == source:
        return
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / target.name
        fresh.symlink_to(source)
        fresh.replace(target)


def shared_memory_prefix(pid: int) -> str:
    """Return a prefix of shared memory names that no other running server uses."""
    return f"sightline_triton_{_pid_namespace()}_{pid}_"


def remove_orphans(folder: Path = SHARED_MEMORY) -> list[str]:
    """Delete the regions of servers that were killed, and return their names."""
    mine = re.compile(rf"sightline_triton_{_pid_namespace()}_(\d+)_")
    removed = []
    for region in folder.glob("sightline_triton_*"):
        match = mine.match(region.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):
                region.unlink()
                removed.append(region.name)
    return removed


def end_orphans(models: Path, processes: Path = PROCESSES) -> list[int]:
    """Kill the model processes whose server was killed, and return their ids. A busy one would wait
    for its server forever, with 170 MB (2026-11, 4 of 4 times). Only processes of this model
    repository and this suite are killed.
    """
    ended = []
    for entry in processes.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to another user
            handle = os.pidfd_open(int(entry.name))  # from here on the id cannot be reused
            try:
                if _is_orphan(entry, models):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    ended.append(int(entry.name))
            finally:
                os.close(handle)
    return ended


def _is_orphan(process: Path, models: Path) -> bool:
    words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
    if len(words) < 3 or Path(words[0]).name != STUB:
        return False
    server = re.match(rf"sightline_triton_{_pid_namespace()}_(\d+)_", words[2])
    if not server or not Path(words[1]).is_relative_to(models):
        return False
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    variables = (process / "environ").read_bytes().split(b"\0")
    suite = [word for word in variables if word.startswith(os.fsencode(f"{SUITE}="))]
    ours = [os.fsencode(f"{SUITE}={os.environ[SUITE]}")] if SUITE in os.environ else []
    return parent != server[1] and suite == ours


def _pid_namespace() -> str:
    """Return this PID namespace's number: in another one the same PID is another process."""
    return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))


def wheel_root() -> Path:
    """Return the folder of the server inside the nvidia-pytriton wheel, without importing it."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nvidia-pytriton is not installed: run `uv sync` in deploy/triton")
    return Path(spec.origin).parent / "tritonserver"


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m triton_engine.serve", description=__doc__)
    parser.add_argument("--models", type=Path, default=build.MODELS, help="the model repository")
    parser.add_argument("--spaces", type=Path, help="a second repository, created if missing")
    parser.add_argument("--load", nargs="+", default=(), metavar="NAME", help="else all models")
    parser.add_argument("--grpc-port", type=int, default=8604)
    parser.add_argument("--http-port", type=int, help="off unless given")
    parser.add_argument("--metrics-port", type=int, help="off unless given")
    parser.add_argument("--control-key-file", type=Path, help="created if missing")
    parser.add_argument(
        "--traces-url",
        default=os.environ.get("TRITON_TRACES_URL", ""),
        help="URL of a collector, OTLP over HTTP: http://host:4318/v1/traces (TRITON_TRACES_URL)",
    )
    parser.add_argument("--verbose", action="store_true", help="also log normal operation")
    given = parser.parse_args(arguments)
    return Options(
        models=given.models.resolve(),
        spaces=given.spaces.resolve() if given.spaces else None,
        load=tuple(given.load),
        grpc_port=given.grpc_port,
        http_port=given.http_port,
        metrics_port=given.metrics_port,
        control_key_file=given.control_key_file,
        traces_url=given.traces_url,
        verbose=given.verbose,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Replace this process by the server."""
    options = parse(arguments)
    try:
        if options.models == build.MODELS:
            build.ensure()
        if options.spaces:
            options.spaces.mkdir(parents=True, exist_ok=True)
        wheel = wheel_root()
        backends = prepare_backends(wheel, Path(sys.prefix) / "triton_backends")
        key = control.key_of(options.control_key_file)
    except (BuildError, OSError) as error:
        sys.exit(f"error: {error}")
    for folder in filter(None, (options.models, options.spaces)):
        end_orphans(folder)
    remove_orphans()
    me = str(os.getpid())
    watchdog = [sys.executable, "-m", "triton_engine.watchdog", me, str(options.grpc_port)]
    if options.control_key_file:
        watchdog += ["--key-file", str(options.control_key_file)]
    subprocess.Popen(watchdog)
    shm_prefix = shared_memory_prefix(os.getpid())
    line = command(options, wheel / "bin/tritonserver", backends, shm_prefix, key)
    sys.stdout.flush()
    os.execve(line[0], line, environment(dict(os.environ)))  # noqa: S606 # no shell wanted


if __name__ == "__main__":
    main()
