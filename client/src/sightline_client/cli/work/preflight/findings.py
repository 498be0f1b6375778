"""Results of checks, and how a missing right becomes one."""

from dataclasses import dataclass
from enum import StrEnum

from sightline_client.cli.language import _


class Outcome(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one check."""

    check: str
    """Kind of check: kubernetes, kind, storage, gpu, secret, image, port, database, …"""
    subject: str
    outcome: Outcome = Outcome.PASSED
    problem: str = ""
    """Why it failed, or could not be made."""
    fix: str = ""


class RightMissing(Exception):
    """Error of a call that the caller may not make."""

    def __init__(self, right: str) -> None:
        """`right`: such as "list nodes (whole cluster)"."""
        super().__init__(right)
        self.right = right


def failed(check: str, subject: str, problem: str, fix: str) -> Checked:
    return Checked(check, subject, Outcome.FAILED, problem, fix)


def not_checked(check: str, subject: str, problem: str, fix: str) -> Checked:
    return Checked(check, subject, Outcome.NOT_CHECKED, problem, fix)


def lacking(check: str, subject: str, error: RightMissing) -> Checked:
    """Return the result of a check for which a right is missing."""
    return not_checked(
        check,
        subject,
        _("you lack the right: {right}", error),
        _("have an administrator grant it, or run this command with another --context"),
    )
