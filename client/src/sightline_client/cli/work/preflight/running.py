"""Runs the Jobs of a preflight, reads their results, and removes them."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from rich.text import Text

from sightline_client.cli.base.running import say
from sightline_client.cli.language import _
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.work.preflight import jobs
from sightline_client.cli.work.preflight.findings import (
    Checked,
    Outcome,
    RightMissing,
    failed,
    lacking,
    not_checked,
)
from sightline_client.cli.work.preflight.kubectl import Document, Kubectl, KubectlFailed

_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that end a command, as far as the system has them."""
PAUSE = 2.0
"""Seconds between two looks at the pods."""
STORES = "port, database, milvus, bucket"
_REFUSED = (
    *("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"),
    *("ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"),
)
"""Reasons of a container whose image was not pulled. It is tried again, and then has none."""
_ENDED = ("Succeeded", "Failed")
_BY_ITSELF = (None, "Completed", "Error")
"""Reasons of a container that the cluster did not end."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """The Jobs of one preflight in their namespace."""

    kubectl: Kubectl
    where: str
    run: str
    documents: list[Document]
    seconds: float
    images: dict[str, Document] = field(default_factory=dict, init=False)
    """The last state of each container of the images' pod in which its pull had ended."""

    def results(self, said: Callable[[str], None]) -> Iterator[Checked]:
        """Create the Jobs, yield their results, delete them. `said` is given what is awaited."""
        items = {"apiVersion": "v1", "kind": "List", "items": self.documents}
        with _exits_on_signals():
            try:
                with _signals_held():
                    self._here("create", "--filename=-", given=json.dumps(items), whole=True)
                pods = self._wait(said)
                for job in self.documents:
                    if job["kind"] == "Job":
                        yield from self._of(job, pods)
            except RightMissing as error:
                yield lacking("image", _("all images"), error)
                yield lacking(STORES, _("from inside the cluster"), error)
            except KubectlFailed as error:
                yield _refused(_("from inside the cluster"), error)
            finally:
                with _signals_held():
                    self._delete()

    def _delete(self) -> None:
        chosen = f"--selector={jobs.LABEL}={self.run}"
        try:
            self._here("delete", "job,networkpolicy", chosen, "--wait=false", whole=True)
        except (KubectlFailed, RightMissing) as error:
            command = f"kubectl -n {self.where} delete job,networkpolicy -l {jobs.LABEL}"
            say(Text(f"{error}\n") + phrase("Delete what is left: {command}", command=command))

    def _here(self, *arguments: str, given: str | None = None, whole: bool = False) -> str:
        return self.kubectl.ask("--namespace", self.where, *arguments, given=given, whole=whole)

    def _wait(self, said: Callable[[str], None]) -> list[Document]:
        """Return the pods when all have ended, or the time is over."""
        end = time.monotonic() + self.seconds
        wanted = sum(each["kind"] == "Job" for each in self.documents)
        while True:
            pods = self.kubectl.items(
                "pods", f"--namespace={self.where}", f"--selector={jobs.LABEL}={self.run}"
            )
            waiting = [_of(pod) for pod in pods if not self._decided(pod)]
            if (len(pods) == wanted and not waiting) or time.monotonic() > end:
                return pods
            said(", ".join(waiting) or _("pods"))
            time.sleep(PAUSE)

    def _decided(self, pod: Document) -> bool:
        """Return whether nothing more will be known of a pod."""
        statuses = pod["status"].get("containerStatuses", [])
        if _of(pod) != jobs.IMAGES:
            ended = pod["status"].get("phase") in _ENDED
            return ended or any(_reason(each) in _REFUSED for each in statuses)
        for each in statuses:
            if _has(each) or _reason(each) in _REFUSED:
                self.images[each["name"]] = each
        return len(self.images) == len(pod["spec"]["containers"])

    def _of(self, job: Document, pods: list[Document]) -> Iterator[Checked]:
        name = job["metadata"]["labels"][f"{jobs.LABEL}-of"]
        pod = next((each for each in pods if _of(each) == name), None)
        if pod is None:
            what = "image" if name == jobs.IMAGES else STORES
            yield not_checked(
                what,
                name,
                _("its Job {job} has no pod", job=job["metadata"]["name"]),
                _("the namespace's events say why: quotas, admission, Pod Security"),
            )
        elif name == jobs.IMAGES:
            yield from _pulled(pod, self.images)
        elif pod["status"].get("phase") in _ENDED:
            try:
                log = self._here("logs", pod["metadata"]["name"])
            except RightMissing as error:
                yield lacking(STORES, name, error)
            except KubectlFailed as error:
                yield _refused(name, error)
            else:
                for each in _reported(name, log, _killed(pod)):
                    yield _of_role(each) if _has_role(job, each) else each
        else:
            yield not_checked(
                STORES,
                name,
                _why(pod) or _("its pod did not end in time"),
                _("see the pod's events"),
            )


Handler = Callable[[int, object], object]


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Let a function handle the signals that end the command."""
    heeded = [each for each in _ENDING if signal.getsignal(each) not in (signal.SIG_IGN, None)]
    before = [(each, signal.signal(each, handler)) for each in heeded]
    try:
        yield
    finally:
        for each, former in before:
            signal.signal(each, former)


def _exits_on_signals() -> AbstractContextManager[None]:
    """Raise SystemExit on a signal, so that what was created is deleted."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    return _handled(end)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Deliver signals after the body: a call that is cut off may have created anything."""
    got = list[int]()
    try:
        with _handled(lambda number, _frame: got.append(number)):
            yield
    finally:
        for number in got[:1]:
            signal.raise_signal(number)


def _has_role(job: Document, found: Checked) -> bool:
    """Return whether a bucket that failed belongs to a role of the worker's ServiceAccount."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = any(
        each["name"] == "AWS_SHARED_CREDENTIALS_FILE" and each["value"] for each in container["env"]
    )
    s3 = found.check == "bucket" and found.subject.startswith("s3://")
    return s3 and found.outcome is Outcome.FAILED and not given


def _of_role(found: Checked) -> Checked:
    why = _("a Job has no role of a ServiceAccount, and got: {problem}", found)
    fix = _("look at the worker's log after the installation")
    return not_checked(found.check, found.subject, why, fix)


def _refused(subject: str, error: KubectlFailed) -> Checked:
    return failed("job", subject, str(error), _("allow the Jobs of --print-jobs in the namespace"))


def _of(pod: Document) -> str:
    return str(pod["metadata"]["labels"][f"{jobs.LABEL}-of"])


def _has(status: Document) -> bool:
    """Return whether a node has pulled a container's image."""
    return bool(status.get("imageID")) or bool(status.get("state", {}).get("terminated"))


def _reason(status: Document) -> str:
    return str(status.get("state", {}).get("waiting", {}).get("reason", ""))


def _pulled(pod: Document, statuses: Mapping[str, Document]) -> Iterator[Checked]:
    for container in pod["spec"]["containers"]:
        status, image = statuses.get(container["name"], {}), container["image"]
        if _has(status):
            yield Checked("image", image)
        elif _reason(status) in _REFUSED:
            yield failed(
                "image",
                image,
                status["state"]["waiting"].get("message", _reason(status)),
                _(
                    "push it there (`make images REGISTRY=… PUSH=1`), correct the registry, or"
                    " give the ServiceAccounts an imagePullSecret"
                ),
            )
        else:
            yield not_checked(
                "image",
                image,
                _why(pod) or _("it was not pulled in time"),
                _("run again with a longer --timeout"),
            )


def _why(pod: Document) -> str:
    """Return why a pod does not start, as the cluster says it."""
    status = pod["status"]
    for each in status.get("conditions", []):
        if each["type"] == "PodScheduled" and each["status"] != "True":
            return str(each.get("message", ""))
    waiting = (
        each.get("state", {}).get("waiting", {}) for each in status.get("containerStatuses", [])
    )
    return next((str(each.get("message") or each["reason"]) for each in waiting if each), "")


def _killed(pod: Document) -> str:
    """Return why a pod ended, if the cluster ended it."""
    status = pod["status"]
    ends = (
        each.get("state", {}).get("terminated", {}) for each in status.get("containerStatuses", [])
    )
    return str(
        status.get("message")
        or status.get("reason")
        or next((each["reason"] for each in ends if each.get("reason") not in _BY_ITSELF), "")
    )


def _reported(name: str, log: str, killed: str) -> Iterator[Checked]:
    """Yield the findings in the log of a service's preflight, and one more if it has no end."""
    found, other, whole = [], [], False
    for line in log.splitlines():
        try:
            said = json.loads(line)
            if said == {"end": True}:
                whole = True
                continue
            outcome = Outcome.FAILED if said["problem"] else Outcome.PASSED
            found.append(
                Checked(said["check"], said["subject"], outcome, said["problem"], said["fix"])
            )
        except (ValueError, KeyError, TypeError):
            other.append(line)
    yield from found
    if not whole:
        yield failed(
            "settings",
            name,
            " ".join(" ".join([killed, *other]).split())[-600:]
            or _("its Job ended without a result"),
            _("correct the settings in the overlay"),
        )
