"""Writes on a condition: a resource is replaced if its etag is still the required one."""

from retriever.domain.errors import EtagMismatch


def to_replace(stored: object, wanted: object, etag: str, required: str) -> bool:
    """Return whether a stored resource has to be replaced by the wanted one: not if it equals it
    already, as after a call that is repeated because its answer was lost (RFC 9110, 13.1.1).

    `etag`: of the stored one. Raises EtagMismatch.
    """
    if stored == wanted:
        return False
    check_etag(etag, required)
    return True


def check_etag(etag: str, required: str) -> None:
    """Raise EtagMismatch unless a resource has the required etag; empty: any."""
    if required not in ("", etag):
        raise EtagMismatch
