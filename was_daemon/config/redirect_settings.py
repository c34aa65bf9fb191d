"""Settings `redirect` and `redirect_thumbnails` of a store's table."""

from collections.abc import Mapping
from typing import Any

from was_daemon.config.settings import ServerSettings, StoreSettings
from was_daemon.config.structure import Mistakes
from was_daemon.model.redirect import Redirect

REDIRECT_KEYS = frozenset({"redirect", "redirect_thumbnails"})
"""Keys that a store's table may have with every plugin."""

_VALUES: Mapping[bool | str, Redirect | None] = {
    False: None,
    # Not every store's addresses need a signature.
    True: Redirect.PRESIGNED,
    **{redirect.value: redirect for redirect in Redirect},
}


def read_redirects(key: str, table: Mapping[str, Any], mistakes: Mistakes) -> tuple[Redirect | None, bool]:
    """Return the redirect in a store's table, which is called `key`, and whether thumbnails are redirected, too."""
    given, thumbnails = table.get("redirect", False), table.get("redirect_thumbnails", False)
    if not isinstance(given, bool | str) or given not in _VALUES:
        mistakes.add(f"{key}.redirect", 'expected "presigned", "nginx" or false')
        return None, False
    if not isinstance(thumbnails, bool):
        mistakes.add(f"{key}.redirect_thumbnails", "expected true or false")
    elif thumbnails and not given:
        mistakes.add(f"{key}.redirect_thumbnails", "is of no use without redirect")
    return _VALUES[given], thumbnails is True


def check_nginx(server: ServerSettings, stores: Mapping[str, StoreSettings], mistakes: Mistakes) -> None:
    """Warn of stores with `redirect = "nginx"` where requests cannot have come through nginx."""
    if server.trusted_proxies or any(each.startswith(("unix:", "systemd:")) for each in server.listen):
        return
    for name, store in stores.items():
        if store.redirect is Redirect.NGINX:
            mistakes.warn(f'stores.{name}.redirect = "nginx" does nothing: server.trusted_proxies does not name nginx')
