"""Attachment keys, from the configuration or from files that it names."""

import os
from collections.abc import Mapping
from typing import Any

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.settings import CollectionSettings, CollectionsSettings, ServerSettings
from was_daemon.config.structure import Mistakes
from was_daemon.config.weak_keys import GOOD_KEY_COMMAND, advice, weakness

_KEYS = frozenset({"key", "key_file"})


@attrs.frozen
class KeyReader:
    """Reader of the attachment keys in the tables of `document`; adds what is wrong with them to `mistakes`."""

    _document: Mapping[str, Any]
    _environ: Mapping[str, str]
    _mistakes: Mistakes

    def of_collections(self, settings: CollectionsSettings) -> CollectionsSettings:
        """Return the settings with the keys of the collections that have their own."""
        named = {name: self._of_collection(name, each) for name, each in settings.map.items()}
        return attrs.evolve(settings, map=named)

    def _of_collection(self, name: str, settings: CollectionSettings) -> CollectionSettings:
        table = f"collections.map.{name}"
        key, _ = self._read_table(table, settings)
        if key == "" and settings.key_file:
            self._mistakes.add(f"{table}.key_file", f"{settings.key_file}: is empty")
        elif key == "":
            self._mistakes.add(f"{table}.key", "is empty")
        return attrs.evolve(settings, key=key or None)

    def of_server(self, settings: ServerSettings, collections: CollectionsSettings) -> tuple[str | None, str]:
        """Return the server's key, or None, and a description of where it is; add a mistake if a key is needed."""
        key, source = self._read_table("server", settings)
        if key is None and not self._has_key("server"):
            key, source = self._environ.get("ATTACHMENT_KEY"), "in $ATTACHMENT_KEY"
            self._check("server.key", "the one in $ATTACHMENT_KEY", key or "")
        if key:
            return key, source
        if key is None and self._has_key("server"):
            # The mistake in it was reported already.
            return None, source
        if settings.insecure_no_key:
            return None, "not set: anybody may write and delete"
        if collections.map and all(self._has_key("collections", "map", name) for name in collections.map):
            return None, "each collection's own"
        if settings.key_file:
            self._mistakes.add("server.key_file", f"{settings.key_file}: is empty")
            return None, source
        self._mistakes.add(
            "server.key",
            f"is missing or empty: set key, key_file or $ATTACHMENT_KEY; `{GOOD_KEY_COMMAND}` prints a good one",
        )
        return None, source

    def _has_key(self, *names: str) -> bool:
        """Return whether the table at these names sets a key; True also for a value that is no table by mistake."""
        table: Any = self._document
        for name in names:
            table = table.get(name, {}) if isinstance(table, dict) else table
        return not isinstance(table, dict) or bool(table.keys() & _KEYS)

    def _read_table(self, table: str, settings: ServerSettings | CollectionSettings) -> tuple[str | None, str]:
        """Return the key that a table sets, None without one that can be read, and a description of where it is."""
        if settings.key is not None and settings.key_file is not None:
            self._mistakes.add(f"{table}.key", f"and {table}.key_file exclude each other")
        if settings.key_file is not None:
            key, source, setting = self._read_file(table, settings.key_file), f"in {settings.key_file}", "key_file"
        else:
            key, source, setting = settings.key, "in the configuration", "key"
        self._check(f"{table}.{setting}", "the key", key or "")
        return key, source

    def _check(self, setting: str, subject: str, key: str) -> None:
        """Add a mistake for a key that is not valid UTF-8 or easy to guess; an empty one is left to the caller."""
        try:
            key.encode()
        except UnicodeEncodeError:
            self._mistakes.add(setting, f"{subject} is not valid UTF-8")
        found = weakness(key) if key else None
        if found:
            self._mistakes.weak_keys.append(f"{setting}: {advice(subject, found)}")

    def _read_file(self, table: str, path: SecretFile) -> str | None:
        try:
            return path.text().strip()
        except OSError as error:
            self._mistakes.add(f"{table}.key_file", f"{path}: {os.strerror(error.errno or 0).lower()}")
        except UnicodeDecodeError:
            self._mistakes.add(f"{table}.key_file", f"{path}: not a text")
        return None
