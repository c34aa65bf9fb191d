"""The attachment keys of a configuration, in it or in files that it names."""

import os
from collections.abc import Mapping
from typing import Any

import attrs

from was_daemon.config.secret_files import SecretFile, SecretFiles
from was_daemon.config.settings import CollectionSettings, CollectionsSettings, ServerSettings
from was_daemon.config.structure import Mistakes
from was_daemon.config.weak_keys import advice, weakness

_KEYS = frozenset({"key", "key_file"})


@attrs.frozen
class KeyReader:
    """Reads the keys that the tables of `document` tell of; adds what is wrong with them to `mistakes`."""

    _document: Mapping[str, Any]
    _environ: Mapping[str, str]
    _mistakes: Mistakes
    _files: SecretFiles

    def of_collections(self, settings: CollectionsSettings) -> CollectionsSettings:
        """The settings with the keys of the collections that have their own."""
        named = {name: self._of_collection(name, each) for name, each in settings.map.items()}
        return attrs.evolve(settings, map=named)

    def _of_collection(self, name: str, settings: CollectionSettings) -> CollectionSettings:
        table = f"collections.map.{name}"
        key, _ = self._given(table, settings)
        if key == "":
            self._mistakes.add(f"{table}.key", "is empty")
        return attrs.evolve(settings, key=key or None)

    def of_server(self, settings: ServerSettings, collections: CollectionsSettings) -> tuple[str | None, str]:
        """The server's key, and where it is; None when there is none, and none is needed."""
        key, source = self._given("server", settings)
        if key is None and not self._has_key("server"):
            key, source = self._environ.get("ATTACHMENT_KEY"), "in $ATTACHMENT_KEY"
            self._check("server.key", "the one in $ATTACHMENT_KEY", key or "")
        if key:
            return key, source
        if key is None and self._has_key("server"):
            # What is wrong with it was reported already.
            return None, source
        if settings.insecure_no_key:
            return None, "not set: anybody may write and delete"
        if collections.map and all(self._has_key("collections", "map", name) for name in collections.map):
            return None, "each collection's own"
        self._mistakes.add("server.key", "is missing or empty: set key, key_file or $ATTACHMENT_KEY")
        return None, source

    def _has_key(self, *names: str) -> bool:
        """Whether a table, found by its names, tells of a key, or is none and may have been meant to."""
        table: Any = self._document
        for name in names:
            table = table.get(name, {}) if isinstance(table, dict) else table
        return not isinstance(table, dict) or bool(table.keys() & _KEYS)

    def _given(self, table: str, settings: ServerSettings | CollectionSettings) -> tuple[str | None, str]:
        """The key that a table tells of, and where it is; None without one that can be read."""
        if settings.key is not None and settings.key_file is not None:
            self._mistakes.add(f"{table}.key", f"and {table}.key_file exclude each other")
        if settings.key_file is not None:
            key, source, setting = self._read(table, settings.key_file), f"in {settings.key_file}", "key_file"
        else:
            key, source, setting = settings.key, "in the configuration", "key"
        self._check(f"{table}.{setting}", "the key", key or "")
        return key, source

    def _check(self, setting: str, what: str, key: str) -> None:
        """Note a key that is no text or easy to guess; whether an empty one is wrong, the caller knows."""
        try:
            key.encode()
        except UnicodeEncodeError:
            self._mistakes.add(setting, f"{what} is not valid UTF-8")
        found = weakness(key) if key else None
        if found:
            self._mistakes.weak_keys.append(f"{setting}: {advice(what, found)}")

    def _read(self, table: str, path: SecretFile) -> str | None:
        try:
            return self._files.read(path).strip()
        except OSError as error:
            self._mistakes.add(f"{table}.key_file", f"{path}: {os.strerror(error.errno or 0).lower()}")
        except UnicodeDecodeError:
            self._mistakes.add(f"{table}.key_file", f"{path}: not a text")
        return None
