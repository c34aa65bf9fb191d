"""Mounted file systems, from /proc/self/mountinfo and /etc/fstab; see proc_pid_mountinfo(5) and fstab(5)."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

MOUNTINFO = Path("/proc/self/mountinfo")
FSTAB = Path("/etc/fstab")

_OCTAL = re.compile(r"\\([0-7]{3})")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "davfs"}
)
_NETWORK_PREFIXES = ("fuse.sshfs", "fuse.glusterfs", "fuse.davfs", "fuse.s3fs", "fuse.rclone", "fuse.ceph")
_MEMORY = frozenset({"tmpfs", "ramfs"})
_CASELESS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "cifs", "smb3", "smbfs", "hfsplus", "fuseblk"})


@attrs.frozen
class Mount:
    """File system that is mounted at `place`."""

    place: Path
    kind: str
    source: str
    is_read_only: bool

    @property
    def is_network(self) -> bool:
        """Whether the files are on another machine."""
        return self.kind in _NETWORK or self.kind.startswith(_NETWORK_PREFIXES)

    @property
    def is_memory(self) -> bool:
        """Whether the files are gone when the machine stops."""
        return self.kind in _MEMORY

    @property
    def ignores_case(self) -> bool:
        """Whether names that differ in case only are the same file, as is usual for this kind."""
        return self.kind in _CASELESS


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def parse_mounts(text: str) -> list[Mount]:
    """Return the mounts in the form of /proc/self/mountinfo; later ones hide earlier ones."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if separator and len(fields) > 5 and len(described) > 2:
            options = {*fields[5].split(","), *described[2].split(",")}
            place, source = Path(_unescaped(fields[4])), _unescaped(described[1])
            found.append(Mount(place, described[0], source, "ro" in options))
    return found


def parse_fstab(text: str) -> list[Path]:
    """Return the directories on which file systems are to be mounted."""
    lines = (line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return [Path(_unescaped(fields[1])) for fields in lines if len(fields) > 2 and fields[1].startswith("/")]


def mount_of(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount that has `path`, or will have it; None if that is not known."""
    real = Path(os.path.realpath(path))
    on_the_way = [each for each in mounts if real.is_relative_to(each.place)]
    # The longest place counts, and of several mounts at one place the last.
    return max(enumerate(on_the_way), key=lambda item: (len(item[1].place.parts), item[0]))[1] if on_the_way else None


def mounts() -> list[Mount]:
    """Return what is mounted; nothing if this machine does not tell."""
    with suppress(OSError):
        return parse_mounts(MOUNTINFO.read_text("utf-8", "surrogateescape"))
    return []


def unmounted(path: Path, known: Sequence[Mount]) -> Path | None:
    """Return the directory above `path`, or `path`, on which /etc/fstab wants something that is not mounted."""
    with suppress(OSError):
        places = {each.place for each in known}
        for place in parse_fstab(FSTAB.read_text("utf-8", "surrogateescape")):
            if place not in places and place != Path("/") and Path(os.path.realpath(path)).is_relative_to(place):
                return place
    return None
