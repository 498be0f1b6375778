"""``sightline preflight``"""

import secrets
import sys
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from sightline_client.cli import language
from sightline_client.cli.base import options, running
from sightline_client.cli.language import _
from sightline_client.cli.show.tables import plain
from sightline_client.cli.work.preflight import api_checks, jobs, needs
from sightline_client.cli.work.preflight.findings import Checked, Outcome, not_checked
from sightline_client.cli.work.preflight.kubectl import (
    Document,
    Kubectl,
    KubectlFailed,
    documents,
)
from sightline_client.cli.work.preflight.running import STORES, JobRun

STDIN = "-"
INCOMPLETE = 3
"""Exit code if nothing failed, and something was not checked."""
_MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.NOT_CHECKED: "?"}


def preflight(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="OVERLAY",
            help="Folder of a kustomization, file of its output or of `helm template`, or - for"
            " standard input.",
        ),
    ],
    context: Annotated[
        str,
        typer.Option(metavar="NAME", help="Context of the kubeconfig. Default: the current one."),
    ] = "",
    job: Annotated[
        bool,
        typer.Option(
            "--job/--no-job",
            help="Check images, ports, database, Milvus and buckets too, by Jobs in the cluster,"
            " which are deleted afterwards.",
        ),
    ] = True,
    print_jobs: Annotated[
        bool,
        typer.Option("--print-jobs", help="Print these Jobs for kubectl, and check nothing."),
    ] = False,
    timeout: Annotated[
        int,
        typer.Option(
            "--wait", min=10, max=7200, metavar="SECONDS", help="Longest wait for the Jobs."
        ),
    ] = 900,
    json: options.Json = False,
) -> None:
    """Check a cluster before an installation: Kubernetes, kinds of operators, storage class, GPUs,
    Secrets, images, ports, database, Milvus and buckets. Each failure is shown with its fix.

    It needs kubectl, and asks the cluster with your rights. What a missing right prevents is
    neither passed nor failed: it is not checked, and the right is named. Secrets' values are not
    read.

    Exit codes: 0 = all passed; 1 = something failed; 3 = nothing failed, something was not checked.

      sightline preflight deploy/k8s/overlays/production-own-milvus
    """
    with language.english(wanted=json):
        try:
            given = sys.stdin.read() if source == STDIN else None
            wanted = documents(source, given)
            if print_jobs:
                running.show_facts(_list(_jobs(wanted, timeout)))
                return
            results = _results(Kubectl(context), wanted, timeout if job else 0)
        except (KubectlFailed, OSError, UnicodeDecodeError) as error:
            running.say(Text(str(error)))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(running.INTERRUPTED) from None
    _show(results, as_json=json)


def _jobs(wanted: list[Document], timeout: int, run: str = "") -> list[Document]:
    where, run = needs.namespace(wanted), run or secrets.token_hex(4)
    return [
        jobs.images(wanted, where, run, timeout),
        *jobs.stores(wanted, where, run, timeout),
    ]


def _list(items: list[Document]) -> Document:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _results(kubectl: Kubectl, wanted: list[Document], timeout: int) -> list[Checked]:
    """Return the results of all checks; timeout 0: without Jobs."""
    where = needs.namespace(wanted)
    found = list(api_checks.checks(kubectl, wanted, where))
    lost = [each for each in found if each.check in ("namespace", "secret") and
            each.outcome is Outcome.FAILED]  # fmt: skip
    if not timeout or lost:
        why = _("not asked for") if not timeout else _("Secrets or the namespace are missing")
        fix = _("leave --no-job out") if not timeout else _("create them, and run this again")
        return [*found, not_checked(f"image, {STORES}", _("from inside the cluster"), why, fix)]
    run = secrets.token_hex(4)
    playing = JobRun(kubectl, where, run, _jobs(wanted, timeout, run), timeout)
    with running.console(stderr=True).status(_("waiting for Jobs")) as status:
        found += playing.results(
            lambda what: status.update(plain(_("waiting for Jobs: {what}", what=what)))
        )
    return found


def _show(results: list[Checked], *, as_json: bool) -> None:
    """Print all results. Exit with 1 or INCOMPLETE if not all passed."""
    counts = Counter(each.outcome for each in results)
    if as_json:
        running.show_facts(
            {
                "passed": counts[Outcome.PASSED],
                "failed": counts[Outcome.FAILED],
                "notChecked": counts[Outcome.NOT_CHECKED],
                "results": [asdict(each) for each in results],
            }
        )
    else:
        head = _(
            "{passed} passed, {failed} failed, {unknown} not checked",
            passed=counts[Outcome.PASSED],
            failed=counts[Outcome.FAILED],
            unknown=counts[Outcome.NOT_CHECKED],
        )
        running.show(Group(*map(_line, results), Text(head, "bold")))
    if counts[Outcome.FAILED]:
        raise typer.Exit(1)
    if counts[Outcome.NOT_CHECKED]:
        raise typer.Exit(INCOMPLETE)


def _line(each: Checked) -> Text:
    line = Text.assemble(
        f"{_MARKS[each.outcome]} ", (each.check, "bold"), f"  {plain(each.subject)}"
    )
    if each.problem:
        line.append(f"\n    {plain(each.problem)}\n    ")
        line.append(_("Fix: "), "bold")
        line.append(plain(each.fix))
    return line
