"""Directory tree of a filesystem store. Everything here blocks.

Below `originals` and `thumbnails` no link is followed.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from was_daemon.model.errors import AssetExists, BadName, CannotMove, StoreUnavailable
from was_daemon.model.interfaces import IStagingFile
from was_daemon.model.keys import AssetKey, Kind, Layout, check_directory
from was_daemon.stores.local.directories import Entry, entries_of, make_directory, opened_below
from was_daemon.stores.local.file_reader import file_stat
from was_daemon.stores.local.replacing import NO_LINKS, rename_to_new
from was_daemon.stores.local.root_identity import RootIdentity

_SHARDED_BY = 4
"""Number of characters of a name that determine its directory."""

_SHARD_SIZE = 2
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.ELOOP})


class OtherDeviceError(Exception):
    """Attempt to rename a staging file to another file system."""


class FileTree:
    """Files of assets below the directory `root`, as long as `identity` finds that it is still the same."""

    def __init__(self, root: Path, layout: Layout, identity: RootIdentity) -> None:
        self.root = root
        self._layout = layout
        self._identity = identity

    def path(self, key: AssetKey) -> Path:
        """Return the path of the file of `key`."""
        return self.root / self._layout.path(key)

    def base(self, key: AssetKey) -> Path:
        """Return the directory of all assets of the collection and kind of `key`, which may be a link."""
        return self.root / key.collection / key.kind.value

    def split_path(self, key: AssetKey) -> tuple[str, str]:
        """Return the base of `key` as text, and the path of its file from there."""
        beginning = f"{key.collection}/{key.kind.value}" if key.collection else key.kind.value
        return f"{self.root}/{beginning}", self._layout.path(key)[len(beginning) + 1 :]

    def bases(self, collections: Iterable[str]) -> Sequence[Path]:
        """Return the directories of originals and of thumbnails in these collections."""
        return [self.root / collection / kind.value for collection in collections for kind in Kind]

    @contextmanager
    def directory(self, key: AssetKey) -> Iterator[int]:
        """Open the directory of the file of `key`, and yield its descriptor."""
        base = self.base(key)
        self._identity.verify(base)
        with opened_below(base, self._layout.directories(key.name)) as directory:
            yield directory

    def status(self, key: AssetKey) -> os.stat_result:
        """Return the status of the file of `key`, of a link the link's own."""
        with self.directory(key) as directory:
            return Entry(directory, key.name).lstat()

    def open(self, key: AssetKey) -> int:
        """Open the file of `key` for reading; return its descriptor."""
        with self.directory(key) as directory:
            return Entry(directory, key.name).open(os.O_RDONLY)

    def delete(self, key: AssetKey) -> None:
        """Remove the file of `key`, durably. Raises `AssetNotFound` when it is no regular file."""
        with self.directory(key) as directory:
            entry = Entry(directory, key.name)
            # A link or a pipe belongs to somebody, but is no asset.
            file_stat(entry.lstat())
            entry.unlink()
            os.fsync(directory)

    def move(self, source: AssetKey, target: AssetKey, replace: bool) -> None:
        """Rename the file of `source` to that of `target`, durably. Raises as `IMoves.move`."""
        with self._both(source, target) as (entry, moved):
            try:
                if replace:
                    entry.rename(moved)
                else:
                    rename_to_new(entry, moved)
            except FileExistsError:
                raise AssetExists("an asset of this name exists") from None
            os.fsync(moved.directory)
            os.fsync(entry.directory)

    def link(self, source: AssetKey, target: AssetKey) -> None:
        """Give the file of `source` the further name of `target`, durably. Raises as `IMoves.copy`."""
        with self._both(source, target) as (entry, linked):
            try:
                entry.link(linked)
            except OSError as error:
                if error.errno in NO_LINKS:
                    raise CannotMove("the file system has no further names for files") from error
                raise
            os.fsync(linked.directory)

    @contextmanager
    def _both(self, source: AssetKey, target: AssetKey) -> Iterator[tuple[Entry, Entry]]:
        """Yield the entry of the file of `source`, and that of the file of `target`, whose directory is made.

        Raises `AssetNotFound`, and `CannotMove` when they are on different file systems.
        """
        base = self.base(target)
        self._identity.verify(base)
        with self.directory(source) as here:
            entry = Entry(here, source.name)
            file_stat(entry.lstat())
            make_directory(base)
            with opened_below(base, self._layout.directories(target.name), create=True) as there:
                try:
                    yield entry, Entry(there, target.name)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        raise CannotMove("the file is on another file system") from error
                    raise

    def prepare_upload(self, near: AssetKey | None) -> Path:
        """Return the directory in which an upload of `near`, or of an unknown key, is to be staged."""
        self._identity.prepare()
        base = self.base(near) if near else self.root
        self._identity.verify(base)
        return base

    def publish(self, staged: IStagingFile, key: AssetKey, replace: bool) -> os.stat_result:
        """Make a staging file the file of `key`; raises `OtherDeviceError`, and `AssetExists` without `replace`."""
        base = self.base(key)
        self._identity.verify(base)
        try:
            make_directory(base)
            with opened_below(base, self._layout.directories(key.name), create=True) as directory:
                return staged.publish(directory, key.name, replace)
        except FileExistsError:
            raise AssetExists("an asset of this name exists") from None
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise OtherDeviceError from error
            if is_in_the_way(error):
                raise StoreUnavailable("a link or a file in the store is in the way of the asset") from error
            raise

    def entries(self, collection: str, kind: Kind, prefix: str = "") -> Iterator[os.DirEntry[str]]:
        """Yield the files of one kind in one collection whose names start with `prefix`.

        A file in another directory than the layout says is no asset.
        """
        base = self.root / collection / kind.value
        self._identity.verify(base)
        for directories in self._shards(base, prefix):
            with suppress(FileNotFoundError, NotADirectoryError), opened_below(base, directories) as directory:
                for entry in entries_of(directory):
                    is_visible = entry.name.startswith(prefix) and not entry.name.startswith(".")
                    is_here = is_visible and self._layout.directories(entry.name) == directories
                    if is_here and entry.is_file(follow_symlinks=False):
                        yield entry

    def _shards(self, base: Path, prefix: str) -> Iterator[Sequence[str]]:
        """Yield the directories below `base` with assets whose names start with `prefix`."""
        if self._layout is Layout.FLAT or len(prefix) >= _SHARDED_BY:
            yield self._layout.directories(prefix)
            return
        for first in _shards_in(base):
            for second in _shards_in(base, first):
                yield [first, second]

    def collections(self) -> Iterator[str]:
        """Yield the collections right below the root that are no links."""
        with suppress(FileNotFoundError, NotADirectoryError), opened_below(self.root) as root:
            for entry in entries_of(root):
                if entry.is_dir(follow_symlinks=False):
                    with suppress(BadName):
                        yield check_directory(entry.name)


def is_in_the_way(error: OSError) -> bool:
    """Return whether the error means that a link or a file is where a directory has to be, or the other way round."""
    return error.errno in _IN_THE_WAY


def _shards_in(base: Path, *names: str) -> Iterator[str]:
    """Yield the names of directories that the sharded layout may have made, none of them a link."""
    with suppress(FileNotFoundError, NotADirectoryError), opened_below(base, names) as directory:
        for entry in entries_of(directory):
            if len(entry.name) == _SHARD_SIZE and entry.is_dir(follow_symlinks=False):
                yield entry.name
