"""The rules of who may read and write assets (contract, section 2)."""

from collections.abc import Sequence

import attrs

from was_daemon.library.collections import Collections
from was_daemon.library.visibility import Visibility
from was_daemon.model import tokens
from was_daemon.model.errors import Forbidden, UnknownCollection
from was_daemon.model.keys import AssetKey
from was_daemon.web.capabilities import Capability, Purpose, grant_for, is_capability, problem_of
from was_daemon.web.keyring import Keyring

_DECIDING_FIELDS = frozenset({"store", "token"})


@attrs.frozen
class AccessRules:
    """The rules of one configuration; `token_window` is in seconds, 0 accepts a token of any time.

    With `visibility`, a token is needed to read what it says is private, else for everything or nothing, as
    `require_token_for_get` says.

    A token has to be fresh at `arrived`, the Unix seconds at which the head of its request was complete: an upload may
    take longer than the window.
    """

    collections: Collections
    keyring: Keyring
    token_window: int
    require_token_for_get: bool
    static_access: bool = True
    visibility: Visibility | None = None

    @property
    def deciding_fields(self) -> frozenset[str]:
        """The fields of an upload that tell together whether it is allowed."""
        return _DECIDING_FIELDS if self.keyring.has_single_key else _DECIDING_FIELDS | {"coll"}

    def require_token(self, collection: str | None, filename: str, token: str | None, arrived: float) -> None:
        """Raise `Forbidden` unless `token` allows `filename` of a collection, known or not."""
        self._require(self.keyring.keys_of(collection), filename, token, arrived)

    def require_token_of_any_key(self, filename: str, token: str | None, arrived: float) -> None:
        """Raise `Forbidden` unless `token` allows `filename`, whatever its collection is."""
        self._require(self.keyring.all_keys(), filename, token, arrived)

    def require_token_to_read(self, collection: str | None, filename: str, token: str | None, arrived: float) -> None:
        """Raise `Forbidden` unless `filename` may be read with `token`, or a capability in its place."""
        if not self.needs_token(collection, filename):
            return
        if token and is_capability(token):
            self._require_capability(collection, filename, Capability.parse(token), arrived)
        else:
            self.require_token(collection, filename, token, arrived)

    def needs_token(self, collection: str | None, filename: str) -> bool:
        """Return whether `filename` of a collection, known or not, is read with a token only."""
        if not self.visibility:
            return self.require_token_for_get
        try:
            store, directory = self.collections.home(collection)
        except UnknownCollection:
            return self.needs_token_by_default
        return self.visibility.is_private(store, directory, filename)

    @property
    def needs_token_by_default(self) -> bool:
        """Whether a token is needed for what nothing is known of, such as names that do not exist."""
        return self.visibility.hides_unknown if self.visibility else self.require_token_for_get

    def is_static(self, key: AssetKey) -> bool:
        """Return whether an original, and what is made of it, may be read below `/static/`, which takes no tokens."""
        if not self.visibility:
            return True
        return not self.visibility.is_private(self.collections.place(key).name, key.collection, key.name)

    def capability_to_read(self, collection: str | None, filename: str, lifetime: float) -> Capability:
        """Return what lets its holder read `filename` for `lifetime` seconds or a little longer, but not change it."""
        return grant_for(self.keyring.keys_of(collection)[0], collection, filename, lifetime, Purpose.READ)

    def needs_key(self, collection: str | None) -> bool:
        """Return whether there is a key that signs what is asked of a collection, known or not."""
        return bool(self.keyring.keys_of(collection))

    def original(self, collection: str | None, name: str) -> AssetKey:
        """Return the key of an original; raises `BadName` or `UnknownCollection`."""
        return self.collections.original(collection, name)

    def _require_capability(
        self, collection: str | None, filename: str, capability: Capability, arrived: float
    ) -> None:
        keys = self.keyring.keys_of(collection)
        problems = [problem_of(capability, key, collection, filename, arrived, Purpose.READ) for key in keys]
        if keys and all(problems):
            raise Forbidden(problems[0] or "")

    def _require(self, keys: Sequence[str], filename: str, token: str | None, arrived: float) -> None:
        if not keys:
            return
        if not token:
            raise Forbidden("the token is missing")
        # Every key is tried, so that the time taken says nothing about them.
        problems = [tokens.verify(key, filename, token, int(arrived), self.token_window) for key in keys]
        if all(problems):
            problem = next((each for each in problems if each and each != tokens.MISMATCH), tokens.MISMATCH)
            raise Forbidden(problem, self._reason(problem, token, int(arrived)))

    def _reason(self, problem: str, token: str, arrived: int) -> str:
        """Return what the log says of a token's problem, without the token and the keys."""
        if problem == tokens.MISMATCH:
            return "the token is for another name, or signed with another key"
        if problem == tokens.TOO_FAR:
            skew = tokens.skew(token, arrived)
            side = "ahead of" if skew > 0 else "behind"
            return f"the token's time is {abs(skew)} s {side} the server's, and token_window = {self.token_window}"
        return problem
