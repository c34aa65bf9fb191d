"""The readers of Specify's databases that settings describe."""

from functools import partial
from typing import TYPE_CHECKING

from was_daemon.config.process_share import ProcessShare
from was_daemon.config.settings import Settings, SpecifySettings
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.library.collections import Collections

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.specify.reader import SpecifyReader
    from was_daemon.specify.records import Source


def specify_readers(
    settings: Settings,
    collections: Collections,
    catalogue: "Catalogue | None",
    process: ProcessShare,
    parts: ReusableParts,
) -> "dict[str, SpecifyReader]":
    """Return the readers by the names of their sections; the first of several processes has them."""
    chosen = {name: each for name, each in settings.specify.items() if each.url}
    if not chosen or not catalogue or not process.is_first:
        return {}
    # SQLAlchemy takes time and memory, which a daemon without a catalogue is not to pay for.
    from was_daemon.specify.reader import SpecifyReader

    readers = {}
    for name, each in chosen.items():
        source = source_of(name, each, collections)
        build = partial(SpecifyReader, source, each, catalogue.database)
        readers[name] = parts.take(f"specify {name}", (source, each, catalogue), build)
    return readers


def source_of(name: str, settings: SpecifySettings, collections: Collections) -> "Source":
    """Return where the attachments of a database of Specify are, which the settings have been checked for."""
    from was_daemon.specify.records import Source

    key = collections.original(settings.coll, "any")
    return Source(name, collections.place(key).name, key.collection)
