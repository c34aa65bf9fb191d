"""The time for which caches may show an asset without asking (RFC 9111 and RFC 5861)."""

import attrs

NO_STORE = "no-store"
"""Cache-Control of answers that nobody may keep: of errors, and of those that are for one client, or for now."""


@attrs.frozen
class CacheRules:
    """The rules for assets under one configuration; times are in seconds.

    For `max_age` a cache shows an asset without asking; for another `stale_while_revalidate` it shows it, and asks
    behind the scenes whether there is another version. With a `max_age` of 0 it always asks first. With `is_private` no
    asset is for shared caches.
    """

    max_age: int
    stale_while_revalidate: int
    token_window: int
    is_private: bool

    def cache_control(self, is_private: bool = False) -> str:
        """Return the Cache-Control of an asset; `is_private` is whether it is, or the address has a token in it."""
        is_private = self.is_private or is_private
        if not self.max_age:
            # A shared cache that asks first does so with its own token, or with none.
            return "private, no-cache" if is_private else "no-cache"
        directives = ["private"] if is_private else ["public", *self._for_shared_caches()]
        directives.append(f"max-age={self.max_age}")
        if self.stale_while_revalidate:
            directives.append(f"stale-while-revalidate={self.stale_while_revalidate}")
        return ", ".join(directives)

    def _for_shared_caches(self) -> list[str]:
        # Specify 6 sets its clock by X-Timestamp, which a shared cache repeats: its tokens have to stay valid.
        return [f"s-maxage={min(self.max_age, self.token_window // 2)}"] if self.token_window else []
