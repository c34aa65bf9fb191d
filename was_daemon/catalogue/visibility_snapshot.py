"""Copy of what is known of the visibility of originals, in a file on a local disk.

With it, a daemon that starts while the database is down knows what was known last. The file has a beginning, the sorted
hashes of all originals, and after these the changes since it was written, which are added one by one:

    13 bytes  "was-visible1\\n"
    16 bytes  key of the hashes
     8 bytes  number of hashes, little-endian
    16 bytes  BLAKE2 of the three above and of the hashes
     8 bytes  for each hash, in the order of the machine
    16 bytes  for each change: its hash, and 1 (nothing is known), 2 (public) or 3 (private), little-endian

A killed process or a power cut leaves the file before or the new one; a change that was not written whole is not read.
"""

import os
import struct
from array import array
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import attrs

from was_daemon.library.visibility import KEY_BYTES, Entries, Verdict

_MAGIC = b"was-visible1\n"
_HEAD = struct.Struct(f"<{KEY_BYTES}sQ")
_DIGEST_BYTES = 16
_CHANGE = struct.Struct("<QQ")
_CODES: dict[Verdict, int] = {None: 1, False: 2, True: 3}
_VERDICTS = {code: verdict for verdict, code in _CODES.items()}


@attrs.frozen
class SavedVisibility:
    """Content of a snapshot."""

    key: bytes = attrs.field(repr=False)
    entries: Entries
    changes: Mapping[int, Verdict]


class VisibilitySnapshot:
    """The snapshot in the file `path`. The methods block, and raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        """Device and inode of the file that changes can be added to."""

    def read(self) -> SavedVisibility | None:
        """Return what was saved; None if there is no file, or a damaged one."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            found = _parse(file)
            if found:
                self._identity = _identity(file.fileno())
            return found

    def write(self, key: bytes, entries: Entries) -> None:
        """Save `entries`, durably, in place of what was saved before."""
        head = _HEAD.pack(key, len(entries.hashes))
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.new")
        # What a killed process left; a file that somebody else may read is not written to.
        with suppress(FileNotFoundError):
            draft.unlink()
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_MAGIC + head + _digest(head, entries.hashes))
            entries.hashes.tofile(file)
            file.flush()
            os.fsync(fd)
            self._identity = _identity(fd)
        draft.replace(self.path)
        _sync_directory(self.path.parent)

    def add(self, changes: Mapping[int, Verdict]) -> bool:
        """Save changes, durably; return False if the file is another one by now, which has to be written anew."""
        with suppress(FileNotFoundError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                if _identity(fd) != self._identity:
                    return False
                data = b"".join(_CHANGE.pack(hashed, _CODES[verdict]) for hashed, verdict in changes.items())
                if os.write(fd, data) != len(data):
                    # The next change would not begin where it has to.
                    self._identity = None
                    return False
                os.fsync(fd)
                return True
            finally:
                os.close(fd)
        return False


def _parse(file: BinaryIO) -> SavedVisibility | None:
    if file.read(len(_MAGIC)) != _MAGIC:
        return None
    head, digest = file.read(_HEAD.size), file.read(_DIGEST_BYTES)
    if len(head) < _HEAD.size:
        return None
    key, count = _HEAD.unpack(head)
    hashes = array("Q")
    if count * hashes.itemsize > os.fstat(file.fileno()).st_size - file.tell():
        return None
    hashes.fromfile(file, count)
    if digest != _digest(head, hashes):
        return None
    changes = {}
    while len(data := file.read(_CHANGE.size)) == _CHANGE.size:
        hashed, code = _CHANGE.unpack(data)
        if code not in _VERDICTS:
            break
        changes[hashed] = _VERDICTS[code]
    return SavedVisibility(key, Entries(hashes, sum(each & 1 for each in hashes)), changes)


def _digest(head: bytes, hashes: "array[int]") -> bytes:
    digest = blake2b(_MAGIC + head, digest_size=_DIGEST_BYTES)
    digest.update(hashes)
    return digest.digest()


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
