"""Every overlay applied to an API server that knows all kinds, and one pod that runs."""

from __future__ import annotations

import json

from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, ready, until
from tests.cluster.node import hub
from tests.cluster.parts.stage import Stage
from tests.cluster.standins.definitions import custom
from tests.cluster.standins.volumes import CLASS
from tests.contracts.k8s import K8S, OLDEST, OVERLAYS, Document, of, overlay, pod
from tests.contracts.k8s_schemas import VERSIONS, problems

POD_SECONDS = 120
PAUSE = "localhost/pause:1"
TMP = "/tmp"  # noqa: S108 # in the pod


def overlays(stage: Stage, report: Report) -> None:
    """Apply each overlay, check that no pod is refused, and delete it again."""
    lacking(stage, report)
    older(report)
    known = stage.define()
    report.say(f"{known} kinds of operators are defined")
    for name in OVERLAYS:
        documents = overlay(name)
        apply(stage.kube, name, documents, report)
    stage.kube.ask("create", "namespace", "trial")
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    stage.kube.ask("label", "namespace", "trial", restricted)
    run_pod(stage, report)
    stage.kube.ask("delete", "namespace", "trial", "--wait=false")


def lacking(stage: Stage, report: Report) -> None:
    """Check what a cluster says that lacks kinds, a storage class, or memory."""
    kube = stage.kube
    if kube.call("get", "storageclass", CLASS).returncode == 0:
        report.miss("a cluster that lacks something", "this part has to be the first one")
        return
    kube.ask("create", "namespace", "trial")
    try:
        said = kube.call("apply", "--dry-run=server", "-k", str(K8S / "overlays/staging")).stderr
        kinds = {each["kind"] for each in overlay("staging") if custom(each)}
        unnamed = sorted(each for each in kinds if f'no matches for kind "{each}"' not in said)
        name = "without the operators' kinds: kubectl names each, and how to install them"
        held = not unnamed and "ensure CRDs are installed first" in said
        what = f"{len(kinds)} kinds; not named: {unnamed or 'none'}"
        report.add(name, held, what if held else f"{what}: {said.strip()[-300:]}")
        claim = of(overlay("medium"), "PersistentVolumeClaim")["retriever-photos"]
        until("a service account", lambda: _account(kube), 60)
        kube.apply([{**claim, "metadata": {"name": "photos", "namespace": "trial"}}])
        waits(kube, report, "without a storage class", "no storage class is set")
        kube.apply([greedy()])
        waits(kube, report, "too little memory", "Insufficient memory")
    finally:
        kube.ask("delete", "namespace", "trial", "--timeout=60s")


def waits(kube: Kube, report: Report, what: str, sentence: str) -> None:
    """Check that the namespace's events have a sentence."""
    events = ("--namespace", "trial", "get", "events")
    took = until(what, lambda: sentence in kube.ask(*events), POD_SECONDS)
    report.add(f"{what}: an event says why pods wait", True, f"“{sentence}” after {took:.0f} s")


def greedy() -> Document:
    """Return a pod that no node has room for."""
    kept = pod(overlay("medium"), "gateway")
    container = {
        "name": "trial",
        "image": PAUSE,
        "securityContext": kept["containers"][0]["securityContext"],
        "resources": {"requests": {"memory": "1Ti"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": "trial"},
        "spec": {"securityContext": kept["securityContext"], "containers": [container]},
    }


def older(report: Report) -> None:
    """Check every overlay by the schemas of the oldest supported Kubernetes."""
    wrong = [
        f"{name}: {each['kind']} {each['metadata']['name']}"
        for name in OVERLAYS
        for each in overlay(name)
        if problems(each, VERSIONS[0])
    ]
    said = ", ".join(wrong) or f"{len(OVERLAYS)} overlays"
    report.add(f"by the schemas of Kubernetes {OLDEST}: valid", not wrong, said)


def apply(kube: Kube, name: str, documents: list[Document], report: Report) -> None:
    """Apply an overlay whose workloads have no pods, and remove it."""
    empty = [without_pods(each) for each in documents]
    items = {"apiVersion": "v1", "kind": "List", "items": empty}
    spaces = [each for each in documents if each["kind"] == "Namespace"]
    if NAMESPACE not in {each["metadata"]["name"] for each in spaces}:
        kube.call("create", "namespace", NAMESPACE)
    kube.apply(spaces)
    done = kube.call("apply", "--filename=-", given=json.dumps(items))
    warned = [line for line in done.stderr.splitlines() if "Warning" in line]
    held = done.returncode == 0 and not warned
    said = (done.stderr.strip()[-300:] if not held else "") or f"{len(documents)} documents"
    report.add(f"{name}: applied without a warning", held, said)
    names = {NAMESPACE, *(each["metadata"]["name"] for each in spaces)}
    for each in names:
        kube.ask("delete", "namespace", each, "--wait=true", "--timeout=120s")


def without_pods(document: Document) -> Document:
    """Return a workload that is stored like the original, but starts no pod."""
    copied: Document = json.loads(json.dumps(document))
    match copied["kind"]:
        case "Deployment" | "StatefulSet":
            copied["spec"]["replicas"] = 0
        case "CronJob" | "Job":
            copied["spec"]["suspend"] = True
    return copied


def run_pod(stage: Stage, report: Report) -> None:
    """Run the gateway's pod, else one of the node's own image, under Pod Security restricted."""
    image = of(overlay("medium"), "Deployment")["gateway"]["spec"]["template"]["spec"]["containers"]
    name = image[0]["image"]
    for tar in stage.tars:
        stage.node.load(tar)
    real = hub(name) in stage.node.images()
    kept = pod(overlay("medium"), "gateway")
    spec: Document = {
        "automountServiceAccountToken": False,
        "securityContext": kept["securityContext"],
        "containers": [
            {
                "name": "trial",
                "image": name if real else PAUSE,
                "imagePullPolicy": "Never",
                "securityContext": kept["containers"][0]["securityContext"],
                **({"volumeMounts": [{"name": "tmp", "mountPath": TMP}]} if real else {}),
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": "trial"}}
    if real:
        spec["containers"][0]["env"] = [{"name": "GATEWAY_SNAPSHOTS", "value": f"{TMP}/snapshots"}]
        spec["containers"][0]["readinessProbe"] = {
            "grpc": {"port": 8600, "service": "sightline.gateway.v1.RecommendationService"},
            "periodSeconds": 1,
        }
    until("a service account", lambda: _account(stage.kube), 60)
    stage.kube.apply([{**made, "spec": spec}])
    took = until(
        "the pod is ready", lambda: ready(stage.kube.one("pod", "trial", "trial")), POD_SECONDS
    )
    report.add(
        f"a pod of {name if real else 'the node’s own image'} runs under Pod Security restricted",
        True,
        f"ready in {took:.0f} s",
    )
    if not real:
        report.miss("the gateway's image in a pod", "no images: make images, CLUSTER_IMAGES=")


def _account(kube: Kube) -> bool:
    return kube.call("--namespace=trial", "get", "serviceaccount/default").returncode == 0
