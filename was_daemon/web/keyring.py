"""The keys that tokens are signed with: the server's, and those that collections have of their own."""

import secrets
from collections.abc import Mapping, Sequence

import attrs

_NOBODYS = secrets.token_urlsafe()
"""A key that nobody signs with: a collection that is not there refuses tokens like one that is, in the same time."""


@attrs.frozen
class Keyring:
    """The keys of one configuration.

    `server` is the server's, None without one; `collections` are those of the collections that have their own, by the
    names that clients send. With `is_open`, what has no key asks for no token.
    """

    server: str | None = attrs.field(default=None, repr=False)
    collections: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    is_open: bool = False

    @property
    def is_one(self) -> bool:
        """Whether one key is for everything, so that a token can be looked at before its collection is known."""
        return not self.collections

    def of(self, collection: str | None) -> Sequence[str]:
        """The keys of which one signs what concerns a collection, known or not; without any, nobody has to sign."""
        own = self.collections.get(collection) if collection else None
        return [own] if own else self._server_keys()

    def all(self) -> Sequence[str]:
        """The keys of which one signs what concerns no collection; without any, nobody has to sign."""
        if self.is_open:
            return []
        return list(dict.fromkeys([*self._server_keys(), *self.collections.values()]))

    def _server_keys(self) -> Sequence[str]:
        if self.server is not None:
            return [self.server]
        return [] if self.is_open else [_NOBODYS]
