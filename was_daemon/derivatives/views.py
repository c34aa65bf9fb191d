"""Rendered views that were asked for last: in memory, or if they are large in files of the spool."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import attrs
from zope.interface import implementer

from was_daemon.library.spool import Spool
from was_daemon.model.errors import Overloaded
from was_daemon.model.interfaces import AssetStat, IAssetReader, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.stores.memory_reader import MemoryReader

SMALL = 1 << 18
"""Bytes of a view up to which it is always kept in memory. Many slow clients may be sent as many views at a time."""

MIDDLE = 1 << 20
"""Bytes of a view up to which it is kept in memory while few larger than `SMALL` are being sent: a file takes time."""

_MEMORY = 32 << 20
_DISK = 512 << 20
_MOST_FILES = 64
_MOST_SENT_FROM_MEMORY = 32 << 20
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
class _CountedReader:
    """Reader of a view that calls `closed` when it is closed first."""

    def __init__(self, reader: IAssetReader, closed: Callable[[], None]) -> None:
        self.stat: AssetStat = reader.stat
        self.read = reader.read
        self._reader = reader
        self._closed = closed
        self._is_open = True

    async def close(self) -> None:
        """See `IAssetReader`."""
        if self._is_open:
            self._is_open = False
            self._closed()
            await self._reader.close()


class Views:
    """Views that are kept, up to a size in memory and on the disk."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._in_memory: OrderedDict[ViewName, MemoryReader] = OrderedDict()
        self._large: OrderedDict[ViewName, LargeView] = OrderedDict()
        self._memory_size = self._large_size = 0
        self._sent_from_memory = self._sent = 0

    def get(self, name: ViewName) -> MemoryReader | LargeView | None:
        """Return a view, if it is kept."""
        if name in self._in_memory:
            self._in_memory.move_to_end(name)
            return self._in_memory[name]
        if name in self._large:
            self._large.move_to_end(name)
        return self._large.get(name)

    def fit_into_memory(self, size: int) -> bool:
        """Return whether a view of `size` bytes is to be kept in memory."""
        return size <= SMALL or (size <= MIDDLE and self._sent_from_memory + size <= _MOST_SENT_FROM_MEMORY)

    def add(self, name: ViewName, view: MemoryReader) -> None:
        """Keep a view in memory, and forget those that were not asked for longest."""
        self._in_memory[name] = view
        self._memory_size += view.stat.size
        while self._memory_size > _MEMORY:
            self._memory_size -= self._in_memory.popitem(last=False)[1].stat.size

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
        size = view.stat.size
        if isinstance(view, MemoryReader):
            if size <= SMALL:
                return view
            self._sent_from_memory += size
            return _CountedReader(view, lambda: self._sent_from_memory_ends(size))
        if self._sent + size > _MOST_SENT:
            raise Overloaded("too many large pictures are being sent")
        self._sent += size
        return _CountedReader(self._spool.reader(view.staged, view.stat), lambda: self._sent_ends(size))

    async def close(self) -> None:
        """Remove all files."""
        while self._large:
            self._large.popitem()[1].staged.discard()

    def _sent_from_memory_ends(self, size: int) -> None:
        self._sent_from_memory -= size

    def _sent_ends(self, size: int) -> None:
        self._sent -= size
