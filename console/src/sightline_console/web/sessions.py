"""Sessions of browsers, in the memory of this process."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from sightline_console.web.forms import FormRejected

MOST = 1_000
"""Maximum number of sessions; the one that was unused longest ends for a new one, first of those
without a key."""
MOST_OF_OWNER = 50
"""Maximum number of sessions of one key, or of one user of an identity provider."""
IDLE_SECONDS = 8 * 3600.0
"""Seconds without a request after which a session ends."""
WHOLE_SECONDS = 24 * 3600.0
"""Seconds after which a session ends in any case."""
FILE_BYTES = 128 * 2**20
"""Maximum bytes of files that are kept for all sessions; the oldest are dropped for new ones."""
SIGNED_IN = "s."
"""First characters of the ids of sessions with a key: one that is unknown has ended."""
FILES_OF_KIND = 4
"""Maximum number of files of one kind that are kept for a session."""
FILES_OF = {"shopper": 50, "shoppers": 50}
"""Those of small kinds."""
LARGEST_PART = 4
"""A file may have one of so many parts of the bytes that are kept for all sessions."""


@dataclass(slots=True)
class Session:
    """Data kept for one browser."""

    session_id: str = field(repr=False)
    key: str = field(repr=False)
    """The user's key; empty: the suite takes calls without."""
    owner: str = field(repr=False)
    """Whose sessions it counts with; empty: no one's."""
    began: float
    used: float


class Sessions:
    """The sessions, by id, and the files that they keep."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        most: int = MOST,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        """`clock`: seconds. `most`: sessions. `file_bytes`: of all kept files."""
        self._clock, self._most, self._file_bytes = clock, most, file_bytes
        self._open: OrderedDict[str, Session] = OrderedDict()
        """Least recently used first."""
        self._files: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        """Session, kind and id → content, oldest first."""
        self._secret = secrets.token_bytes(32)

    def find(self, session_id: str) -> Session | None:
        """Return a session that has not ended, and count it as used."""
        session, now = self._open.get(session_id), self._clock()
        if session is None:
            return None
        if now - session.used > IDLE_SECONDS or now - session.began > WHOLE_SECONDS:
            self.end(session_id)
            return None
        session.used = now
        self._open.move_to_end(session_id)
        return session

    def begin(self, key: str = "", owner: str = "") -> Session:
        """Return a new session, with an id that no browser had before. `owner`: the user to whom an
        identity provider gave the key, which is another each time; empty: the key is the user's."""
        now, owner = self._clock(), owner or key
        same = [each for each in self._open.values() if owner and each.owner == owner]
        if len(same) >= MOST_OF_OWNER:
            self.end(same[0].session_id)
        while len(self._open) >= self._most:
            self.end(self._dispensable())
        session = Session((SIGNED_IN if key else "") + new_id(), key, owner, now, now)
        self._open[session.session_id] = session
        return session

    def _dispensable(self) -> str:
        """Return the session that ends for a new one."""
        keyless = (each for each, session in self._open.items() if not session.key)
        return next(keyless, None) or next(iter(self._open))

    def end(self, session_id: str) -> None:
        """Forget a session and its files."""
        self._open.pop(session_id, None)
        for name in [each for each in self._files if each[0] == session_id]:
            del self._files[name]

    def keep(self, session: Session, kind: str, content: bytes) -> str:
        """Keep a file for a session, once, unless it has ended. Return the file's id; empty:
        it is not kept. Raises FormRejected for one that is too large beside those of others."""
        if len(content) > self._file_bytes // LARGEST_PART:
            raise FormRejected(413, "the file is too large to be kept")
        if session.session_id not in self._open:
            return ""
        of_kind = [each for each in self._files if each[:2] == (session.session_id, kind)]
        for name in of_kind:
            if self._files[name] == content:
                self._files.move_to_end(name)
                return name[2]
        most = FILES_OF.get(kind, FILES_OF_KIND)
        for name in of_kind[: max(0, len(of_kind) - most + 1)]:
            del self._files[name]
        total = sum(map(len, self._files.values()))
        while self._files and total + len(content) > self._file_bytes:
            total -= len(self._files.popitem(last=False)[1])
        file_id = secrets.token_urlsafe(12)
        self._files[session.session_id, kind, file_id] = content
        return file_id

    def kept(self, session: Session | None, kind: str, file_id: str) -> bytes | None:
        """Return a file of a session; None: it is not kept, or not any more."""
        return None if session is None else self._files.get((session.session_id, kind, file_id))

    def csrf(self, session_id: str) -> str:
        """Return the token that forms of a browser have, which other pages can't know."""
        return hmac.new(self._secret, session_id.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session_id: str, token: str) -> bool:
        """Return whether a form has the token of its browser."""
        return hmac.compare_digest(self.csrf(session_id).encode(), token.encode())


def new_id() -> str:
    """Return an id that can't be guessed."""
    return secrets.token_urlsafe(32)
