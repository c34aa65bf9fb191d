"""Reading of the configuration: from TOML and environment to settings, with every mistake reported with its key."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from was_daemon.config.attachment_keys import KeyReader
from was_daemon.config.broken import rest_of
from was_daemon.config.catalogue_settings import catalogue_of, check_fixity
from was_daemon.config.checks import (
    check_admin,
    check_collections,
    check_discovery,
    check_endpoints,
    check_limits,
    check_own_address,
    check_processes,
    check_shared_directories,
    check_thumbnails,
    check_trash,
    check_visibility,
)
from was_daemon.config.composition import check_composition
from was_daemon.config.new_files import write_key
from was_daemon.config.paths import PathResolver, current_directory
from was_daemon.config.plugins import find_plugins, plugin_path_problem, warn_of_left_out, why_lacking
from was_daemon.config.public_url import public_url_of
from was_daemon.config.redirect_settings import REDIRECT_KEYS, check_nginx, read_redirects
from was_daemon.config.secret_files import check_permissions
from was_daemon.config.secret_values import secrets_in
from was_daemon.config.settings import Sections, Settings, StoreSettings
from was_daemon.config.specify_settings import check_specify, read_specify
from was_daemon.config.store_places import check_places
from was_daemon.config.structure import Mistakes, structure
from was_daemon.model.interfaces import IStorePlugin


class ConfigError(Exception):
    """A configuration with mistakes; `mistakes` are lines such as "server.workers: must be at least 1, got 0".

    `weak_keys` are lines on keys that are easy to guess, which do not keep the daemon from starting. `settings` are
    those of the rest of the configuration, None if nothing can be read; a store of which an option is wrong has none.
    """

    def __init__(self, mistakes: list[str], weak_keys: Sequence[str] = (), settings: Settings | None = None) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
        self.weak_keys = weak_keys
        self.settings = settings


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


@attrs.frozen
class ConfigSource:
    """Source of the settings: a file, or the embedded default without one, and the environment.

    The environment supplies what the file leaves out. Relative paths in the file start at its directory, those of the
    default at `directory`.
    """

    path: Path | None = attrs.field(converter=_absolute)
    environ: Mapping[str, str]
    directory: Path = attrs.field(factory=current_directory)

    def load(self) -> Settings:
        """Read the files and return the settings; raise `ConfigError`."""
        if self.path is None:
            document, directory = _embedded(self.environ, self.directory), self.directory
        else:
            document, directory = _parse(self.path), self.path.resolve().parent
        document = _with_proxies(document, self.environ)
        return _Loader(document, directory, self.environ).settings(self.path)

    def rest(self) -> Settings | None:
        """Return the settings in a file that is no TOML, as far as they can be read; None if nothing can."""
        if self.path is None:
            return None
        try:
            document = rest_of(_read(self.path))
            return _Loader(document, self.path.resolve().parent, self.environ).settings(self.path) if document else None
        except ConfigError as error:
            return error.settings


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings in the file at `path`; raise `ConfigError`."""
    return ConfigSource(path, environ).load()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {os.strerror(error.errno or 0).lower()}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _embedded(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """Return the configuration without a file: a store in `./attachments`, and a key there that is made once."""
    document: dict[str, Any] = {"stores": {"main": {"plugin": "filesystem", "path": "attachments"}}}
    if not environ.get("ATTACHMENT_KEY"):
        _make_key(directory / "attachments/.key")
        document["server"] = {"key_file": "attachments/.key"}
    return document


def _make_key(path: Path) -> None:
    """Make the key of a daemon without a configuration, unless there is one; raise `ConfigError`."""
    try:
        with suppress(FileExistsError):
            write_key(path)
    except OSError as error:
        advice = "name a configuration with --config, or change to a directory in which this user may write"
        raise ConfigError([f"{path}: {os.strerror(error.errno or 0).lower()}: {advice}"]) from None


def _with_proxies(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration with `trusted_proxies` from $TRUSTED_PROXIES, unless it names them itself.

    The variable is for containers, whose proxy is in another container and has no address of its own.
    """
    names, server = environ.get("TRUSTED_PROXIES"), document.get("server", {})
    if not names or not isinstance(server, dict) or "trusted_proxies" in server:
        return document
    proxies = [name.strip() for name in names.split(",")]
    return {**document, "server": {**server, "trusted_proxies": proxies}}


class _Loader:
    """Reader of one document, which collects mistakes until the end."""

    def __init__(self, document: dict[str, Any], directory: Path, environ: Mapping[str, str]) -> None:
        self._document = document
        self._paths = PathResolver(directory, environ)
        self._environ = environ
        self._mistakes = Mistakes()
        self._secrets: list[str] = []
        self._left_out: dict[Path, str] = {}

    def settings(self, file: Path | None) -> Settings:
        """Return the settings, which are in `file`; raise `ConfigError` with all mistakes."""
        sections = self._sections()
        self._check_plugins(sections.plugins.path)
        available = find_plugins(sections.plugins.path, self._debug, self._left_out.__setitem__)
        stores = self._stores(available)
        warn_of_left_out(self._left_out, self._mistakes)
        default_store = sections.collections.store or next(iter(stores), "main")
        self._check(sections, stores, default_store)
        keys = KeyReader(self._document, self._environ, self._mistakes)
        collections = keys.of_collections(sections.collections)
        key, key_source = keys.of_server(sections.server, collections)
        check_shared_directories(collections, default_store, key, self._mistakes)
        catalogue = catalogue_of(sections.catalogue, sections.checksums, self._mistakes)
        specify = read_specify(self._document.get("specify", {}), self._structure, self._mistakes)
        check_specify(specify, sections.collections, catalogue, self._mistakes)
        check_visibility(attrs.evolve(sections.server, key=key), catalogue, self._mistakes)
        check_fixity(sections.fixity, catalogue, self._mistakes)
        public_url = public_url_of(sections.server, self._environ, self._mistakes)
        check_discovery(sections.discovery, public_url, collections, sections.trash, self._mistakes)
        check_own_address(stores, attrs.evolve(sections.server, public_url=public_url), self._mistakes)
        if file and self._secrets:
            self._check_file(file)
        if self._mistakes.are_about("server.public_url"):
            public_url = None
        settings = Settings(
            server=attrs.evolve(sections.server, key=key, public_url=public_url),
            admin=sections.admin,
            discovery=sections.discovery,
            limits=sections.limits,
            stores=stores,
            default_store=default_store,
            collections=collections,
            thumbnails=sections.thumbnails,
            zoom=sections.zoom,
            spool=sections.spool,
            log=sections.log,
            catalogue=catalogue,
            specify=specify,
            trash=sections.trash,
            visibility=sections.visibility,
            fixity=sections.fixity,
            checksums=sections.checksums,
            key_source=key_source,
            debug=self._debug,
            plugins=available,
            plugin_path=sections.plugins.path,
            weak_keys=self._mistakes.weak_keys,
            warnings=self._mistakes.warnings,
        )
        if self._mistakes.lines:
            raise ConfigError(self._mistakes.lines, self._mistakes.weak_keys, settings)
        return settings

    def _check_plugins(self, paths: Sequence[Path]) -> None:
        for index, path in enumerate(paths):
            if (problem := plugin_path_problem(path)) is not None:
                self._mistakes.add(f"plugins.path[{index}]", problem)

    def _sections(self) -> Sections:
        classes: dict[str, Any] = {field.name: field.type for field in attrs.fields(Sections)}
        for name in self._document.keys() - classes.keys() - {"stores", "specify"}:
            self._mistakes.add(name, "unknown section")
        return Sections(**{name: self._section(name, cls) for name, cls in classes.items()})

    def _check(self, sections: Sections, stores: Mapping[str, StoreSettings], default_store: str) -> None:
        server, collections, mistakes = sections.server, sections.collections, self._mistakes
        tables = self._document.get("stores")
        names = tables.keys() if isinstance(tables, dict) else None
        check_nginx(server, stores, mistakes)
        check_composition(stores, names, mistakes)
        check_places(stores, collections, default_store, mistakes)
        if collections.mode == "map" and not self._document.get("collections", {}).get("map"):
            mistakes.add("collections.map", "is missing")
        check_collections(collections, names, mistakes)
        named = collections.map.items()
        self._secrets += [f"collections.map.{name}.key" for name, each in named if each.key is not None]
        check_thumbnails(sections.thumbnails, names, mistakes)
        check_trash(sections.trash, mistakes)
        check_processes(server, mistakes)
        check_admin(sections.admin, server, mistakes)
        check_limits(server, sections.limits, mistakes)
        check_endpoints("server.listen", server.listen, self._environ, mistakes)
        check_endpoints("server.admin_listen", server.admin_listen, self._environ, mistakes)

    @property
    def _debug(self) -> bool:
        return self._environ.get("DEBUG_MODE", "").lower() in ("1", "true", "yes", "on")

    def _section(self, name: str, cls: type) -> Any:
        return self._structure(self._document.get(name, {}), cls, name) or cls()

    def _structure(self, table: Any, cls: type, key: str) -> Any:
        self._secrets += secrets_in(table, cls, key, templates=False)
        return structure(table, cls, key, self._paths, self._mistakes)

    def _check_file(self, path: Path) -> None:
        """Check the permissions of the configuration, which holds secrets itself."""
        try:
            warning = check_permissions(path)
        except ValueError as error:
            self._mistakes.add(self._secrets[0], str(error))
        else:
            if warning:
                self._mistakes.warn(f"{warning}, or keep {self._secrets[0]} in a file of its own")

    def _stores(self, available: Mapping[str, IStorePlugin]) -> dict[str, StoreSettings]:
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
            if plugin is None and self._mistakes.are_about("plugins.path"):
                # It may be in a directory that was not searched.
                continue
            if plugin is None:
                self._mistakes.add(f"{key}.plugin", why_lacking(table["plugin"], available, self._left_out))
                continue
            rest = {option: value for option, value in table.items() if option not in REDIRECT_KEYS | {"plugin"}}
            is_read_only = self._take_read_only(key, rest, plugin.options)
            options = self._structure(rest, plugin.options, key)
            redirects = read_redirects(key, table, self._mistakes)
            stores[name] = StoreSettings(plugin, options, *redirects, read_only=is_read_only)
        return stores

    def _take_read_only(self, key: str, table: dict[str, Any], options: type) -> bool:
        """Take `read_only` out of a store's table, unless the plugin has such an option itself; return its value."""
        value = table.get("read_only", False)
        if not isinstance(value, bool):
            self._mistakes.add(f"{key}.read_only", "expected true or false")
        if "read_only" not in attrs.fields_dict(options):
            table.pop("read_only", None)
        return value is True
