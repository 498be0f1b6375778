"""Supervisor's configuration (http://supervisord.org/configuration.html), rendered."""

import shlex
from collections.abc import Iterable, Sequence

from local_suite.model import Layout, Program

GROUPS = ("engines", "services", "edge")
"""Groups in the order of their start; they stop in reverse, all programs of a group at once."""

_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3

_START_SECONDS = 2
"""Seconds after which a process counts as started. One that ends earlier is restarted after 1, 2,
3, … seconds; one that ends later, at once.
"""

_RETRIES = 1_000_000_000
"""Number of restarts after which supervisor gives up: effectively never."""


def render(layout: Layout, programs: Sequence[Program]) -> str:
    """Return supervisor's configuration for `programs`."""
    sections = [_head(layout)]
    sections += [_program(layout, program) for program in programs]
    for priority, group in enumerate(GROUPS, start=1):
        members = [program.name for program in programs if program.group == group]
        if members:
            sections.append(
                _section(
                    f"group:{group}",
                    [
                        ("programs", ",".join(members)),
                        ("priority", str(priority)),
                    ],
                )
            )
    return "\n".join(sections)


def _head(layout: Layout) -> str:
    return "\n".join(
        (
            _section("unix_http_server", [("file", str(layout.socket)), ("chmod", "0600")]),
            _section(
                "supervisord",
                [
                    ("nodaemon", "false"),
                    ("umask", "077"),  # for the engines too: their files are private to the user
                    ("pidfile", str(layout.pid)),
                    ("logfile", str(layout.logs / "supervisord.log")),
                    ("logfile_maxbytes", _LOG_BYTES),
                    ("logfile_backups", str(_LOG_BACKUPS)),
                    ("childlogdir", str(layout.logs)),
                ],
            ),
            _section(
                "rpcinterface:supervisor",
                [
                    (
                        "supervisor.rpcinterface_factory",
                        "supervisor.rpcinterface:make_main_rpcinterface",
                    )
                ],
            ),
            _section("supervisorctl", [("serverurl", f"unix://{layout.socket}")]),
        )
    )


def _program(layout: Layout, program: Program) -> str:
    environment = ",".join(
        f"{name}={_quote(value)}" for name, value in sorted(program.environment.items())
    )
    return _section(
        f"program:{program.name}",
        [
            ("command", _escape(shlex.join(program.command))),
            ("directory", _escape(str(program.folder))),
            ("environment", _escape(environment)),
            ("autostart", "true"),
            ("autorestart", "true"),
            ("startsecs", str(_START_SECONDS)),
            ("startretries", str(_RETRIES)),
            ("stopsignal", "TERM"),
            ("stopwaitsecs", str(program.stop_seconds)),
            # Only SIGKILL is sent to children too: the parent ends them on SIGTERM.
            ("stopasgroup", "false"),
            ("killasgroup", "true"),
            ("redirect_stderr", "true"),
            ("stdout_logfile", _escape(str(layout.logs / f"{program.name}.log"))),
            ("stdout_logfile_maxbytes", _LOG_BYTES),
            ("stdout_logfile_backups", str(_LOG_BACKUPS)),
        ],
    )


def _section(name: str, options: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in options), ""])


def _escape(value: str) -> str:
    """Escape `%`, as supervisor expands `%(name)s`."""
    return value.replace("%", "%%")


def _quote(value: str) -> str:
    """Quote a value of an environment entry.

    Supervisor removes quotes and knows no escapes. Raise ValueError for a value that it can't
    represent.
    """
    quote = '"' if '"' not in value else "'"
    if quote in value or "\n" in value or " ;" in value or " #" in value:
        raise ValueError(f"supervisor can't pass on this value: {value!r}")
    return f"{quote}{value}{quote}"
