"""Checks that the API server answers with the caller's rights."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sightline_client.cli.language import _
from sightline_client.cli.work.preflight import needs
from sightline_client.cli.work.preflight.findings import (
    Checked,
    RightMissing,
    failed,
    lacking,
)
from sightline_client.cli.work.preflight.kubectl import Absent, Document, Kubectl

LEAST = (1, 30)
"""The oldest version of Kubernetes that is supported."""
OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "cert-manager.io": "cert-manager 1.16 or later: https://cert-manager.io/docs/installation",
        "keda.sh": "KEDA 2.14 or later: https://keda.sh/docs/latest/deploy",
        "monitoring.coreos.com": "the Prometheus Operator: https://prometheus-operator.dev",
        "milvus.io": "Milvus Operator 1.3 or later: https://milvus.io/docs/install_cluster-milvusoperator.md",
    }
)
"""What brings the kinds of an API group."""
DEFAULT = "storageclass.kubernetes.io/is-default-class"
_KEYS = (
    "go-template={{range .items}}{{.metadata.name}}{{range $key, $value := .data}} {{$key}}{{end}}"
    '{{"\\n"}}{{end}}'
)
"""Names and keys of Secrets, without their values."""


def checks(kubectl: Kubectl, documents: list[Document], where: str) -> Iterator[Checked]:
    """Yield the results of all checks. Raise KubectlFailed if no cluster answers."""
    yield version(kubectl)
    for check in (kinds, storage, gpus, namespace, secrets):
        yield from check(kubectl, documents, where)


def version(kubectl: Kubectl) -> Checked:
    """Check the version of Kubernetes."""
    name = str(json.loads(kubectl.ask("version", "--output=json"))["serverVersion"]["gitVersion"])
    numbers = tuple(int(each) for each in re.findall(r"\d+", name)[:2])
    if numbers >= LEAST:
        return Checked("kubernetes", name)
    least = ".".join(map(str, LEAST))
    return failed(
        "kubernetes", name, _("it is too old"), _("upgrade it to {least} or later", least=least)
    )


def kinds(kubectl: Kubectl, documents: list[Document], _where: str) -> Iterator[Checked]:
    """Check that the cluster knows all kinds, those of operators too."""
    for version, wanted in sorted(needs.kinds(documents).items()):
        group = version.rpartition("/")[0]
        path = f"/apis/{version}" if group else f"/api/{version}"
        subject = f"{version}: {', '.join(sorted(wanted))}"
        try:
            known = {
                each["kind"] for each in json.loads(kubectl.ask("get", "--raw", path))["resources"]
            }
        except Absent:
            known = set()
        except RightMissing as error:
            yield lacking("kind", subject, error)
            continue
        if missing := sorted(wanted - known):
            source = OPERATORS.get(group, _("a version of Kubernetes that has them"))
            yield failed(
                "kind",
                version,
                _("the cluster does not know {kinds}", kinds=", ".join(missing)),
                _("install {source}; or leave the component out", source=source),
            )
        else:
            yield Checked("kind", subject)


def storage(kubectl: Kubectl, documents: list[Document], _where: str) -> Iterator[Checked]:
    """Check that the storage classes of all volumes exist."""
    for wanted in sorted(needs.storage_classes(documents)):
        subject = wanted or _("the default class")
        try:
            found = kubectl.items("storageclasses.storage.k8s.io")
        except RightMissing as error:
            yield lacking("storage", subject, error)
            continue
        names = [each["metadata"]["name"] for each in found]
        default = [
            each["metadata"]["name"]
            for each in found
            if each["metadata"].get("annotations", {}).get(DEFAULT) == "true"
        ]
        if wanted in names or (not wanted and default):
            yield Checked("storage", wanted or f"{subject} ({default[0]})")
        elif wanted:
            known = ", ".join(names) or _("none")
            yield failed(
                "storage",
                subject,
                _("the cluster has no such storage class"),
                _("name one of these in the overlay, or create it: {known}", known=known),
            )
        else:
            yield failed(
                "storage",
                subject,
                _("no storage class is the default"),
                _(
                    "`kubectl annotate storageclass {name} {default}=true`, or name one in the"
                    " overlay",
                    name=names[0] if names else "NAME",
                    default=DEFAULT,
                ),
            )


def gpus(kubectl: Kubectl, documents: list[Document], _where: str) -> Iterator[Checked]:
    """Check that the nodes that take a pod have as many GPUs as all replicas ask for."""
    for wanted in needs.gpus(documents):
        yield _gpus(kubectl, wanted)


def _gpus(kubectl: Kubectl, wanted: needs.Gpus) -> Checked:
    labels = "".join(f" {key}={value}" for key, value in wanted.labels.items())
    subject = f"{wanted.of_pod * wanted.replicas} × {needs.GPU}{labels}"
    try:
        nodes = kubectl.items("nodes")
    except RightMissing as error:
        return lacking("gpu", subject, error)
    held = [
        int(each["status"].get("allocatable", {}).get(needs.GPU, 0))
        for each in nodes
        if not each.get("spec", {}).get("unschedulable")
        and wanted.labels.items() <= each.get("metadata", {}).get("labels", {}).items()
    ]
    there = sum(held)
    if sum(each // wanted.of_pod for each in held) >= wanted.replicas:
        return Checked(
            "gpu", _("{subject}, of {there} in the cluster", subject=subject, there=there)
        )
    return failed(
        "gpu",
        subject,
        _("the nodes have {there}", there=there),
        _(
            "add nodes with GPUs and NVIDIA's device plugin, or run Triton on processors: leave the"
            " component gpu out before you write the first product"
        ),
    )


def namespace(kubectl: Kubectl, _documents: list[Document], where: str) -> Iterator[Checked]:
    """Check that the namespace exists, which Secrets and Jobs need."""
    try:
        kubectl.ask("get", "namespace", where, "--output=name")
    except RightMissing as error:
        yield lacking("namespace", where, error)
    except Absent:
        fix = _("`kubectl create namespace {name}`", name=where)
        yield failed("namespace", where, _("it does not exist"), fix)
    else:
        yield Checked("namespace", where)


def secrets(kubectl: Kubectl, documents: list[Document], where: str) -> Iterator[Checked]:
    """Check that all Secrets have their keys. Values are not read."""
    wanted = needs.secrets(documents, where)
    try:
        lines = kubectl.ask(
            "--namespace", where, "get", "secrets", f"--output={_KEYS}"
        ).splitlines()
    except RightMissing as error:
        yield lacking("secret", ", ".join(sorted(wanted)), error)
        return
    there = {name: set(keys) for name, *keys in map(str.split, filter(None, lines))}
    for name, keys in sorted(wanted.items()):
        yield _secret(name, keys, there.get(name))


def _secret(name: str, keys: set[str], there: set[str] | None) -> Checked:
    made = _("create it: deploy/k8s/secrets.sh and the table of Secrets in deploy/k8s/README.md")
    if there is None:
        return failed("secret", name, _("it does not exist"), made)
    if missing := sorted(keys - there):
        return failed("secret", name, _("it lacks {keys}", keys=", ".join(missing)), made)
    return Checked("secret", name)
