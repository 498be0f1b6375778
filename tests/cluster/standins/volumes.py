"""Stand-in for a storage class: each claim gets a folder of the node (a volume of kind hostPath).

Unlike a cloud's volumes the folders have no size of their own and are writable by any user.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Final

from kubernetes import client
from kubernetes.client import ApiException

from tests.cluster.standins.mirror import Document, Mirror

CLASS: Final = "folders"


def storage_class() -> Document:
    """Return the default class."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "sightline.example/folders",
        "allowVolumeExpansion": True,
    }


def volume(claim: Document, folder: Path) -> Document:
    """Return the volume of a claim."""
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{meta['uid']}"},
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
            },
        },
    }


def serve(core: client.CoreV1Api, folder: Path) -> None:
    """Make a volume for each claim of the class, and remove it with its claim, in a thread."""
    claims = Mirror(core.list_persistent_volume_claim_for_all_namespaces)
    volumes = Mirror(core.list_persistent_volume)

    def keep() -> None:
        while True:
            for claim in claims.all():
                new = claim.get("status", {}).get("phase") == "Pending"
                if new and claim["spec"].get("storageClassName") == CLASS:
                    _make(core, claim, folder)
            for each in volumes.all():
                if each.get("status", {}).get("phase") == "Released":
                    _remove(core, each)
            time.sleep(0.5)

    threading.Thread(target=keep, daemon=True).start()


def _make(core: client.CoreV1Api, claim: Document, folder: Path) -> None:
    meta = claim["metadata"]
    # Of this claim alone: one of the same name may not be removed yet.
    place = folder / f"{meta['namespace']}-{meta['name']}-{meta['uid'][:8]}"
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o777)
    try:
        core.create_persistent_volume(volume(claim, place))
    except ApiException as error:
        if error.status != 409:  # it is there already
            raise


def _remove(core: client.CoreV1Api, found: Document) -> None:
    shutil.rmtree(found["spec"]["hostPath"]["path"], ignore_errors=True)
    try:
        core.delete_persistent_volume(found["metadata"]["name"])
    except ApiException as error:
        if error.status != 404:
            raise
