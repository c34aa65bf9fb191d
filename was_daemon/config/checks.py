"""Checks of how settings fit together, and to this machine; what a single value may be, `settings` says."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import serverFromString

from was_daemon.config.catalogue_settings import CatalogueSettings, lacks_catalogue
from was_daemon.config.discovery_settings import DiscoverySettings
from was_daemon.config.endpoints import TCPAddress, tcp_address, tls_files
from was_daemon.config.public_url import is_server_address
from was_daemon.config.settings import (
    AdminSettings,
    CollectionSettings,
    CollectionsSettings,
    LimitSettings,
    ServerSettings,
    StoreSettings,
    ThumbnailSettings,
    TrashSettings,
)
from was_daemon.config.structure import Mistakes
from was_daemon.model.errors import BadName
from was_daemon.model.keys import check_directory

_LAST_PORT = 65535
_NO_PAIR = "Certificate public and private keys do not match."
"""What Twisted says of a key that is another certificate's."""

_HOST_AND_PORT = re.compile(r"(?:tcp:)?(?P<host>[\w.-]*[A-Za-z.][\w.-]*):(?P<port>[0-9]+)", re.ASCII)


def check_store(key: str, name: str | None, stores: Collection[str] | None, mistakes: Mistakes) -> None:
    """Check that the store `name`, if it is given, is one of `stores`; None when those could not be read."""
    if name is not None and stores is not None and name not in stores:
        mistakes.add(key, f'no store is called "{name}"')


def check_collections(settings: CollectionsSettings, stores: Collection[str] | None, mistakes: Mistakes) -> None:
    """Check the mode, the directories and the stores of collections."""
    check_store("collections.store", settings.store, stores, mistakes)
    if settings.map and settings.mode != "map" and not mistakes.are_about("collections.mode"):
        mistakes.add("collections.map", 'is used only with mode = "map"')
    for name, collection in settings.map.items():
        key = f"collections.map.{name}"
        check_store(f"{key}.store", collection.store, stores, mistakes)
        try:
            check_directory(collection.directory)
        except BadName as error:
            mistakes.add(f"{key}.directory", str(error))


def check_shared_directories(
    settings: CollectionsSettings, default_store: str, server_key: str | None, mistakes: Mistakes
) -> None:
    """Check that collections in the same directory have one store, one key and one quota."""
    first: dict[str, CollectionSettings] = {}
    for name, collection in settings.map.items():
        other = first.setdefault(collection.directory, collection)
        for difference, differ in (
            ("on another store", (other.store or default_store) != (collection.store or default_store)),
            ("with another key", (other.key or server_key) != (collection.key or server_key)),
            ("with another quota", other.quota != collection.quota),
        ):
            if differ:
                reason = f"another collection has this directory {difference}"
                mistakes.add(f"collections.map.{name}.directory", reason)


def check_processes(server: ServerSettings, mistakes: Mistakes) -> None:
    """Check that several processes can listen, and warn of more processes than processors."""
    if server.workers > (processors := len(os.sched_getaffinity(0))):
        mistakes.warn(f"server.workers is {server.workers}, more than this machine's processors, {processors}")
    for index, description in enumerate(server.listen if server.workers > 1 else []):
        if description.startswith(("unix:", "systemd:")):
            reason = f'each of several processes needs a socket of its own for a TCP port, not "{description}"'
            mistakes.add(f"server.listen[{index}]", reason)


def check_admin(admin: AdminSettings, server: ServerSettings, mistakes: Mistakes) -> None:
    """Check the address of the console, and that there is one to log in to."""
    if admin.public_url is not None and not is_server_address(admin.public_url):
        mistakes.add("admin.public_url", f'expected the address of a server, got "{admin.public_url}"')
    if admin.password_file and not server.admin_listen:
        mistakes.warn("admin.password_file is used only with server.admin_listen, where the console is")


def check_limits(server: ServerSettings, limits: LimitSettings, mistakes: Mistakes) -> None:
    """Check that the largest upload may wait."""
    if limits.pending_size is not None and limits.pending_size < server.max_upload:
        mistakes.add("limits.pending_size", "is less than server.max_upload")


def check_visibility(server: ServerSettings, catalogue: CatalogueSettings, mistakes: Mistakes) -> None:
    """Check that it can be known what is private, and that a token can be asked for."""
    if not server.tells_private:
        return
    if lacks_catalogue(catalogue, mistakes):
        mistakes.add("server.require_token_for_get", '"private" needs [catalogue], which knows what is private')
    if server.insecure_no_key and server.key is None:
        mistakes.add("server.insecure_no_key", 'without a key nothing is private: leave it out, or "private"')


def check_thumbnails(settings: ThumbnailSettings, stores: Collection[str] | None, mistakes: Mistakes) -> None:
    """Check the thumbnails' store, and that the scales made in advance are ones that clients may ask for."""
    check_store("thumbnails.store", settings.store, stores, mistakes)
    for index, scale in enumerate(settings.warm):
        if scale > settings.max_scale:
            mistakes.add(f"thumbnails.warm[{index}]", f"is more than max_scale, {settings.max_scale}")


def check_trash(settings: TrashSettings, mistakes: Mistakes) -> None:
    """Check that what is said of the trash has one to go with."""
    for key, value in (("replaced", settings.replaced), ("count_in_quotas", settings.count_in_quotas)):
        if value and settings.keep is None and not mistakes.are_about("trash.keep"):
            mistakes.add(f"trash.{key}", "is used only with trash.keep, which says how long versions stay in the trash")


def _reason(description: str, error: Exception) -> str:
    """Return why an endpoint is of no use, and for a host before the port, how it is written."""
    match = _HOST_AND_PORT.fullmatch(description)
    if match:
        return f'the port comes first: "tcp:{match["port"]}:interface={match["host"]}"'
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {os.strerror(error.errno or 0).lower()}"
    return _of_tls(description, error) or str(error) or type(error).__name__


def _of_tls(description: str, error: Exception) -> str | None:
    """Return what is wrong with the files of an endpoint with TLS, of which OpenSSL speaks in its own terms."""
    files = tls_files(description)
    if not files:
        return None
    if str(error) == _NO_PAIR:
        return f"{files['privateKey']} is not the key of the certificate {files['certKey']}"
    if isinstance(error, SSL.Error | crypto.Error):
        return f"{files['privateKey']} is no private key, or {files['certKey']} no certificate, in PEM"
    return None


def check_endpoints(key: str, descriptions: Sequence[str], environ: Mapping[str, str], mistakes: Mistakes) -> None:
    """Check that Twisted understands the descriptions of endpoints to listen on."""
    from twisted.internet import reactor

    for index, description in enumerate(descriptions):
        if description.startswith("systemd:") and "LISTEN_FDS" not in environ:
            # systemd's sockets are there for the service, not for an operator's command.
            continue
        try:
            serverFromString(reactor, description)
            address = tcp_address(description)
            if address and address.port > _LAST_PORT:
                raise ValueError(f"there is no port {address.port}")
        except Exception as error:  # each endpoint parser has its own, down to what OpenSSL raises
            reason = _reason(description, error)
            mistakes.add(f"{key}[{index}]", f'"{description}" is not usable: {reason}')


def check_discovery(
    discovery: DiscoverySettings,
    public_url: str | None,
    collections: CollectionsSettings,
    trash: TrashSettings,
    mistakes: Mistakes,
) -> None:
    """Check that browsers may use the addresses, and warn of settings that count only where the daemon is asked."""
    for kind, url in discovery.elsewhere().items():
        _check_mixed_content(f"discovery.{kind}", url, public_url, mistakes)
    if discovery.delete and trash.keep is not None:
        mistakes.warn("trash.keep keeps nothing of what is deleted by way of discovery.delete")
    if discovery.write and any(each.quota is not None for each in collections.map.values()):
        mistakes.warn("Quotas do not limit uploads by way of discovery.write: these are counted later")


def _check_mixed_content(key: str, url: str, public_url: str | None, mistakes: Mistakes) -> None:
    """Check that a page that came by https is not told an address by http, which browsers refuse (mixed content)."""
    if not url.startswith("http:") or (public_url or "").startswith("http:"):
        return
    if public_url:
        mistakes.add(key, "is http, and server.public_url https: browsers refuse such mixed content")
    elif not TCPAddress(0, urlsplit(url).hostname or "").is_local:
        mistakes.warn(f"{key} is http: if Specify's pages come by https, browsers refuse such mixed content")


def check_own_address(stores: Mapping[str, StoreSettings], server: ServerSettings, mistakes: Mistakes) -> None:
    """Check that no store is this server itself, which would ask itself for ever: its `url` is another's address."""
    own = [each for each in map(tcp_address, server.listen) if each]
    for name, store in stores.items():
        url = getattr(store.options, "url", None)
        if not isinstance(url, str):
            continue
        address = url.rstrip("/").removesuffix("/web_asset_store.xml").rstrip("/")
        if address == server.public_url or any(_is_address_of(address, each) for each in own):
            mistakes.add(f"stores.{name}.url", "is the address of this server itself")


def _is_address_of(url: str, listening: TCPAddress) -> bool:
    """Return whether a URL leads to an endpoint by the loopback interface of this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return False
    is_local = TCPAddress(port, parts.hostname or "").is_local
    is_everywhere = listening.interface in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return is_local and port == listening.port and (listening.is_local or is_everywhere)
