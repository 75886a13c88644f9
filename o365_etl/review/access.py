"""Who may come in: sign-in links, sessions, the trusted header of a reverse proxy, and tokens against forged forms.

What does not live here: the headers every answer bears, and the refusal of foreign hosts (`shield`).
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer

from o365_etl.config import Review
from o365_etl.pipeline.workspace import now

COOKIE = "o365_etl_review"
# More than people at a desk; whoever is first is signed out first.
_MOST_SESSIONS = 1_000


@dataclass(slots=True)
class Session:
    """Somebody who is signed in. `notes` are sentences for the next page he sees."""

    id: str
    who: str
    csrf: str
    until: datetime
    notes: list[tuple[str, str]] = field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """Say something on the next page; `kind` is done, told or wrong."""
        self.notes.append((kind, text))

    def take_notes(self) -> list[tuple[str, str]]:
        """What is to be said, once."""
        notes, self.notes = self.notes, []
        return notes


class Access:
    """The one-time links and the sessions of one server; both end with it."""

    def __init__(self, settings: Review, clock: Callable[[], datetime] = now) -> None:
        self._settings = settings
        self._clock = clock
        self._signer = URLSafeTimedSerializer(secrets.token_bytes(32), salt="session")
        self._sessions: dict[str, Session] = {}
        self._token = secrets.token_urlsafe(32)
        self._lock = threading.Lock()

    @property
    def is_by_header(self) -> bool:
        """Whether a proxy says who comes in. It stays as it was when the website was started."""
        return bool(self._settings.trusted_header)

    @property
    def header(self) -> str:
        """The header in which the proxy says it."""
        return self._settings.trusted_header

    @property
    def token(self) -> str:
        """The secret of the sign-in link that is good now."""
        return self._token

    def sign_in(self, token: str, who: str) -> Session | None:
        """A session for whoever has the link; the link is used up by it, and another one is good from now on."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = secrets.token_urlsafe(32)
        return self._begin(who)

    def by_header(self, client: str | None, named: Sequence[str], cookie: str | None) -> Session | None:
        """The session of whom a trusted proxy names; None if it is no trusted proxy, or nobody who may come in.

        `named` is what the header says, once for each time that the request bears it.
        """
        # Twice: one of the two came from the browser, through a proxy that only adds its own.
        if not self.is_by_header or len(named) != 1:
            return None
        who = named[0].strip()
        if client not in self._settings.trusted_proxies or who not in self._settings.allowed_users:
            return None
        known = self.by_cookie(cookie)
        return known if known is not None and known.who == who else self._begin(who)

    def by_cookie(self, cookie: str | None) -> Session | None:
        """The session that a cookie belongs to; None if it is forged, too old or signed out."""
        if not cookie:
            return None
        try:
            identity = self._signer.loads(cookie)
        except BadSignature:
            return None
        with self._lock:
            session = self._sessions.get(identity) if isinstance(identity, str) else None
            if session is not None and session.until <= self._clock():
                del self._sessions[session.id]
                session = None
        return session

    def cookie_of(self, session: Session) -> str:
        """What the browser keeps."""
        return str(self._signer.dumps(session.id))

    def sign_out(self, session: Session) -> None:
        """The session is good for nothing any more, also for whoever kept its cookie."""
        with self._lock:
            self._sessions.pop(session.id, None)

    def _begin(self, who: str) -> Session:
        until = self._clock() + timedelta(hours=self._settings.session_hours)
        session = Session(secrets.token_urlsafe(24), who, secrets.token_urlsafe(32), until)
        with self._lock:
            while len(self._sessions) >= _MOST_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[session.id] = session
        return session


def is_same_token(given: str, session: Session) -> bool:
    """Whether a form was made for this session."""
    return hmac.compare_digest(given.encode(), session.csrf.encode())
