"""The caller's token, from an option or a file."""

from pathlib import Path

import typer

from sightline_client.cli.language import _
from sightline_client.transport.token import check

_MOST = 64 * 1024
"""Maximum bytes read: a device may be endless."""


def of(token: str | None, file: Path | None) -> str | None:
    """Return the token that a command sends; None = none. BadParameter, without the token in it, if
    both are given or it can't be sent."""
    if token is not None and file is not None:
        raise typer.BadParameter(
            _("give --token (SIGHTLINE_TOKEN) or --token-file (SIGHTLINE_TOKEN_FILE), not both")
        )
    if file is not None:
        return _checked(_first_line(file), f"--token-file: {file}")
    return token if token is None else _checked(token, "--token")


def _checked(token: str, given: str) -> str:
    try:
        check(token)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=given) from None
    return token


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            line = opened.readline(_MOST)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{file}: {reason}", param_hint="--token-file") from None
    return line.decode("utf-8", "replace").strip()
