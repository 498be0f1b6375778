"""Programs of Sightline on one machine, with their ports and settings."""

import contextlib
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from local_suite.health import grpc_serving, http_ok, triton_ready
from local_suite.model import HOST, Program, SuiteError, layout

ROOT = Path(__file__).resolve().parents[3]
"""The repository."""

CATALOG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Pattern of valid catalogs, as in servicekit.config."""

MODELS = ("efficientnet_lite0", "efficientnet_lite2")
"""Served photo models; the first is the default, and the only one beside services in one process:
each takes 100 MiB."""

TEXT_MODEL = "texts_16"
"""Served text model."""

CONSOLE_PORT = 95
"""Offset of the console's port from PORT_BASE."""

LOWEST_PORT, HIGHEST_PORT = 1024, 65535 - CONSOLE_PORT

_DRAIN_SECONDS = "5"

GRPC = {"GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener"}
"""For all services: the gRPC thread that asyncio polls does the I/O itself instead of handing it to
other threads. That saves a fifth of an empty call's processor time at one caller, a seventh at
eight (grpcio 1.85.1, 2026-11). It is read when grpc is imported, so it must be set in the
environment. The images set it too.
"""

PORTS: Mapping[str, Mapping[str, int]] = {
    "gateway": {"grpc": 0, "metrics": 10},
    "gateway-http": {"http": 80},
    "embedder": {"grpc": 1, "metrics": 11},
    "retriever": {"grpc": 2, "metrics": 12},
    "ranker": {"grpc": 3, "metrics": 13},
    "triton": {"grpc": 4, "metrics": 6},
    "milvus": {"grpc": 7, "metrics": 8},
    "retriever-worker": {"metrics": 14},
    "ranker-worker": {"metrics": 15},
    "vision": {"grpc": 5, "metrics": 16},
    "vision-worker": {"metrics": 17},
}
"""Each program's ports, as offsets from PORT_BASE. Triton has none for HTTP: it is not needed, and
has a published vulnerability in this old release. 8 is used by the Milvus server only, 9 is left
for the gateway's administrative port. With the usual PORT_BASE, those of the services, of HTTP and
the administrative one are those of images and of Kubernetes.
"""

TARGETS = APART, ALL = ("apart", "all")
"""The four services in a process each, or in one; the latter is also the program of that one."""
ONE_PROCESS_PRODUCTS = 100_000
"""Most products for which a suite without TARGET runs its services in one process, which was
measured to be no worse up to there (docs/operate/one-process.md)."""

HTTP = "gateway-http"
"""The gateway's calls over HTTP: a process, or a part of the one that the gateway runs in."""

SERVICES = ("gateway", "embedder", "retriever", "ranker")
"""Those that can run in one process."""

VISION = "vision"
"""The optional service of cameras, with its worker."""

ENGINES = ("lite", "server")
"""Milvus Lite, or the Milvus server of the PyPI wheel."""

INFERENCES = ONNX, TRITON = ("onnx", "triton")
"""What runs the models: processes of the embedder, or the Triton of the PyPI wheel."""


def sightline(
    data: Path,
    port_base: int,
    catalogs: Sequence[str] = ("default",),
    root: Path = ROOT,
    *,
    engine: str = "lite",
    traces: str = "",
    target: str = "apart",
    inference: str = "",
    models: Sequence[str] = (),
    vision: bool = False,
) -> tuple[Program, ...]:
    """Return every program in the order of start.

    `engine`: one of ENGINES. `target`: APART, ALL, or the services of one process, separated by
    commas; the others have one each. `inference`: one of INFERENCES; empty: ONNX where the embedder
    shares a process, else TRITON. `models`: built photo models, the default one first; empty:
    MODELS, or the first of them. `traces`: the host of a collector that receives the traces of all
    calls by OTLP, over gRPC on 4317 and over HTTP on 4318; empty = none. `vision`: True adds VISION
    and its worker. Raise SuiteError for an unknown engine, inference or target, an invalid catalog
    or a port out of range.
    """
    if engine not in ENGINES:
        raise SuiteError(f"ENGINE={engine} is not one of {', '.join(ENGINES)}")
    inside = _inside(target)
    inference = inference or (ONNX if "embedder" in inside else TRITON)
    if inference not in INFERENCES:
        raise SuiteError(f"INFERENCE={inference} is not one of {', '.join(INFERENCES)}")
    if bad := [name for name in catalogs if not CATALOG.fullmatch(name)]:
        raise SuiteError(
            f"CATALOGS: {', '.join(map(repr, bad))}: a catalog is 1 to 63 of a-z, 0-9, - and _, "
            "starting with a letter or digit"
        )
    if not LOWEST_PORT <= port_base <= HIGHEST_PORT:
        raise SuiteError(f"PORT_BASE={port_base} is not within {LOWEST_PORT} to {HIGHEST_PORT}")
    folder = layout(data).data
    ports = {
        name: {purpose: port_base + offset for purpose, offset in offsets.items()}
        for name, offsets in PORTS.items()
        if vision or not name.startswith(VISION)
    }
    models = models or (MODELS[:1] if inside else MODELS)
    embedding = _embedding(root, folder, ports["triton"] if inference == TRITON else None)
    services = _services(
        root, ports, folder, ",".join(catalogs), {**embedding, "EMBEDDER_MODELS": ",".join(models)}
    )
    made = (
        *([_triton(root, ports["triton"], folder, models)] if inference == TRITON else []),
        (_milvus_lite if engine == "lite" else _milvus_server)(root, ports["milvus"], folder),
        *(_in_one_process(services, root, inside) if inside else services),
    )
    return tuple(_traced(program, traces) for program in made) if traces else made


def console(port_base: int, catalog: str, root: Path = ROOT) -> Program:
    """Return the web console of a suite's gateway."""
    port, http = port_base + CONSOLE_PORT, port_base + PORTS[HTTP]["http"]
    return Program(
        name="console",
        group="edge",
        command=(_python(root), "-m", "sightline_console", "--catalog", catalog),
        folder=root,
        healthy=http_ok(port, "/healthz"),
        ports={"page": port},
        environment={
            **GRPC,
            "SIGHTLINE_TARGET": f"{HOST}:{port_base + PORTS['gateway']['grpc']}",
            "SIGHTLINE_CONSOLE_PORT": str(port),
            "SIGHTLINE_CONSOLE_HTTP_ADDRESS": f"http://{HOST}:{http}",
        },
    )


def _traced(program: Program, host: str) -> Program:
    given: dict[str, str] = {}
    if program.group == "engines":  # of the engines, only Triton exports traces
        given[f"{program.name.upper()}_TRACES_URL"] = f"http://{host}:4318/v1/traces"
    else:
        for service in program.serves or [program.name.partition("-")[0]]:
            prefix = f"{service.upper()}_TRACES"
            given |= {f"{prefix}_ENDPOINT": f"http://{host}:4317", f"{prefix}_SHARE": "1"}
    return replace(program, environment={**program.environment, **given})


def _triton(root: Path, ports: Mapping[str, int], data: Path, models: Sequence[str]) -> Program:
    folder = root / "deploy" / "triton"
    arguments = (
        *("--grpc-port", str(ports["grpc"]), "--metrics-port", str(ports["metrics"])),
        *("--spaces", str(_spaces(data) / "models"), "--load", *models, TEXT_MODEL),
        *("--control-key-file", str(_control_key(data))),
    )
    return Program(
        name="triton",
        group="engines",
        command=(_python(folder), "-m", "triton_engine.serve", *arguments),
        folder=folder,
        healthy=triton_ready(ports["grpc"]),
        ports=ports,
        keys=(_control_key(data),),
        stop_seconds=15,
    )


def _milvus_lite(root: Path, ports: Mapping[str, int], data: Path) -> Program:
    folder = root / "deploy" / "milvus"
    arguments = ("--data", str(data / "milvus"), "--port", str(ports["grpc"]))
    return Program(
        name="milvus",
        group="engines",
        command=(_python(folder), "-m", "milvus_engine.serve", *arguments),
        folder=folder,
        healthy=grpc_serving(ports["grpc"]),
        ports={"grpc": ports["grpc"]},
        stop_seconds=30,
    )


def _milvus_server(root: Path, ports: Mapping[str, int], data: Path) -> Program:
    """Return Milvus standalone. Its data are beside Milvus Lite's; the worker fills either from the
    record.
    """
    folder = root / "deploy" / "milvus-server"
    listening = ("--port", str(ports["grpc"]), "--metrics-port", str(ports["metrics"]))
    return Program(
        name="milvus",
        group="engines",
        command=(
            *(_python(folder), "-m", "milvus_server_engine.serve"),
            *("--data", str(data / "milvus-server"), *listening),
        ),
        folder=folder,
        healthy=http_ok(ports["metrics"], "/healthz"),
        ports=ports,
    )


def _services(
    root: Path,
    ports: Mapping[str, Mapping[str, int]],
    data: Path,
    catalogs: str,
    embedding: Mapping[str, str],
) -> tuple[Program, ...]:
    address = {n: f"{HOST}:{p['grpc']}" for n, p in ports.items() if "grpc" in p}
    ranker = _ranker(data)
    key = {
        "RANKER_KEY_FILE": str(data / "ranker" / "pseudonym.key"),
        "RANKER_CREATE_KEY": "true",
    }
    retriever = _retriever(data, address)
    tokens = data / "gateway" / "tokens.keys"
    # Gateways on one DATA, of a test, have sockets of their own.
    socket = layout(data).socket_of(f"gateway-{ports['gateway']['grpc']}")
    called = ("embedder", "retriever", "ranker", VISION)
    gateway = {f"GATEWAY_{n.upper()}_TARGET": address[n] for n in called if n in address} | {
        "GATEWAY_SOCKET": str(socket),
        "GATEWAY_TOKEN_KEYS_FILE": str(tokens),
        "GATEWAY_SNAPSHOTS": str(data / "gateway" / "snapshots"),
    }

    def service(name: str, main: str, environment: Mapping[str, str], *keys: Path) -> Program:
        prefix = name.upper()
        common = {
            f"{prefix}_PORT": str(ports[name]["grpc"]),
            f"{prefix}_METRICS_PORT": str(ports[name]["metrics"]),
            f"{prefix}_DRAIN_SECONDS": _DRAIN_SECONDS,
            f"{prefix}_CATALOGS": catalogs,
        }
        return Program(
            name=name,
            group="edge" if name == "gateway" else "services",
            command=(_python(root), "-m", name),
            folder=root,
            healthy=grpc_serving(ports[name]["grpc"], f"sightline.{main}"),
            ports=ports[name],
            environment={**GRPC, **common, **environment},
            keys=keys,
        )

    def worker(owner: str, environment: Mapping[str, str]) -> Program:
        name, metrics = f"{owner}-worker", ports[f"{owner}-worker"]["metrics"]
        common = {
            f"{owner.upper()}_WORKER_METRICS_PORT": str(metrics),
            f"{owner.upper()}_CATALOGS": catalogs,
        }
        return Program(
            name=name,
            group="services",
            command=(_python(root), "-m", f"{owner}.worker"),
            folder=root,
            healthy=http_ok(metrics),
            ports=ports[name],
            environment={**GRPC, **common, **environment},
        )

    registry = {
        name: {
            f"{name.upper()}_RETRIEVER_TARGET": address["retriever"],
            f"{name.upper()}_CATALOGS_FILE": str(data / name / "catalogs.json"),
        }
        for name in ("embedder", "ranker", VISION)
    }
    control = [_control_key(data)] if "EMBEDDER_TRITON_KEY_FILE" in embedding else []
    seeing: tuple[Program, ...] = ()
    if VISION in address:
        settings = _vision(data, address) | registry[VISION]
        keys = (_webhook_key(data),)
        # All of its methods are public ones.
        calling = {**settings, "VISION_RANKER_TARGET": address["ranker"]}
        server = service(VISION, "gateway.v1.WatchService", calling, *keys)
        seeing = (server, worker(VISION, settings))
    return (
        service(
            "embedder",
            "embedder.v1.EmbeddingService",
            {**registry["embedder"], **embedding},
            *control,
        ),
        service("retriever", "retriever.v1.ProductService", retriever),
        worker("retriever", retriever),
        service("ranker", "ranker.v1.RankingService", ranker | key | registry["ranker"]),
        worker("ranker", ranker | registry["ranker"] | _ranker_worker(data)),
        *seeing,
        service("gateway", "gateway.v1.RecommendationService", gateway, tokens),
        _http(root, ports[HTTP], socket),
    )


def _http(root: Path, ports: Mapping[str, int], socket: Path) -> Program:
    """Return the HTTP face of a gateway, which it calls by its socket."""
    return Program(
        name=HTTP,
        group="edge",
        command=(_python(root), "-m", "gateway.http"),
        folder=root,
        healthy=http_ok(ports["http"], "/ready"),
        ports=ports,
        environment={
            **GRPC,
            "GATEWAY_HTTP_PORT": str(ports["http"]),
            "GATEWAY_HTTP_GATEWAY_TARGET": f"unix:{socket}",
            "GATEWAY_HTTP_DRAIN_SECONDS": _DRAIN_SECONDS,
        },
    )


def usual_target(data: Path, engine: str) -> str:
    """Return the target of a suite that is given none, by its size."""
    return ALL if engine == "lite" and _products(data) <= ONE_PROCESS_PRODUCTS else APART


def _products(data: Path) -> int:
    """Return the number of products in a suite's record, counted up to one more than fit; 0 if
    there is no record yet."""
    record = layout(data).data / "retriever" / "record.db"
    counted = "SELECT count(*) FROM (SELECT 1 FROM products LIMIT ?)", (ONE_PROCESS_PRODUCTS + 1,)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True)) as opened:
            (count,) = opened.execute(*counted).fetchone()
    except sqlite3.Error:
        return 0
    return int(count)


def _inside(target: str) -> frozenset[str]:
    """Return the services of one process; none if each has its own. Raise SuiteError."""
    if target in (APART, ALL):
        return frozenset(SERVICES if target == ALL else ())
    names = frozenset(each.strip() for each in target.split(","))
    if "gateway" not in names or names - set(SERVICES):
        raise SuiteError(
            f"TARGET={target} is neither {APART} nor {ALL}, nor some of {', '.join(SERVICES)}, with"
            " the gateway"
        )
    return names


def _in_one_process(
    services: Sequence[Program], root: Path, names: Collection[str]
) -> tuple[Program, ...]:
    """Return one program for the named services, and the others as they are."""
    inside = [each for each in services if each.name in {*names, HTTP}]
    serves = {each.name: each.ports["grpc"] for each in inside if "grpc" in each.ports}
    gateway = next(each for each in inside if each.name == "gateway")
    socket = gateway.environment["GATEWAY_SOCKET"]
    addresses = {*(f"{HOST}:{port}" for port in serves.values()), socket, f"unix:{socket}"}
    settings = {key: value for each in inside for key, value in each.environment.items()}
    together = replace(
        gateway,
        name=ALL,
        command=(_python(root), "-m", "sightline_all"),
        healthy=lambda: all(each.healthy() for each in inside),
        ports={**gateway.ports, **next(each.ports for each in inside if each.name == HTTP)},
        serves=serves,
        forks=True,
        environment={
            # They call one another without a network.
            key: value
            for key, value in settings.items()
            if value not in addresses
        },
        keys=tuple(key for each in inside for key in each.keys),
    )
    return (*(each for each in services if each not in inside), together)


def _embedding(root: Path, data: Path, triton: Mapping[str, int] | None) -> dict[str, str]:
    """Return the embedder's settings of models. `triton`: its ports; None: the embedder runs the
    models."""
    models = {
        "EMBEDDER_TEXT_MODELS": TEXT_MODEL,
        "EMBEDDER_SPACES": str(_spaces(data)),
        "EMBEDDER_BACKBONES": str(root / "deploy" / "triton" / "models"),
    }
    if triton is None:
        return {**models, "EMBEDDER_ENGINE": ONNX}
    return {
        **models,
        "EMBEDDER_TRITON_TARGET": f"{HOST}:{triton['grpc']}",
        "EMBEDDER_TRITON_KEY_FILE": str(_control_key(data)),
    }


def _spaces(data: Path) -> Path:
    """Return the folder of fitted spaces, which the embedder writes and Triton serves."""
    return data / "embedder" / "spaces"


def _control_key(data: Path) -> Path:
    """Return the key of Triton's model control, which Triton and the embedder read: neither has to
    start first."""
    return data / "embedder" / "triton.key"


def _retriever(data: Path, address: Mapping[str, str]) -> dict[str, str]:
    return {
        "RETRIEVER_DATABASE_URL": f"sqlite:///{data / 'retriever' / 'record.db'}",
        "RETRIEVER_PHOTOS_URL": str(data / "retriever" / "photos"),
        "RETRIEVER_BACKUPS": str(data / "retriever" / "backups"),
        "RETRIEVER_MILVUS_URI": f"http://{address['milvus']}",
        "RETRIEVER_EMBEDDER_TARGET": address["embedder"],
        "RETRIEVER_SPACES": "visual,text",
    }


def _vision(data: Path, address: Mapping[str, str]) -> dict[str, str]:
    return {
        "VISION_DATABASE_URL": f"sqlite:///{data / VISION / 'record.db'}",
        "VISION_PHOTOS_URL": str(data / VISION / "photos"),
        "VISION_BACKUPS": str(data / VISION / "backups"),
        "VISION_EMBEDDER_TARGET": address["embedder"],
        "VISION_WEBHOOK_KEYS_FILE": str(_webhook_key(data)),
    }


def _webhook_key(data: Path) -> Path:
    """Return the key from which VISION and its worker derive the secrets of webhooks."""
    return data / VISION / "webhooks.key"


def _ranker(data: Path) -> dict[str, str]:
    return {
        "RANKER_DATABASE_URL": f"sqlite:///{data / 'ranker' / 'ranker.db'}",
        "RANKER_MODEL_STORE": str(data / "ranker" / "models"),
        "RANKER_EXPORT_STORE": str(data / "ranker" / "exports"),
    }


def _ranker_worker(data: Path) -> dict[str, str]:
    return {"RANKER_BACKUPS": str(data / "ranker" / "backups")}


def _python(folder: Path) -> str:
    return str(folder / ".venv" / "bin" / "python")
