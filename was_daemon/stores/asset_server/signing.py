"""Tokens for another asset server, made with its key and by its clock (contract, section 2)."""

import re
from collections.abc import Callable, Iterator

from was_daemon.model.tokens import sign
from was_daemon.stores.http.answer import Answer

_TIMESTAMP = re.compile("[0-9]{1,12}", re.ASCII)


def told_time(answer: Answer) -> int | None:
    """Return the time that an answer tells, as those of asset servers do; None if it tells none."""
    told = (answer.header("X-Timestamp") or "").strip()
    return int(told) if _TIMESTAMP.fullmatch(told) else None


class Signer:
    """Tokens for names, None without a key. `now` returns the Unix seconds by the clock of this machine."""

    def __init__(self, key: str | None, now: Callable[[], float]) -> None:
        self._key = key
        self._now = now
        self._ahead = 0

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def note(self, answer: Answer) -> bool:
        """Set the clock by an answer of the server; return whether the answer tells a time.

        Servers judge a token by their own clock, and tell it with nearly every answer.
        """
        told = told_time(answer)
        if told is None:
            return False
        self._ahead = told - int(self._now())
        return True

    def token(self, name: str) -> str | None:
        """Return the token for `name` at this moment."""
        return sign(self._key, name, int(self._now()) + self._ahead) if self._key is not None else None

    def tokens(self, name: str) -> Iterator[str]:
        """Yield the tokens that servers may want with `name` in a query, none without a key.

        Bottle, on which the official server is built, verifies a token in a query against the bytes of the name, each
        taken for a letter. For names in ASCII that is the same.
        """
        for each in dict.fromkeys((name, name.encode().decode("latin-1"))):
            if token := self.token(each):
                yield token
