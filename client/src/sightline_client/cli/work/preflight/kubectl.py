"""kubectl, which knows the cluster and has the caller's rights."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline_client.cli.work.preflight.findings import RightMissing

Document = dict[str, Any]
SECONDS = 60.0
_FORBIDDEN = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


class KubectlFailed(Exception):
    """Error of a call of kubectl; the message is kubectl's."""


class Absent(KubectlFailed):
    """Error of an object or kind that does not exist."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a context of the kubeconfig; empty: the current one."""

    context: str = ""

    def ask(self, *arguments: str, given: str | None = None, whole: bool = False) -> str:
        """Return the output of a call to the cluster. Raise RightMissing or KubectlFailed.

        ``whole``: Ctrl-C in the terminal does not end it.
        """
        chosen = [f"--context={self.context}"] if self.context else []
        timeout = f"--request-timeout={SECONDS:.0f}s"
        return _call([*chosen, timeout, *arguments], given, whole=whole)

    def items(self, *arguments: str) -> list[Document]:
        """Return the objects that `kubectl get` finds."""
        found: list[Document] = json.loads(self.ask("get", *arguments, "--output=json"))["items"]
        return found


def documents(source: str, given: str | None = None) -> list[Document]:
    """Return the documents of an overlay's folder, of a file, or of `given`.

    No cluster is needed. Raise KubectlFailed for what kubectl can't read.
    """
    text = given
    if text is None and Path(source).is_dir():
        text = _call(["kustomize", source], None)
    elif text is None:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise KubectlFailed(f"{source} can't be read as a manifest: {error}") from error
    # A patch that changes nothing: kubectl reads YAML, and writes JSON.
    empty = ("patch", "--local", "--filename=-", "--type=merge", "--patch={}", "--output=json")
    return list(_split(_call(empty, text)))


def _split(text: str) -> Iterator[Document]:
    """Yield the documents that stand one after another in a text."""
    decoder, place = json.JSONDecoder(), 0
    while (place := len(text) - len(text[place:].lstrip())) < len(text):
        document, place = decoder.raw_decode(text, place)
        yield from document["items"] if document["kind"] == "List" else [document]


def _call(arguments: Sequence[str], given: str | None, *, whole: bool = False) -> str:
    program = shutil.which("kubectl")
    if program is None:
        raise KubectlFailed("kubectl is not installed: https://kubernetes.io/docs/tasks/tools")
    try:
        done = subprocess.run(
            [program, *arguments],
            input=given, capture_output=True, text=True, check=False, timeout=2 * SECONDS,
            start_new_session=whole,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise KubectlFailed(f"kubectl gave no answer in {2 * SECONDS:.0f} s") from None
    if done.returncode:
        raise _meaning(done.stderr.strip())
    return done.stdout


def _meaning(said: str) -> Exception:
    """Return the error for what kubectl said."""
    if "(Forbidden)" in said and (found := _FORBIDDEN.search(said)):
        return RightMissing(_right(found))
    if "(NotFound)" in said or "could not find the requested resource" in said:
        return Absent(said)
    return KubectlFailed(said)


def _right(found: re.Match[str]) -> str:
    resource = ".".join(filter(None, [found["resource"], found["group"]]))
    where = f"namespace {found['namespace']}" if found["namespace"] else "whole cluster"
    return f"{found['verb']} {resource} ({where})"
