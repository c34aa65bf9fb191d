"""The sections `[specify.NAME]`: the databases of Specify that the daemon reads."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from was_daemon.config.catalogue_settings import CatalogueSettings, lacks_catalogue
from was_daemon.config.settings import CollectionsSettings, SpecifySettings
from was_daemon.config.structure import Mistakes
from was_daemon.model.errors import BadName
from was_daemon.model.keys import check_directory, check_name

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_specify(
    tables: Any, structure: Callable[[Any, type, str], Any], mistakes: Mistakes
) -> dict[str, SpecifySettings]:
    """Return the settings of the databases by name; `structure` makes them of a table, a class and a key."""
    if not isinstance(tables, dict):
        mistakes.add("specify", "expected tables [specify.NAME]")
        return {}
    found: dict[str, SpecifySettings] = {}
    for name, table in tables.items():
        key = f"specify.{name}"
        if not _NAME.fullmatch(name):
            mistakes.add(key, "a name has at most 64 letters of ASCII, digits, - and _")
        # MariaDB, which may hold the catalogue, takes such names for equal.
        elif name.lower() in (other.lower() for other in found):
            mistakes.add(key, "another database has this name, in other letters")
        elif settings := structure(table, SpecifySettings, key):
            found[name] = settings
    return found


def check_specify(
    databases: Mapping[str, SpecifySettings],
    collections: CollectionsSettings,
    catalogue: CatalogueSettings,
    mistakes: Mistakes,
) -> None:
    """Check that there is a catalogue, and that the attachments of each database are in a collection."""
    if databases and lacks_catalogue(catalogue, mistakes):
        mistakes.add("specify", "needs [catalogue], which keeps what Specify's databases say: set path there")
    for name, settings in databases.items():
        if settings.password_file and not settings.url and not mistakes.are_about(f"specify.{name}.url"):
            mistakes.add(f"specify.{name}.password_file", "is used only with url")
        problem = _problem_of_collection(settings.coll, collections)
        if problem:
            mistakes.add(f"specify.{name}.coll", problem)


def _problem_of_collection(coll: str | None, collections: CollectionsSettings) -> str | None:
    if collections.mode == "single":
        return None
    if coll is None:
        return "is missing: the collection that Specify's attachments are in"
    if collections.mode == "map":
        return None if coll in collections.map else f'no collection is called "{coll}"'
    try:
        check_directory(check_name(coll))
    except BadName as error:
        return str(error)
    return None
