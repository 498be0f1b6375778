"""Stand-in for KEDA and the metrics server.

For each ScaledObject it makes the HorizontalPodAutoscaler that KEDA would make, and serves its
metrics: `external.metrics.k8s.io` by queries to a Prometheus, and `metrics.k8s.io` by the kubelet's
counters of processor time. Kubernetes' own controller does the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

Document = dict[str, Any]
LABEL = "scaledobject.keda.sh/name"
GROUPS = ("external.metrics.k8s.io", "metrics.k8s.io")
NAMESPACE = "kube-system"
NAME = "metrics"
SAMPLE_SECONDS = 5.0
"""Seconds between two reads of the kubelet's counters; the metrics server's default is 15."""
_USED = re.compile(
    r'^container_cpu_usage_seconds_total{container="([^"]+)",namespace="([^"]+)",pod="([^"]+)"}'
    r" ([0-9.e+-]+)",
    re.MULTILINE,
)


def autoscaler(scaled: Document) -> Document:
    """Return the HorizontalPodAutoscaler that KEDA makes of a ScaledObject."""
    meta, spec = scaled["metadata"], scaled["spec"]
    advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"keda-hpa-{meta['name']}", "namespace": meta["namespace"]},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": spec["scaleTargetRef"]["name"],
            },
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "metrics": [
                _metric(place, each, meta["name"]) for place, each in enumerate(spec["triggers"])
            ],
            **({"behavior": advanced["behavior"]} if "behavior" in advanced else {}),
        },
    }


def _metric(place: int, trigger: Document, scaled: str) -> Document:
    given = trigger["metadata"]
    if trigger["type"] == "cpu":
        goal = {"type": "Utilization", "averageUtilization": int(given["value"])}
        return {"type": "Resource", "resource": {"name": "cpu", "target": goal}}
    kind = trigger.get("metricType", "AverageValue")
    key = "averageValue" if kind == "AverageValue" else "value"
    goal = {"type": kind, key: given["threshold"]}
    metric = {"name": f"s{place}-prometheus", "selector": {"matchLabels": {LABEL: scaled}}}
    return {"type": "External", "external": {"metric": metric, "target": goal}}


def queries(scaled: Sequence[Document]) -> dict[tuple[str, str], str]:
    """Return the queries of all Prometheus triggers, by ScaledObject and metric."""
    return {
        (each["metadata"]["name"], f"s{place}-prometheus"): trigger["metadata"]["query"]
        for each in scaled
        for place, trigger in enumerate(each["spec"]["triggers"])
        if trigger["type"] == "prometheus"
    }


def services(address: str, port: int) -> list[Document]:
    """Return what makes the API server ask this program: a Service without a selector, its
    endpoint, and an APIService for each group of metrics."""
    where = {"name": NAME, "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": where,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**where, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
        *(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"v1beta1.{group}"},
                "spec": {
                    "group": group,
                    "version": "v1beta1",
                    "service": {**where, "port": 443},
                    "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                },
            }
            for group in GROUPS
        ),
    ]


@dataclass(slots=True)
class Processor:
    """Processors in use by each container, from the last two reads of the kubelet's counters."""

    read: Callable[[], str]
    """Returns the kubelet's metrics of containers."""
    labels: Callable[[], Mapping[tuple[str, str], Mapping[str, str]]]
    """Returns the labels of all pods, by namespace and name."""
    _reads: deque[tuple[float, dict[tuple[str, str, str], float]]] = field(
        default_factory=lambda: deque(maxlen=2)
    )

    def keep_current(self) -> None:
        """Read the counters again and again, in a thread."""

        def run() -> None:
            while True:
                with suppress(OSError, subprocess.SubprocessError):  # a kubelet that restarts
                    self.take(time.monotonic(), self.read())
                time.sleep(SAMPLE_SECONDS)

        threading.Thread(target=run, daemon=True).start()

    def take(self, now: float, metrics: str) -> None:
        """Take the counters of a time."""
        self._reads.append(
            (
                now,
                {
                    (space, pod, name): float(value)
                    for name, space, pod, value in _USED.findall(metrics)
                },
            )
        )

    def pods(self, namespace: str, selector: Mapping[str, str]) -> list[Document]:
        """Return PodMetrics of the pods with these labels."""
        if len(self._reads) < 2:
            return []
        (began, first), (ended, last) = self._reads
        made: dict[str, list[Document]] = {}
        known = self.labels()
        for (space, pod, container), value in sorted(last.items()):
            key = (space, pod, container)
            has = known.get((space, pod), {})
            if space != namespace or key not in first or not selector.items() <= has.items():
                continue
            cores = max(0.0, value - first[key]) / (ended - began)
            usage = {"cpu": f"{int(cores * 1e9)}n", "memory": "0"}
            made.setdefault(pod, []).append({"name": container, "usage": usage})
        return [
            {
                "metadata": {
                    "name": pod,
                    "namespace": namespace,
                    "labels": dict(known[namespace, pod]),
                },
                "timestamp": now(),
                "window": f"{ended - began:.0f}s",
                "containers": containers,
            }
            for pod, containers in made.items()
        ]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that is asked as KEDA asks it."""

    url: str

    def value(self, query: str) -> float | None:
        """Return the value of a query; None without a sample."""
        asked = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - our own address
            found = json.load(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else None


def now() -> str:
    """Return the time in the API's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(
    path: str,
    known: Callable[[], Mapping[tuple[str, str], str]],
    prometheus: Prometheus,
    processor: Processor,
) -> Document | None:
    """Return the answer to a GET of the API server; None for a path that is not served, or a metric
    without a value."""
    parts = urllib.parse.urlsplit(path)
    words = parts.path.strip("/").split("/")
    if words[:1] != ["apis"] or len(words) < 3:
        return None
    group, selector = words[1], _selector(parts.query)
    if len(words) == 3:
        names = ["*"] if group == GROUPS[0] else ["pods"]
        resources = [{"name": each, "namespaced": True, "kind": "", "verbs": ["get", "list"]}
                     for each in names]  # fmt: skip
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/v1beta1",
            "resources": resources,
        }
    namespace, what = words[4], words[5]
    if group == GROUPS[1]:
        items = processor.pods(namespace, selector)
        return {"kind": "PodMetricsList", "apiVersion": f"{group}/v1beta1", "items": items}
    query = known().get((selector.get(LABEL, ""), what))
    value = None if query is None else prometheus.value(query)
    if value is None:
        return None
    one = {
        "metricName": what,
        "metricLabels": None,
        "timestamp": now(),
        "value": f"{max(0, round(value * 1000))}m",
    }
    return {"kind": "ExternalMetricValueList", "apiVersion": f"{group}/v1beta1", "items": [one]}


def _selector(query: str) -> dict[str, str]:
    given = urllib.parse.parse_qs(query).get("labelSelector", [""])[0]
    return dict(each.split("=", 1) for each in given.split(",") if "=" in each)


def serve(address: str, folder: Path, found: Callable[[str], Document | None]) -> int:
    """Answer by `found` over TLS, in a thread. Return the port."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={NAME}", "-keyout", "metrics.key", "-out", "metrics.crt"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                made = found(self.path)
            except (OSError, ValueError, LookupError) as error:
                made = None
                self.log_message("%s: %r", self.path, error)
            body = json.dumps(made or {"kind": "Status", "status": "Failure"}).encode()
            self.send_response(404 if made is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    server = ThreadingHTTPServer((address, 0), Handler)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "metrics.crt", folder / "metrics.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])
