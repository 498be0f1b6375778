"""The last release's schemas. `python -m tests.contracts.released` makes this one the last."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("released.toml")
MIGRATIONS = {
    "retriever": "retriever.record.migrations",
    "ranker": "ranker.record.migrations",
}
"""Of the services that the last release had."""
SERVICES = tuple(MIGRATIONS)


def released() -> Mapping[str, str]:
    """Return the last release's version, and the newest revision of each service."""
    return dict(tomllib.loads(FILE.read_text()))


def releases() -> list[str]:
    """Return the versions in the changelog, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return re.findall(r"^## (\d+\.\d+\.\d+)", text, re.MULTILINE)


def newest(service: str) -> str:
    """Return the newest revision of a service's store."""
    config = Config()
    folder = MIGRATIONS[service].replace(".", "/")
    config.set_main_option("script_location", str(ROOT / f"services/{service}/src/{folder}"))
    return str(ScriptDirectory.from_config(config).get_current_head())


def freeze() -> None:
    """Record the current release."""
    comment = FILE.read_text().partition("\n")[0]
    values = {"version": releases()[0]} | {service: newest(service) for service in SERVICES}
    lines = [f'{name} = "{value}"' for name, value in values.items()]
    FILE.write_text("\n".join([comment, *lines, ""]))


if __name__ == "__main__":
    freeze()
