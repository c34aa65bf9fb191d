"""The collections and the parts of the daemon that the gallery shows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from was_daemon.assets import Assets
from was_daemon.jobs.trash_versions import TrashVersions
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError
from was_daemon.model.keys import AssetKey
from was_daemon.web.active_requests import ActiveRequests
from was_daemon.web.console.gallery.looking import LookingServer

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.catalogue.finder import Finder
    from was_daemon.catalogue.identities import Identity
    from was_daemon.config.settings import TokensForGet


@attrs.frozen
class Exhibit:
    """An original by the names that clients have for it, which may not be stored; `place` is the name of its store."""

    collection: str
    name: str
    key: AssetKey
    place: str

    @property
    def identity(self) -> "Identity":
        """The original in the catalogue."""
        return self.place, self.key.collection, self.name

    @property
    def fields(self) -> dict[str, str]:
        """The fields of addresses that name it."""
        return {"collection": self.collection, "name": self.name}

    @property
    def public_fields(self) -> dict[str, str]:
        """The fields of addresses that name it as those of `fileget` do."""
        return {"coll": self.collection, "filename": self.name}


@attrs.frozen
class Holdings:
    """The originals under one configuration.

    `names` maps the names of collections to directories: None if any name is one, empty if there are none.
    `directories` fires with those of all collections. `catalogue` and `finder` are None without a catalogue. `looking`
    is what sends pictures. `scale` is that of small thumbnails, `max_scale` the largest. `tokens` says for what reading
    needs a token, and `unknown` what an original is of which nobody says whether it is private. With `has_trash`, what
    clients delete comes into the trash. `active_requests` are waited for before stores are closed.
    """

    assets: Assets
    collections: Collections
    names: Mapping[str, str] | None
    directories: Callable[[], Awaitable[Sequence[str]]]
    catalogue: "Catalogue | None"
    finder: "Finder | None"
    looking: LookingServer
    scale: int
    max_scale: int
    tokens: "TokensForGet"
    unknown: str
    has_trash: bool
    active_requests: ActiveRequests

    @property
    def has_collections(self) -> bool:
        """Whether originals are in collections that have names."""
        return self.names is None or bool(self.names)

    def exhibit(self, collection: str, name: str) -> Exhibit:
        """Return an original by its names; raises `BadName` or `UnknownCollection`."""
        key = self.collections.original(collection or None, name)
        place = self.collections.place(key)
        return Exhibit(collection if self.has_collections else "", name, key, place.name)

    def exhibit_of_row(self, store: str, collection: str, name: str) -> Exhibit | None:
        """Return the original of a row of the catalogue; None if it is in no collection of this configuration."""
        try:
            exhibit = self.exhibit(collection, name)
        except AssetError:
            return None
        # A row of another store or directory is of an earlier configuration, or of a daemon that shares the catalogue.
        return exhibit if (exhibit.place, exhibit.collection) == (store, collection) else None

    def collection_of(self, key: AssetKey) -> str:
        """Return the name of the collection of an asset, its directory where it has no name."""
        named = {directory: name for name, directory in reversed(list((self.names or {}).items()))}
        return named.get(key.collection, key.collection)

    async def trash(self, directory: str | None = None) -> TrashVersions:
        """Fire with the versions in the trash of a collection, or of all."""
        directories = await self.directories() if directory is None else [directory]
        return TrashVersions(self.collections, directories)
