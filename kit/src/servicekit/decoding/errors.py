"""Why an item was not decoded: see `servicekit.decoding.decoders`."""


class DecodingRefused(Exception):
    """The work rejects the item; the message is for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        """Reason, by the work's own numbers. Untrusted: a compromised process may send any
        number."""


class DecodingFailed(Exception):
    """The work on an item failed; the message is for people."""


class DecodingCrashed(DecodingFailed):
    """The item crashed the process, or the process sent an invalid answer."""


class DecodingBroken(DecodingFailed):
    """The work raised an unexpected exception."""


class DecodingTimedOut(DecodingFailed):
    """The item took too long."""


class DecodingOutOfMemory(DecodingFailed):
    """The item needed too much memory."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it needs more than {size / 2**20:,.0f} MiB of memory to decode")


class DecodingUnavailable(DecodingFailed):
    """No process could be started; the item is not the cause."""
