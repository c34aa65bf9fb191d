"""Collections, the places they live in, and the originals found there (contract, section 4)."""

from collections.abc import Iterator, Mapping

import attrs

from was_daemon.model.composition import stores_in, written_part
from was_daemon.model.errors import AssetNotFound, BadName, UnknownCollection
from was_daemon.model.interfaces import AssetStat, IAssetStore, ILocalFiles, IPreviews, IThumbnails
from was_daemon.model.keys import AssetKey, Kind, check_directory, check_name


@attrs.frozen
class Place:
    """A collection's directory in a store, and the store of its derivatives.

    `name` is the store's name in the configuration.
    """

    directory: str
    store: IAssetStore
    thumbnails: IAssetStore
    name: str = ""

    @property
    def makes_thumbnails(self) -> bool:
        """Whether the store makes the thumbnails itself."""
        return self.thumbnails is self.store and bool(IThumbnails.providedBy(self.store))

    @property
    def has_pictures(self) -> bool:
        """Whether the store is asked for a thumbnail before one is made."""
        return self.makes_thumbnails or bool(IPreviews.providedBy(self.store))

    def kinds_in(self, store: IAssetStore | ILocalFiles) -> list[Kind]:
        """Return the kinds of assets of the collection that are written to `store`."""
        originals = [Kind.ORIGINAL] if store in (self.store, written_part(self.store)) else []
        derivatives = [Kind.THUMBNAIL, Kind.PYRAMID] if store is self.thumbnails and not self.makes_thumbnails else []
        return originals + derivatives


@attrs.frozen
class Original:
    """One version of a stored original: its place, its key, and what the store told of it."""

    place: Place
    key: AssetKey
    stat: AssetStat

    async def is_replaced(self) -> bool:
        """Fire with whether another version is stored by now; raises `AssetNotFound` when none is."""
        return (await self.place.store.stat(self.key)).etag != self.stat.etag

    async def is_current(self) -> bool:
        """Fire with whether this version is still the stored one."""
        try:
            return not await self.is_replaced()
        except AssetNotFound:
            return False


class Collections:
    """The collections of this server.

    `named` maps the names that clients send to places. Without `named`, `default` is the place of everything; with
    `auto`, every acceptable name is a directory of its own in it.
    """

    def __init__(self, default: Place, named: Mapping[str, Place] | None = None, auto: bool = False) -> None:
        self.default = default
        self._named = named
        self._auto = auto
        self._by_directory = {place.directory: place for place in (named or {}).values()}

    def original(self, collection: str | None, name: str) -> AssetKey:
        """Return the key of an original from the names that a client gives; raises `BadName` or `UnknownCollection`."""
        return AssetKey(self._directory(collection), Kind.ORIGINAL, name)

    def home(self, collection: str | None) -> tuple[str, str]:
        """Return the name of the store and the directory of a collection; raises `UnknownCollection`."""
        directory = self._directory(collection)
        place = self.default if self._named is None else self._by_directory[directory]
        return place.name, directory

    def _directory(self, collection: str | None) -> str:
        if self._named is None and not self._auto:
            return ""
        if not collection:
            raise UnknownCollection("the collection is missing")
        if self._named is None:
            try:
                return check_directory(check_name(collection))
            except BadName:
                raise UnknownCollection("no such collection") from None
        if collection not in self._named:
            raise UnknownCollection("no such collection")
        return self._named[collection].directory

    def places(self) -> list[Place]:
        """Return the places of all collections that are named, or that of everything without them."""
        return [self.default] if self._named is None else [*self._by_directory.values()]

    def local_derivative_stores(self) -> list[ILocalFiles]:
        """Return the stores that hold derivatives on this machine's disks."""
        stores = dict.fromkeys(place.thumbnails for place in (self.default, *self._by_directory.values()))
        return [ILocalFiles(store) for store in stores if ILocalFiles.providedBy(store)]

    def directories(self, store: IAssetStore | ILocalFiles) -> Iterator[str]:
        """Yield the directories of the collections with originals or derivatives in a store, or in one made of it.

        Blocks: call and iterate it in a thread of the store. With `auto`, which names no collections, yield the
        directories in the store that are no links.
        """
        if self._auto:
            local = [ILocalFiles(each) for each in stores_in(IAssetStore(store)) if ILocalFiles.providedBy(each)]
            yield from dict.fromkeys(directory for files in local for directory in files.collections())
            return
        for place in [self.default] if self._named is None else self._by_directory.values():
            if any(store is each for kept in (place.store, place.thumbnails) for each in stores_in(kept)):
                yield place.directory

    def place_in(self, directory: str) -> Place:
        """Return the place of the collection in a directory; raises `UnknownCollection`."""
        return self.place(AssetKey(directory, Kind.ORIGINAL, "any"))

    def place(self, key: AssetKey) -> Place:
        """Return the place of an asset; raises `UnknownCollection`."""
        if self._named is None:
            if bool(key.collection) != self._auto:
                raise UnknownCollection("no such collection")
            return self.default
        try:
            return self._by_directory[key.collection]
        except KeyError:
            raise UnknownCollection("no such collection") from None

    async def find(self, key: AssetKey) -> Original:
        """Look up an original; raises `AssetNotFound`, and what the store raises."""
        place = self.place(key)
        return Original(place, key, await place.store.stat(key))
