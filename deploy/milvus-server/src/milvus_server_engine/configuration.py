"""Configuration of the server: all files in one folder, loopback addresses where the server
supports them."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Maximum bytes of a client's message; the same as for Milvus Lite here."""

INTERNAL = (
    *("etcd", "etcd_peer", "proxy", "rootCoord", "queryCoord", "queryNode"),
    *("indexNode", "dataCoord", "dataNode"),
)
"""Ports between the parts of the server."""

PORTS = range(30_000, 32_768)
"""Range of these ports: above those of suites, and below Linux's ephemeral ports, which connections
could take before a part listens or while the server is down."""

CLAIM = "milvus-server-engine-port"
"""Prefix of the names that reserve ports: abstract sockets (unix(7)), which a single process can
bind and the kernel releases when it ends."""

SESSION_SECONDS = 10
"""Seconds for which a killed component counts as alive; no collection is loaded until then. The
default of 30 s is meant for network partitions between machines.
"""

LOAD_TASK_MILLISECONDS = 5_000
"""Time limit for a component to load a collection, after which another one is asked to. With the
release's 60 s a load after kill -9 took 55 s, because the first component was dead.
"""

_LOGGING = "--logtostderr=true\n--minloglevel=2\n"
"""For the C++ part (glog); without this file the server exits with 1."""


@contextmanager
def chosen_ports(data: Path) -> Iterator[dict[str, int]]:
    """Choose a free port for each of INTERNAL, preferably that of the folder's last start.

    The ports are reserved during the block, because a component binds its port only seconds later:
    no other server of this module chooses them. A component that restarts at its old address takes
    over its old registration. At another address it waits until the registration has expired, 30 s
    and more after a kill -9.
    """
    file = data / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    with ExitStack() as claims:
        with ExitStack() as probes:
            ports = {name: _choose(known.get(name), claims, probes) for name in INTERNAL}
        file.write_text(json.dumps(ports, indent=2))
        yield ports


def _choose(known: int | None, claims: ExitStack, probes: ExitStack) -> int:
    """Return the `known` port, or one of PORTS when it is taken or there is none.

    Raise OSError when none is free.
    """
    drawn = random.sample(PORTS, len(PORTS))
    for port in [*filter(None, [known]), *drawn]:
        with ExitStack() as trying, suppress(OSError):
            claim = trying.enter_context(socket.socket(socket.AF_UNIX))
            claim.bind(f"\0{CLAIM}-{port}")
            probe = probes.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            claims.push(trying.pop_all())
            return port
    raise OSError(f"no port of {HOST} from {PORTS.start} to {PORTS.stop - 1} is free")


def write(data: Path, port: int, ports: Mapping[str, int]) -> None:
    """Write the server's files under `data`/configs. JSON is YAML too."""
    folder = data / "configs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "milvus.yaml").write_text(json.dumps(_server(data, port, ports), indent=2))
    (folder / "etcd.json").write_text(json.dumps(_etcd(ports), indent=2))
    (folder / "glog.conf").write_text(_LOGGING)


def _server(data: Path, port: int, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the server's settings. The release's defaults hold for all others."""
    parts: dict[str, Any] = {
        name: {"ip": HOST, "port": ports[name]}
        for name in ("rootCoord", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")
    }
    return {
        **parts,
        "etcd": {
            "endpoints": f"{HOST}:{ports['etcd']}",
            "use": {"embed": True},
            "data": {"dir": str(data / "etcd")},
            "config": {"path": str(data / "configs" / "etcd.json")},
            "log": {"level": "warn", "path": "stdout"},
        },
        "localStorage": {"path": str(data / "storage")},
        "mq": {"type": "rocksmq"},
        "rocksmq": {"path": str(data / "rocksmq")},
        "proxy": {
            "ip": HOST,
            "port": port,
            "internalPort": ports["proxy"],
            "http": {"enabled": False},  # a second endpoint that is not needed
            "grpc": {
                "serverMaxSendSize": MAX_MESSAGE_BYTES,
                "serverMaxRecvSize": MAX_MESSAGE_BYTES,
            },
        },
        "common": {"storageType": "local", "session": {"ttl": SESSION_SECONDS}},
        "queryCoord": {**parts["queryCoord"], "channelTaskTimeout": LOAD_TASK_MILLISECONDS},
        "log": {"level": "warn", "stdout": True, "file": {"rootPath": ""}},
        "trace": {"exporter": "noop"},
    }


def _etcd(ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the embedded etcd's settings.

    Without them it would listen on 2379 and 2380 and ignore `etcd.endpoints`.
    """
    client, peer = (f"http://{HOST}:{ports[name]}" for name in ("etcd", "etcd_peer"))
    return {
        "name": "default",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
