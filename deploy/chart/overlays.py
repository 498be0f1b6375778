"""The overlay from which the chart is made, rendered with other values or components."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy/k8s"
OVERLAY = "production-own-milvus"
HASHED = re.compile(r"-[a-z0-9]{10}$")
"""What kustomize adds to the name of a ConfigMap."""
TOGGLES: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "gpu": (("gpu",), True),
    "certificates": (("certificates",), True),
    "backups": (("backups",), True),
    "monitoring": (("monitoring",), False),
    "vision": (("vision", "vision/object-store", "vision/production"), False),
}
"""Values that add components, and whether the overlay has these."""
TOGETHER: Mapping[frozenset[str], str] = {
    frozenset(("vision", "certificates")): "vision/certificates",
    frozenset(("vision", "backups")): "vision/backups",
}
"""Components that two of TOGGLES add if both are on."""


def installation() -> dict[str, str]:
    """Return the values that a shop changes in the overlay."""
    document = yaml.safe_load((K8S / "overlays" / OVERLAY / "installation.yaml").read_text())
    found: dict[str, str] = document["data"]
    return found


def rendered(values: Mapping[str, str], *turned: str) -> list[Document]:
    """Return the overlay with other values, and with some of TOGGLES turned over."""
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copytree(K8S, Path(folder) / "k8s")
        shutil.copytree(K8S.parent / "monitoring", Path(folder) / "monitoring")
        overlay = copied / "overlays" / OVERLAY
        document = yaml.safe_load((overlay / "installation.yaml").read_text())
        document["data"] = dict(values)
        (overlay / "installation.yaml").write_text(yaml.safe_dump(document))
        path = overlay / "kustomization.yaml"
        kustomization = yaml.safe_load(path.read_text())
        for toggle in turned:
            _turn(kustomization, toggle)
        on = {name for name, (_, there) in TOGGLES.items() if there != (name in turned)}
        both = [name for switches, name in TOGETHER.items() if switches <= on]
        kustomization["components"] += [f"../../components/{name}" for name in both]
        path.write_text(yaml.safe_dump(kustomization))
        return _kustomize(overlay)


def _turn(kustomization: Document, toggle: str) -> None:
    """Add the components of a toggle, or take them out with what changes them."""
    names, there = TOGGLES[toggle]
    for name in names:
        line = f"../../components/{name}"
        if there:
            kustomization["components"].remove(line)
        else:
            kustomization["components"].append(line)
    if toggle == "certificates":  # without cert-manager no certificate has the host's name
        kustomization["patches"] = [
            each for each in kustomization["patches"] if each["target"]["kind"] != "Certificate"
        ]
        kustomization["replacements"] = [
            each
            for each in kustomization["replacements"]
            if each["source"]["fieldPath"] != "data.host"
        ]
    if toggle == "backups":
        for each in kustomization["replacements"]:
            each["targets"] = [one for one in each["targets"] if not _of_backups(one)]
        kustomization["replacements"] = [
            each for each in kustomization["replacements"] if each["targets"]
        ]


def _of_backups(target: Document) -> bool:
    """Return whether a replacement writes into what the component `backups` brings."""
    name = target["select"].get("name", "")
    return (
        name in ("retriever-backups", "ranker-backup")
        or "data.RANKER_BACKUPS" in target["fieldPaths"]
    )


def _kustomize(folder: Path) -> list[Document]:
    path = f"{ROOT / '.tools/bin'}:{os.environ['PATH']}"
    program = os.environ.get("KUBECTL") or shutil.which("kubectl", path=path) or "kubectl"
    done = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"kubectl kustomize: {done.stderr}")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def plain(documents: list[Document]) -> list[Document]:
    """Return the documents with names of ConfigMaps without hashes, and without the namespace."""
    text = yaml.safe_dump_all(documents)
    for each in documents:
        name = each["metadata"]["name"]
        if each["kind"] == "ConfigMap" and HASHED.search(name):
            text = re.sub(rf"\b{re.escape(name)}\b", HASHED.sub("", name), text)
    return [each for each in yaml.safe_load_all(text) if each["kind"] != "Namespace"]
