"""Sessions of the administrator, in the memory of one process, and the tokens of its forms."""

import hashlib
import hmac
import secrets

import attrs
from twisted.internet.interfaces import IReactorTime

_ID_BYTES = 32
_MOST = 64
"""Sessions at a time; the oldest gives way to a new one."""


@attrs.frozen
class Session:
    """A session that ends at `end`, in seconds of the reactor; `password` is the hashed one that it began with."""

    id: str = attrs.field(repr=False)
    end: float
    password: str = attrs.field(repr=False)


class Sessions:
    """The sessions by their IDs, which browsers keep as cookies."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._secret = secrets.token_bytes(_ID_BYTES)

    def begin(self, seconds: float, password: str) -> Session:
        """Return a new session that lasts for `seconds`."""
        self._forget_ended()
        session = Session(new_id(), self._clock.seconds() + seconds, password)
        self._sessions[session.id] = session
        while len(self._sessions) > _MOST:
            del self._sessions[next(iter(self._sessions))]
        return session

    def find(self, id_: str) -> Session | None:
        """Return the session with that ID, None if it has ended."""
        session = self._sessions.get(id_)
        return session if session and session.end > self._clock.seconds() else None

    def end(self, id_: str) -> None:
        """End a session, if there is one with that ID."""
        self._sessions.pop(id_, None)

    def form_token(self, id_: str) -> str:
        """Return the token of forms that are sent with the cookie `id_`, of a session or of a visit to the login.

        Another site can have a browser send the cookie, but does not know this.
        """
        return hmac.new(self._secret, id_.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, id_: str, token: str) -> bool:
        """Return whether `token` is the one of forms that are sent with the cookie `id_`."""
        return hmac.compare_digest(self.form_token(id_).encode(), token.encode("utf-8", "replace"))

    def _forget_ended(self) -> None:
        now = self._clock.seconds()
        self._sessions = {id_: session for id_, session in self._sessions.items() if session.end > now}


def new_id() -> str:
    """Return the value of a new cookie."""
    return secrets.token_urlsafe(_ID_BYTES)
