"""The objects of one kind, kept current by a watch."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes import watch
from kubernetes.client import ApiException

Document = dict[str, Any]


class Mirror:
    """A copy of all objects of a kind in the cluster."""

    def __init__(self, every: Callable[..., Any], changed: Callable[[], None] = lambda: None):
        """`every`: a client's method that lists them; `changed` is called after each change."""
        self._every = every
        self._changed = changed
        self._objects: dict[tuple[str, str], Document] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def all(self) -> list[Document]:
        with self._lock:
            return list(self._objects.values())

    def get(self, namespace: str, name: str) -> Document | None:
        with self._lock:
            return self._objects.get((namespace, name))

    def _run(self) -> None:
        while True:
            try:
                version = self._list()
                stream = watch.Watch().stream(
                    self._every, resource_version=version, timeout_seconds=600
                )
                for event in stream:
                    self._take(event["type"], event["raw_object"])
            except (ApiException, urllib3.exceptions.HTTPError):
                time.sleep(1)

    def _list(self) -> str:
        """Take all objects, and return their version.

        A server in front of an old etcd can't start a watch at the most recent version.
        """
        answer = self._every(resource_version="0", _preload_content=False)
        found = json.loads(answer.data)
        objects = {_key(each): each for each in found.get("items") or []}
        with self._lock:
            self._objects = objects
        self._changed()
        version: str = found["metadata"]["resourceVersion"]
        return version

    def _take(self, kind: str, found: Document) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(_key(found), None)
            else:
                self._objects[_key(found)] = found
        self._changed()


def _key(found: Document) -> tuple[str, str]:
    meta = found.get("metadata", {})
    return meta.get("namespace", ""), meta.get("name", "")
