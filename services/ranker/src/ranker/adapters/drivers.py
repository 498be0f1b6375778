"""Mapping of errors of fsspec's bucket drivers to errors of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.errors import ServiceError


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raise OSError for vendors' errors (botocore, aiohttp, gcsfs, …) that are none."""
    try:
        yield
    except (ImportError, OSError, ServiceError):
        raise
    except Exception as error:
        raise OSError("the store does not answer") from error
