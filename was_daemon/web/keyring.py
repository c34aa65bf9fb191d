"""The keys that tokens are signed with: the server's, and those that collections have of their own."""

import secrets
from collections.abc import Mapping, Sequence

import attrs

_UNKNOWN_KEY = secrets.token_urlsafe()
"""A key that no client has: an unknown collection refuses a token like a known one, and takes the same time."""


@attrs.frozen
class Keyring:
    """The keys of one configuration.

    `server` is the server's key, None without one; `collections` are the keys of collections that have their own, by
    the names that clients send. With `is_open`, no token is needed where there is no key.
    """

    server: str | None = attrs.field(default=None, repr=False)
    collections: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    is_open: bool = False

    @property
    def has_single_key(self) -> bool:
        """Whether one key signs everything, so that a token can be checked before its collection is known."""
        return not self.collections

    def keys_of(self, collection: str | None) -> Sequence[str]:
        """Return the keys that may sign a request about a collection, known or not; no token is needed without any."""
        own = self.collections.get(collection) if collection else None
        return [own] if own else self._server_keys()

    def all_keys(self) -> Sequence[str]:
        """Return the keys that may sign a request about no collection; no token is needed without any."""
        if self.is_open:
            return []
        return list(dict.fromkeys([*self._server_keys(), *self.collections.values()]))

    def _server_keys(self) -> Sequence[str]:
        if self.server is not None:
            return [self.server]
        return [] if self.is_open else [_UNKNOWN_KEY]
