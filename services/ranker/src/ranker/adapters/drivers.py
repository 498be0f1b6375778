"""Mapping of errors of fsspec's bucket drivers to errors of a folder."""

from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.errors import ServiceError


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Convert vendors' errors (botocore, aiohttp, gcsfs, …) to OSError."""
    try:
        yield
    except (ImportError, OSError, ServiceError):
        raise
    except Exception as error:
        raise OSError("the store does not answer") from error
