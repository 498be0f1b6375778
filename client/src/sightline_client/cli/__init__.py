"""The ``sightline`` command line."""

from sightline_client.cli.app import app

__all__ = ["app"]
