"""Saving of what is known of the visibility of originals, for the time after a restart while the database is down."""

from collections.abc import Mapping
from pathlib import Path

from twisted.logger import Logger

from was_daemon.catalogue.visibility_snapshot import VisibilitySnapshot
from was_daemon.concurrency.disk_threads import DiskThreads
from was_daemon.library.visibility import Entries, Verdict, Visibility
from was_daemon.model.errors import AssetError


class VisibilitySaver:
    """Saving of `visibility` in the file `path`, which is only read unless `writes`."""

    _log = Logger()

    def __init__(self, visibility: Visibility, path: Path, writes: bool) -> None:
        self._visibility = visibility
        self._snapshot = VisibilitySnapshot(path)
        self._writes = writes
        self._saved: Entries | None = None
        self._unsaved: dict[int, Verdict] = {}
        self._is_disk_down = False
        self._threads = DiskThreads(f"visibility {path}", "visibility", size=1)

    def restore(self) -> None:
        """Read what was saved; blocks."""
        try:
            saved = self._snapshot.read()
        except OSError as error:
            self._log.error("What is private was saved, but cannot be read: {error}", error=error)
            return
        if saved:
            self._visibility.replace(saved.key, saved.entries, saved.changes)
            self._saved = saved.entries

    def note(self, changes: Mapping[int, Verdict]) -> None:
        """Note changes that are to be saved."""
        if self._writes:
            self._unsaved |= changes

    async def save(self) -> None:
        """Bring the file up to date; what fails is tried again at the next call."""
        visibility = self._visibility
        try:
            while self._writes and visibility.entries and (self._unsaved or self._saved is not visibility.entries):
                entries, changes, self._unsaved = visibility.entries, self._unsaved, {}
                if self._saved is not entries:
                    changes = dict(visibility.changes)
                self._saved = await self._threads.run(self._write, entries, changes)
            self._is_disk_down = False
        except AssetError as error:
            self._saved = None
            if not self._is_disk_down:
                self._log.error("What is private cannot be saved for the next start: {error}", error=error)
            self._is_disk_down = True

    def _write(self, entries: Entries, changes: Mapping[int, Verdict]) -> Entries | None:
        """Return the entries that are saved, None if they have to be saved again; called in a thread."""
        if self._saved is not entries:
            self._snapshot.write(self._visibility.key, entries)
        return entries if self._snapshot.add(changes) else None

    async def close(self) -> None:
        """End after the write under way."""
        await self._threads.close()
