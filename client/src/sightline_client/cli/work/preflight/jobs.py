"""Jobs that check from inside the cluster: stores by the services' clients, images by pulling."""

from collections.abc import Iterator, Mapping
from typing import Any

from sightline_client.cli.work.preflight import needs
from sightline_client.cli.work.preflight.kubectl import Document

LABEL = "sightline/preflight"
IMAGES = "images"
_WORKERS = ("retriever-worker", "ranker-worker")
"""Workloads that use all stores of their service, which has the module `preflight`."""
_KEPT = ("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile")
_PLACE = ("nodeSelector", "tolerations", "affinity")
_RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def stores(documents: list[Document], where: str, run: str, seconds: int) -> Iterator[Document]:
    """Yield the network policy of a Job's pod and the Job, which checks the stores of a worker.

    The pod has the worker's image, settings, Secrets and connections, but no volume of its own.
    """
    for each in documents:
        name, here = each["metadata"]["name"], each["metadata"].get("namespace", where) == where
        if each["kind"] == "Deployment" and name in _WORKERS and here:
            yield from _store(documents, each, where, run, seconds)


def _store(
    documents: list[Document], worker: Document, where: str, run: str, seconds: int
) -> Iterator[Document]:
    template = worker["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    main, service = pod["containers"][0], worker["metadata"]["name"].removesuffix("-worker")
    name = f"preflight-{service}-{run}"
    marks = {LABEL: run, f"{LABEL}-of": service}
    issued = needs.issued(documents)
    volumes = [
        _volume(each)
        for each in pod.get("volumes", ())
        if each.get("secret", {}).get("secretName") not in issued
    ]
    held = {each["name"] for each in volumes}
    container = {
        "name": "preflight",
        "image": main["image"],
        "command": ["python", "-m", f"{service}.preflight"],
        "env": [
            {"name": key, "value": value}
            for key, value in needs.environment(documents, main).items()
        ],
        "resources": main["resources"],
        "securityContext": main["securityContext"],
        "volumeMounts": [each for each in main["volumeMounts"] if each["name"] in held],
    }
    spec = {"containers": [container], "volumes": volumes}
    yield _policy(documents, name, where, labels, marks)  # before a pod that it restricts
    yield _job(name, where, {**labels, **marks}, _pod(documents, pod, spec), seconds)


def _volume(volume: Document) -> Document:
    """Return a volume of Secrets or ConfigMaps as it is, any other one empty."""
    if "secret" in volume or "configMap" in volume or "projected" in volume:
        return volume
    return {"name": volume["name"], "emptyDir": {"sizeLimit": "1Gi"}}


def _policy(
    documents: list[Document], name: str, where: str, labels: Document, marks: Document
) -> Document:
    """Return a policy that lets a pod call what the worker's own policies allow."""
    rules = [
        rule
        for each in documents
        if each["kind"] == "NetworkPolicy"
        and each["metadata"].get("namespace", where) == where
        and _selects(each["spec"].get("podSelector", {}), labels)
        for rule in each["spec"].get("egress") or ()
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": where, "labels": marks},
        "spec": {
            "podSelector": {"matchLabels": marks},
            "policyTypes": ["Ingress", "Egress"],
            "egress": rules,
        },
    }


def _selects(selector: Document, labels: Document) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", ())
        if each["operator"] == "In"
    )


def images(documents: list[Document], where: str, run: str, seconds: int) -> Document:
    """Return a Job of a container for each image, which pulls it; what it then runs is nothing."""
    pulling, security = [], {}
    for _name, pod in needs.pods(documents, where):
        security = pod["securityContext"]
        pulling += _pulling(documents, pod)
    containers = [
        {
            "name": f"{IMAGES}-{number}",
            "image": image,
            "command": ["true"],
            "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"memory": "64Mi"},
            },
            "securityContext": dict(_RESTRICTED),
        }
        for number, image in enumerate(needs.images(documents, where))
    ]
    unique = [*{each["name"]: each for each in pulling}.values()]
    pod = {"containers": containers, "imagePullSecrets": unique}
    marks = {LABEL: run, f"{LABEL}-of": IMAGES}
    name = f"preflight-{IMAGES}-{run}"
    return _job(name, where, marks, _pod(documents, {"securityContext": security}, pod), seconds)


def _pulling(documents: list[Document], pod: Document) -> list[Document]:
    """Return the pull secrets of a pod: its own, or those of its ServiceAccount."""
    accounts = {
        each["metadata"]["name"]: each.get("imagePullSecrets", [])
        for each in documents
        if each["kind"] == "ServiceAccount"
    }
    found: list[Document] = pod.get("imagePullSecrets") or accounts.get(
        pod.get("serviceAccountName"), []
    )
    return found


def _pod(documents: list[Document], like: Document, spec: Document) -> Document:
    """Return a pod that runs once, as restricted as another one."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "securityContext": {k: v for k, v in like["securityContext"].items() if k in _KEPT},
        "imagePullSecrets": _pulling(documents, like),
        **{key: like[key] for key in _PLACE if key in like},
        **spec,
    }


def _job(name: str, where: str, labels: Document, pod: Document, seconds: int) -> Document:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": where, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds + 60,  # after the command has read its results
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
