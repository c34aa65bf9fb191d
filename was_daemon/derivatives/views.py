"""Rendered views that were asked for last: small ones in memory, large ones in files of the spool."""

from collections import OrderedDict
from typing import TypeAlias

import attrs
from zope.interface import implementer

from was_daemon.library.spool import Spool
from was_daemon.model.errors import Overloaded
from was_daemon.model.interfaces import AssetStat, IAssetReader, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.stores.local.file_reader import FileReader
from was_daemon.stores.memory_reader import MemoryReader

SMALL = 1 << 18
"""Bytes of a view up to which it is kept in memory. Many slow clients may be sent as many views at a time."""

_MEMORY = 32 << 20
_DISK = 512 << 20
_MOST_FILES = 64
_MOST_SENT = 2 << 30
"""Bytes of large views that are being sent; a slow client keeps the space of a file that is kept no longer."""

ViewName: TypeAlias = tuple[AssetKey, str, str]
"""A pyramid's key and version, and the name of a view of it."""


@attrs.frozen
class LargeView:
    """A view in a file of the spool."""

    staged: IStagingFile
    stat: AssetStat


@implementer(IAssetReader)
class _LargeReader:
    """Reader of a large view, which tells `views` when it is closed."""

    def __init__(self, views: "Views", reader: FileReader) -> None:
        self.stat = reader.stat
        self.read = reader.read
        self._reader = reader
        self._views = views
        self._is_open = True

    async def close(self) -> None:
        """See `IAssetReader`."""
        if self._is_open:
            self._is_open = False
            self._views.sent(self.stat.size)
            await self._reader.close()


class Views:
    """Views that are kept, up to a size in memory and on the disk."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._small: OrderedDict[ViewName, MemoryReader] = OrderedDict()
        self._large: OrderedDict[ViewName, LargeView] = OrderedDict()
        self._small_size = self._large_size = 0
        self._sent = 0

    def get(self, name: ViewName) -> MemoryReader | LargeView | None:
        """Return a view, if it is kept."""
        if name in self._small:
            self._small.move_to_end(name)
            return self._small[name]
        if name in self._large:
            self._large.move_to_end(name)
        return self._large.get(name)

    def add_small(self, name: ViewName, view: MemoryReader) -> None:
        """Keep a view in memory, and forget those that were not asked for longest."""
        self._small[name] = view
        self._small_size += view.stat.size
        while self._small_size > _MEMORY:
            self._small_size -= self._small.popitem(last=False)[1].stat.size

    def add_large(self, name: ViewName, staged: IStagingFile, version: AssetStat) -> LargeView:
        """Keep a view that is in a file of the spool, and remove those that were not asked for longest."""
        self._large[name] = view = LargeView(staged, version)
        self._large_size += version.size
        while self._large_size > _DISK or len(self._large) > _MOST_FILES:
            _, oldest = self._large.popitem(last=False)
            self._large_size -= oldest.stat.size
            oldest.staged.discard()
        return view

    def open(self, view: MemoryReader | LargeView) -> IAssetReader:
        """Open a view at once, while it is kept; raises `Overloaded` when too much of large ones is being sent."""
        if isinstance(view, MemoryReader):
            return view
        if self._sent + view.stat.size > _MOST_SENT:
            raise Overloaded("too many large pictures are being sent")
        self._sent += view.stat.size
        return _LargeReader(self, self._spool.reader(view.staged, view.stat))

    async def close(self) -> None:
        """Remove all files."""
        while self._large:
            self._large.popitem()[1].staged.discard()

    def sent(self, size: int) -> None:
        """Note that a large view is no longer being sent."""
        self._sent -= size
