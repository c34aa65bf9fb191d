"""The configuration: TOML and environment in, frozen settings out, every mistake reported with its key."""

import os
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.endpoints import serverFromString

from was_daemon.config.attachment_keys import KeyReader
from was_daemon.config.plugins import find_plugins
from was_daemon.config.redirect_settings import REDIRECT_KEYS, check_nginx, read_redirects
from was_daemon.config.secret_files import SecretFiles
from was_daemon.config.settings import (
    PORT,
    ChecksumSettings,
    CollectionSettings,
    CollectionsSettings,
    LimitSettings,
    LogSettings,
    PluginSettings,
    ServerSettings,
    Settings,
    SpoolSettings,
    StoreSettings,
    ThumbnailSettings,
)
from was_daemon.config.structure import Mistakes, Paths, secret_keys, structure
from was_daemon.model.errors import BadName
from was_daemon.model.interfaces import IAssetStorePlugin
from was_daemon.model.keys import check_directory

TCP_PORT = re.compile(r"(?:tcp6?|ssl):(?:port=)?([0-9]+)")
"""An endpoint description that names a port."""

_HOSTNAME = re.compile(r"[\w.:%~-]+")
_LAST_PORT = 65535
_KEY_BYTES = 24
_LEAST_MEMORY = 128 << 20


class ConfigError(Exception):
    """The configuration has mistakes; `mistakes` are lines that say `key: what is wrong`.

    `weak_keys` are lines on keys that are easy to guess, with which alone the daemon would start.
    """

    def __init__(self, mistakes: list[str], weak_keys: Sequence[str] = ()) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
        self.weak_keys = weak_keys


_SECTIONS: dict[str, type] = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "collections": CollectionsSettings,
    "thumbnails": ThumbnailSettings,
    "spool": SpoolSettings,
    "log": LogSettings,
    "checksums": ChecksumSettings,
    "plugins": PluginSettings,
}


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


@attrs.frozen
class Source:
    """Where the settings come from: a file, or the embedded default without one, and the environment.

    The environment supplies what the file leaves out. Relative paths in the file start at its directory, and those of
    the default at the directory that the source was made in, wherever the process goes later. With `text` that is what
    the file holds, whatever has become of it since; so it is with `secret_files` and the files that it names.
    """

    path: Path | None = attrs.field(converter=_absolute)
    environ: Mapping[str, str]
    directory: Path = attrs.field(factory=Path.cwd)
    text: str | None = attrs.field(default=None, repr=False)
    secret_files: SecretFiles = attrs.field(factory=SecretFiles, repr=False, eq=False)

    def read(self) -> "Source":
        """The same, with what the files hold now; raises `ConfigError`."""
        text = _read(self.path) if self.path else None
        return attrs.evolve(self, text=text, secret_files=SecretFiles())

    def load(self) -> Settings:
        """The settings; raises `ConfigError`."""
        if self.path is None:
            document, directory = _embedded(self.environ, self.directory), self.directory
        else:
            document, directory = _parse(self.path, self.text), self.path.resolve().parent
        return _Loader(document, directory, self.environ, self.secret_files).settings(self.path)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a `Source`, read once; raises `ConfigError`."""
    return Source(path, environ).load()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {os.strerror(error.errno or 0).lower()}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _parse(path: Path, text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path) if text is None else text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _embedded(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """A store in `./attachments` and a key made once, so that the program runs at once and is safe."""
    document: dict[str, Any] = {"stores": {"main": {"plugin": "filesystem", "path": "attachments"}}}
    if not environ.get("ATTACHMENT_KEY"):
        _make_key(directory / "attachments/.key")
        document["server"] = {"key_file": "attachments/.key"}
    return document


def _make_key(path: Path) -> None:
    """Write a new key to the file at `path`, unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(_KEY_BYTES) + "\n")


def is_server_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(
            parts.scheme in ("http", "https")
            and _HOSTNAME.fullmatch(parts.hostname or "")
            and parts.port != 0
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        return False


class _Loader:
    """One reading of a configuration; collects mistakes until the end."""

    def __init__(
        self, document: dict[str, Any], directory: Path, environ: Mapping[str, str], secret_files: SecretFiles
    ) -> None:
        self._document = document
        self._paths = Paths(directory, environ, secret_files)
        self._environ = environ
        self._mistakes = Mistakes()
        self._secrets: list[str] = []

    def settings(self, file: Path | None) -> Settings:
        """The settings, which are in `file`; raises `ConfigError` with all mistakes."""
        for name in self._document.keys() - _SECTIONS.keys() - {"stores"}:
            self._mistakes.add(name, "unknown section")
        server: ServerSettings = self._section("server")
        limits: LimitSettings = self._section("limits")
        collections: CollectionsSettings = self._section("collections")
        thumbnails: ThumbnailSettings = self._section("thumbnails")
        spool: SpoolSettings = self._section("spool")
        log: LogSettings = self._section("log")
        if log.format not in ("text", "json"):
            self._mistakes.add("log.format", f'expected "text" or "json", got "{log.format}"')
        checksums: ChecksumSettings = self._section("checksums")
        plugins: PluginSettings = self._section("plugins")
        available = find_plugins(plugins.path, self._debug)
        stores = self._stores(available)
        check_nginx(server, stores, self._mistakes)
        default = collections.store or next(iter(stores), "main")
        self._check_collections(collections, default)
        self._check_store("thumbnails.store", thumbnails.store)
        self._check_numbers(server, limits, thumbnails, collections)
        if not server.listen:
            self._mistakes.add("server.listen", "is empty")
        self._check_listen("server.listen", server.listen)
        self._check_listen("server.admin_listen", server.admin_listen)
        keys = KeyReader(self._document, self._environ, self._mistakes, self._paths.secret_files)
        collections = keys.of_collections(collections)
        key, key_source = keys.of_server(server, collections)
        self._check_shared(collections, default, key)
        server = attrs.evolve(server, key=key, public_url=self._public_url(server))
        if file and self._secrets:
            self._check_file(file)
        if self._mistakes.lines:
            raise ConfigError(self._mistakes.lines, self._mistakes.weak_keys)
        return Settings(
            server=server,
            limits=limits,
            stores=stores,
            default_store=default,
            collections=collections,
            thumbnails=thumbnails,
            spool=spool,
            log=log,
            checksums=checksums,
            key_source=key_source,
            debug=self._debug,
            plugins=available,
            weak_keys=self._mistakes.weak_keys,
            warnings=self._mistakes.warnings,
        )

    @property
    def _debug(self) -> bool:
        return self._environ.get("DEBUG_MODE", "").lower() in ("1", "true", "yes", "on")

    def _section(self, name: str) -> Any:
        return self._structure(self._document.get(name, {}), _SECTIONS[name], name) or _SECTIONS[name]()

    def _structure(self, table: Any, cls: type, key: str) -> Any:
        self._secrets += [f"{key}.{name}" for name in secret_keys(cls, table)]
        return structure(table, cls, key, self._paths, self._mistakes)

    def _check_file(self, path: Path) -> None:
        """The file that holds secrets itself is a secret file."""
        try:
            warning = self._paths.secret_files.check(path)
        except ValueError as error:
            self._mistakes.add(self._secrets[0], str(error))
        else:
            if warning:
                self._mistakes.warn(f"{warning}, or keep {self._secrets[0]} in a file of its own")

    def _stores(self, available: Mapping[str, IAssetStorePlugin]) -> dict[str, StoreSettings]:
        tables = self._document.get("stores", {})
        if not tables or not isinstance(tables, dict):
            self._mistakes.add("stores", "at least one [stores.NAME] is needed")
            return {}
        stores = {}
        for name, table in tables.items():
            key = f"stores.{name}"
            if not isinstance(table, dict) or "plugin" not in table:
                self._mistakes.add(f"{key}.plugin", "is missing")
                continue
            plugin = available.get(table["plugin"]) if isinstance(table["plugin"], str) else None
            if plugin is None:
                known = ", ".join(sorted(available))
                self._mistakes.add(f"{key}.plugin", f'no plugin is called "{table["plugin"]}"; there are {known}')
                continue
            rest = {option: value for option, value in table.items() if option not in REDIRECT_KEYS | {"plugin"}}
            options = self._structure(rest, plugin.options, key)
            stores[name] = StoreSettings(plugin, options, *read_redirects(key, table, self._mistakes))
        return stores

    def _check_store(self, key: str, name: str | None) -> None:
        tables = self._document.get("stores")
        if name is not None and isinstance(tables, dict) and name not in tables:
            self._mistakes.add(key, f'no store is called "{name}"')

    def _check_collections(self, settings: CollectionsSettings, default: str) -> None:
        self._check_store("collections.store", settings.store)
        if settings.mode not in ("single", "map", "auto"):
            self._mistakes.add("collections.mode", f'expected "single", "map" or "auto", got "{settings.mode}"')
        if settings.mode == "map" and not self._document.get("collections", {}).get("map"):
            self._mistakes.add("collections.map", "is missing")
        if settings.mode in ("single", "auto") and settings.map:
            self._mistakes.add("collections.map", 'is used only with mode = "map"')
        for name, collection in settings.map.items():
            key = f"collections.map.{name}"
            # The file that has them is a secret.
            self._secrets += [f"{key}.key"] if collection.key is not None else []
            self._check_store(f"{key}.store", collection.store)
            try:
                check_directory(collection.directory)
            except BadName as error:
                self._mistakes.add(f"{key}.directory", str(error))

    def _check_shared(self, settings: CollectionsSettings, default: str, server_key: str | None) -> None:
        """Collections in one directory are one place: it has one store, one key and one quota."""
        first: dict[str, CollectionSettings] = {}
        for name, collection in settings.map.items():
            other = first.setdefault(collection.directory, collection)
            for what, differ in (
                ("on another store", (other.store or default) != (collection.store or default)),
                ("with another key", (other.key or server_key) != (collection.key or server_key)),
                ("with another quota", other.quota != collection.quota),
            ):
                if differ:
                    reason = f"another collection has this directory {what}"
                    self._mistakes.add(f"collections.map.{name}.directory", reason)

    def _check_numbers(
        self,
        server: ServerSettings,
        limits: LimitSettings,
        thumbnails: ThumbnailSettings,
        collections: CollectionsSettings,
    ) -> None:
        for key, value, least in [
            ("server.token_window", server.token_window, 0),
            ("limits.connections_per_address", limits.connections_per_address, 0),
            ("limits.header_timeout", limits.header_timeout, 0.001),
            ("limits.idle_timeout", limits.idle_timeout, 0.001),
            ("limits.min_rate", limits.min_rate, 1),
            ("limits.pending_uploads", limits.pending_uploads, 1),
            ("server.shutdown_grace", server.shutdown_grace, 0),
            ("collections.recount", collections.recount, 1),
            ("server.workers", server.workers, 1),
            ("thumbnails.workers", thumbnails.workers, 1),
            ("thumbnails.max_scale", thumbnails.max_scale, 1),
            ("thumbnails.max_pixels", thumbnails.max_pixels, 1),
            ("thumbnails.queue", thumbnails.queue, 1),
            ("thumbnails.timeout", thumbnails.timeout, 0.001),
            ("thumbnails.memory", thumbnails.memory, _LEAST_MEMORY),
            *((f"thumbnails.warm[{index}]", scale, 1) for index, scale in enumerate(thumbnails.warm)),
        ]:
            if value < least:
                self._mistakes.add(key, f"must be at least {least}, got {value}")
        if server.workers > (processors := len(os.sched_getaffinity(0))):
            self._mistakes.warn(
                f"server.workers is {server.workers}, more than this machine's processors, {processors}"
            )
        for index, description in enumerate(server.listen if server.workers > 1 else []):
            if description.startswith(("unix:", "systemd:")):
                reason = f'each of several processes needs a socket of its own for a TCP port, not "{description}"'
                self._mistakes.add(f"server.listen[{index}]", reason)
        if limits.pending_size is not None and limits.pending_size < server.max_upload:
            self._mistakes.add("limits.pending_size", "is less than server.max_upload")
        for index, scale in enumerate(thumbnails.warm):
            if scale > thumbnails.max_scale:
                self._mistakes.add(f"thumbnails.warm[{index}]", f"is more than max_scale, {thumbnails.max_scale}")

    def _check_listen(self, key: str, descriptions: list[str]) -> None:
        from twisted.internet import reactor

        for index, description in enumerate(descriptions):
            if description.startswith("systemd:") and "LISTEN_FDS" not in self._environ:
                # systemd's sockets are there for the service, not for an operator's command.
                continue
            try:
                serverFromString(reactor, description)
                port = TCP_PORT.match(description)
                if port and int(port[1]) > _LAST_PORT:
                    raise ValueError(f"there is no port {port[1]}")
            except Exception as error:  # each endpoint parser has its own, down to what OpenSSL raises
                reason = str(error) or type(error).__name__
                self._mistakes.add(f"{key}[{index}]", f'"{description}" is not usable: {reason}')

    def _public_url(self, server: ServerSettings) -> str | None:
        if server.public_url is None:
            return self._public_url_of_environment()
        if not is_server_address(server.public_url):
            self._mistakes.add("server.public_url", f'expected the address of a server, got "{server.public_url}"')
        return server.public_url.rstrip("/")

    def _public_url_of_environment(self) -> str | None:
        """Return the public URL that the variables of the official image describe."""
        host = self._environ.get("SERVER_NAME")
        if not host:
            return None
        port = self._environ.get("SERVER_PORT", str(PORT))
        url = {"80": f"http://{host}", "443": f"https://{host}"}.get(port, f"http://{host}:{port}")
        if not (port.isascii() and port.isdigit()):
            self._mistakes.add("SERVER_PORT", f'expected a port, got "{port}"')
        elif "/" in host or not is_server_address(url):
            self._mistakes.add("SERVER_NAME", f'with SERVER_PORT expected a host and port, got "{host}" and "{port}"')
        return url
