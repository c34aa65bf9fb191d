"""Other people's files in, around and behind a store, watched while a daemon and its commands are at work."""

import ctypes
import os
import random
import struct
from pathlib import Path

import attrs

_LIBC = ctypes.CDLL(None, use_errno=True)

_ACCESS, _MODIFY, _ATTRIB, _OPEN = 0x001, 0x002, 0x004, 0x020
_EVENT = struct.Struct("iIII")
"""`struct inotify_event` (inotify(7))."""

_TREES = ("oldsite", "Site/app", "web", "backup/2019")
_DIRECTORIES = (".staging", "thumbnails", "originals/.staging", "thumbnails/.staging", ".daemons", "gallery/thumbnails")
_FILES = (
    "release.tar",
    "0.jpg",
    "holiday_2019.jpg",
    "0123456789abcdef0123456789abcdef",
    "left",
    ".was-upload",
    "7@host-0123456789abcdef0123456789abcdef",
)


@attrs.define
class ForeignFiles:
    """Files and links that are not the daemon's. `unread` are those that it has no reason to open."""

    statuses: dict[Path, tuple[object, ...]] = attrs.field(factory=dict)
    unread: dict[int, Path] = attrs.field(factory=dict)
    _inotify: int = -1

    def put(self, path: Path, content: bytes = b"somebody's", may_be_read: bool = False) -> None:
        """Make a foreign file."""
        if os.path.lexists(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # Old enough for every sweep.
        os.utime(path, (1_000_000_000, 1_000_000_000))
        self.statuses[path] = ()
        if not may_be_read:
            self.unread[len(self.unread)] = path

    def link(self, path: Path, target: Path) -> None:
        """Make a foreign link."""
        if os.path.lexists(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        self.statuses[path] = ()

    def watch(self) -> None:
        """Begin to look at what happens to them."""
        self.statuses = {path: _status(path) for path in self.statuses}
        self._inotify = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watched = {}
        for path in self.unread.values():
            mask = _ACCESS | _MODIFY | _ATTRIB | _OPEN
            watch = _LIBC.inotify_add_watch(self._inotify, os.fsencode(path), mask)
            assert watch > 0, os.strerror(ctypes.get_errno())
            watched[watch] = path
        self.unread = watched

    def check(self) -> None:
        """Assert that none is gone, changed, or was read."""
        try:
            events = os.read(self._inotify, 1 << 16)
        except BlockingIOError:
            events = b""
        touched = set()
        while events:
            watch, _, _, size = _EVENT.unpack_from(events)
            touched.add(str(self.unread[watch]))
            events = events[_EVENT.size + size :]
        assert touched == set()
        assert [path for path, status in self.statuses.items() if not os.path.lexists(path)] == []
        assert [path for path, status in self.statuses.items() if _status(path) != status] == []

    def close(self) -> None:
        """Look no longer."""
        if self._inotify >= 0:
            os.close(self._inotify)


def surround(store: Path, spool: Path, seed: str) -> ForeignFiles:
    """Put a random tree of foreign files and links into and around a store's directory and the spool."""
    chance = random.Random(seed)
    foreign = ForeignFiles()
    victim = store.parent / "victim"
    for name in _FILES:
        foreign.put(victim / name)
        foreign.put(victim / "thumbnails" / name)
        foreign.put(victim / ".staging" / name)
        foreign.put(spool / "originals" / name)
        foreign.put(spool / "copies" / name)
        foreign.put(spool / "copies-7" / name)
        foreign.put(spool / ".staging" / name)
    foreign.put(victim / "named by mistake", may_be_read=True)
    for tree in _TREES:
        for directory in _DIRECTORIES:
            for name in chance.sample(_FILES, 3):
                # In the thumbnails of a directory that may be a collection, a mark tells what is whose.
                is_like_a_thumbnail = directory == "thumbnails" and name == "holiday_2019.jpg"
                foreign.put(store / tree / directory / name, may_be_read=is_like_a_thumbnail)
    for directory in (".staging", "originals/.staging", "thumbnails/.staging", ".daemons"):
        if chance.random() < 0.3:
            foreign.link(store / directory, victim)
            continue
        for name in chance.sample(_FILES, 4):
            foreign.put(store / directory / name)
    foreign.put(store / "thumbnails" / "notes.txt")
    foreign.put(store / "thumbnails" / "0.jpg")
    foreign.put(store / "thumbnails" / "holiday_2019.jpg", may_be_read=True)
    foreign.put(store / "originals" / "in" / "side" / "0.jpg")
    for link, target in {
        "loop": Path(),
        "round": Path(),
        "site": victim,
        "project": store.parent,
        "Site/again": store,
        "originals/away": victim,
        "thumbnails/a_50.jpg": victim / "0.jpg",
        "thumbnails/away": victim,
    }.items():
        if chance.random() < 0.7:
            foreign.link(store / link, target or Path())
    return foreign


def _status(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    is_link = path.is_symlink()
    return (
        status.st_ino,
        status.st_mode,
        status.st_uid,
        status.st_mtime_ns,
        path.readlink() if is_link else status.st_size,
    )
