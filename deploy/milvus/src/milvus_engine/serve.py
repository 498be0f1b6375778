"""Serves Milvus Lite over gRPC on a loopback address.

    python -m milvus_engine.serve --data DIR --port 8607

Reasons not to use `milvus-lite server` (3.2.2, by its source and by trials, 2026-11):

- it has no authentication and binds 0.0.0.0;
- SIGTERM kills it without closing the collections: the next start replays every write-ahead log;
- two clients whose first call names the same collection at once can each open it, with a
  write-ahead log each, and two writers at once lose rows that were acknowledged (4 threads, 2,500
  rows acknowledged, 75 to 275 left after kill -9).

So this module builds the vendor's servicer itself. It opens each collection under one lock, runs
one write at a time, rejects writes while the disk is full (disk.py), isolates reads from flushes
(reading.py), and closes everything on SIGTERM.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from milvus_lite.engine import collection as engine_collection
from milvus_lite.exceptions import DataDirLockedError
from milvus_lite.search.executor_indexed import execute_search_with_index
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

from milvus_engine import disk, reading

SERVICE = "milvus.proto.milvus.MilvusService"

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Maximum bytes of one request and one answer: 16,384 rows of (id, seq) and 2,000 vectors of 1,280
dimensions fit several times over. The vendor's own limit is 256 MiB.
"""

DRAIN_SECONDS = 5.0
"""Seconds that calls in progress may continue after SIGTERM."""

READS = frozenset(
    {
        "AllocTimestamp",
        "Connect",
        "GetVersion",
        "CheckHealth",
        "HasCollection",
        "DescribeCollection",
        "ShowCollections",
        "Query",
        "Search",
        "HybridSearch",
        "DescribeIndex",
        "GetLoadingProgress",
        "GetLoadState",
        "HasPartition",
        "ShowPartitions",
        "GetFlushState",
        "GetCollectionStatistics",
        "GetPartitionStatistics",
        "ListDatabases",
        "DescribeDatabase",
        "DescribeAlias",
        "ListAliases",
        "GetCompactionState",
    }
)
"""Calls that may run concurrently. All others, including calls that later releases add, wait for
the write lock."""

log = logging.getLogger("milvus_engine")


class GuardedLite(MilvusLite):  # type: ignore[misc]  # the vendor ships no types
    """A Milvus Lite database whose collections are opened once, whatever the number of threads."""

    def __init__(self, data_dir: str) -> None:
        self._open_lock = threading.RLock()
        super().__init__(data_dir)

    def get_collection(self, *args: Any, **kwargs: Any) -> Any:
        with self._open_lock:
            return super().get_collection(*args, **kwargs)

    def create_collection(self, *args: Any, **kwargs: Any) -> Any:
        with self._open_lock:
            return super().create_collection(*args, **kwargs)

    def drop_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._open_lock:
            super().drop_collection(*args, **kwargs)

    def rename_collection(self, *args: Any, **kwargs: Any) -> None:
        with self._open_lock:
            super().rename_collection(*args, **kwargs)


class NarrowSegment:
    """A segment whose rows are read in the named columns only.

    The vendor reads every column of each hit, including its vector as a list of Python floats, and
    then drops columns that were not requested: this takes 80 of the 100 µs per hit.
    """

    def __init__(self, segment: Any, names: Iterable[str]) -> None:
        self._segment = segment
        self._columns = {name: segment.table.column(name) for name in names}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segment, name)

    def row_to_dict(self, row: int) -> dict[str, Any]:
        """Return the row's named columns."""
        return {name: column[row].as_py() for name, column in self._columns.items()}


def search_narrowly(*, segments: Any, pk_field: str, output_fields: Any, **rest: Any) -> Any:
    """Search segments as the vendor does, but read only the requested columns of hits."""
    named = set(output_fields or ()) | {pk_field}
    if output_fields and all(named <= set(segment.table.schema.names) for segment in segments):
        segments = [NarrowSegment(segment, named) for segment in segments]
    return execute_search_with_index(
        segments=segments, pk_field=pk_field, output_fields=output_fields, **rest
    )


engine_collection.execute_search_with_index = search_narrowly


class Servicer(MilvusServicer):  # type: ignore[misc]
    """The vendor's servicer with the one missing call that pymilvus 3.0.2 requires.

    AsyncMilvusClient asks for a timestamp before it waits for an index, and (unlike the sync
    client) fails if the call is UNIMPLEMENTED.
    """

    def AllocTimestamp(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Return the time as Milvus encodes it: milliseconds since 1970 and 18 bits of counter."""
        return milvus_pb2.AllocTimestampResponse(
            status=common_pb2.Status(), timestamp=(time.time_ns() // 1_000_000) << 18
        )


class OneWriter(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Interceptor: one writing call at a time, and none when the disk is full; reads are not
    limited.
    """

    def __init__(self, data: Path, reserve: int) -> None:
        self._data = data
        self._reserve = reserve
        self._lock = threading.Lock()

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        _, service, method = details.method.split("/", 2)
        if handler is None or handler.unary_unary is None or service != SERVICE or method in READS:
            return handler
        behaviour: Callable[[Any, Any], Any] = handler.unary_unary

        def locked(request: Any, context: Any) -> Any:
            with self._lock:
                if method not in disk.FREEING and not disk.has_room(self._data, self._reserve):
                    left = f"less than {self._reserve} bytes are left on the disk"
                    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"nothing written: {left}")
                return behaviour(request, context)

        return grpc.unary_unary_rpc_method_handler(
            locked, handler.request_deserializer, handler.response_serializer
        )


@contextmanager
def running(
    data: Path, host: str, port: int, workers: int = 10, reserve: int = disk.RESERVE_BYTES
) -> Iterator[int]:
    """Serve `data` during the block and yield the port (chosen by the system for port 0).

    Writes are rejected while its disk has fewer than `reserve` bytes left. On leaving, calls in
    progress get DRAIN_SECONDS, then memory is flushed to files. Raise DataDirLockedError when
    another process holds the folder, RuntimeError when the port is taken.
    """
    data.mkdir(parents=True, exist_ok=True)
    database = GuardedLite(str(data))
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=workers, thread_name_prefix="milvus"),
        interceptors=[OneWriter(data, reserve)],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # Without this a second engine on the same port would silently share its calls.
            ("grpc.so_reuseport", 0),
        ],
    )
    status = health.HealthServicer()
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Servicer(database), server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    try:
        for name in database.list_collections():
            database.get_collection(name)  # replays the logs of a killed process
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        if bound == 0:
            raise RuntimeError(f"port {port} on {host} is taken")
        server.start()
        status.set("", health_pb2.HealthCheckResponse.SERVING)
        status.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        yield int(bound)
    finally:
        status.enter_graceful_shutdown()
        server.stop(grace=DRAIN_SECONDS).wait()
        database.close()


def loopback(text: str) -> str:
    """Return the address when it is a loopback address, as the engine has no authentication.

    Raise ArgumentTypeError otherwise.
    """
    if not ipaddress.ip_address(text).is_loopback:
        raise argparse.ArgumentTypeError(f"{text} is not a loopback address")
    return text


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m milvus_engine.serve", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="folder; created if missing")
    parser.add_argument("--port", type=int, required=True, help="0: the system chooses")
    parser.add_argument("--host", type=loopback, default="127.0.0.1", help="loopback only")
    parser.add_argument("--workers", type=int, default=10, help="calls served at a time")
    parser.add_argument(
        "--reserve",
        type=int,
        default=disk.RESERVE_BYTES,
        help="free disk space below which writes are rejected, in bytes; default %(default)s",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    disk.end_when_the_log_fails()
    reading.read_one_state()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running(args.data, args.host, args.port, args.workers, args.reserve) as port:
            log.info("ready on %s:%d, data in %s", args.host, port, args.data)
            stop.wait()
            log.info("closing")
    except (DataDirLockedError, RuntimeError, OSError) as error:
        log.critical("cannot serve: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
