"""The version of this package, as it was installed."""

from importlib.metadata import version

VERSION = version("sightline-client")
