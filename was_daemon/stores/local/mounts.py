"""Mounted file systems, from /proc/self/mountinfo and /etc/fstab; see proc_pid_mountinfo(5) and fstab(5)."""

import os
import re
import shlex
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from was_daemon.model.places import Place

MOUNTINFO = Path("/proc/self/mountinfo")
FSTAB = Path("/etc/fstab")

_MOST_LINKS = 40
"""Links that are followed on the way to a directory, as many as Linux does."""

_OCTAL = re.compile(r"\\([0-7]{3})")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "davfs"}
)
_NETWORK_PREFIXES = ("fuse.sshfs", "fuse.glusterfs", "fuse.davfs", "fuse.s3fs", "fuse.rclone", "fuse.ceph")
_MEMORY = frozenset({"tmpfs", "ramfs"})
_CASELESS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "cifs", "smb3", "smbfs", "hfsplus", "fuseblk"})


@attrs.frozen
class Mount:
    """File system that is mounted at `place`; its directory `root` is what is seen there.

    `device` is its number, which mounts of the same file system have in common.
    """

    place: Path
    kind: str
    source: str
    is_read_only: bool
    device: str = ""
    root: Path = Path("/")

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
            root = Path(_unescaped(fields[3]))
            found.append(Mount(place, described[0], source, "ro" in options, fields[2], root))
    return found


def parse_fstab(text: str) -> list[Path]:
    """Return the directories on which file systems are to be mounted."""
    lines = (line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return [Path(_unescaped(fields[1])) for fields in lines if len(fields) > 2 and fields[1].startswith("/")]


def mount_of(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount that has `path`, or will have it; None if that is not known."""
    return _mount_at(Path(os.path.realpath(path)), mounts)


def _mount_at(real: Path, mounts: Sequence[Mount]) -> Mount | None:
    on_the_way = [each for each in mounts if real.is_relative_to(each.place)]
    # The longest place counts, and of several mounts at one place the last.
    return max(enumerate(on_the_way), key=lambda item: (len(item[1].place.parts), item[0]))[1] if on_the_way else None


def place_of(path: Path, mounts: Sequence[Mount]) -> Place:
    """Return the place of a directory, the same for all paths to it by way of links and bind mounts.

    Looks at nothing on a network drive, whose server may not answer: links there are taken for directories.
    """
    try:
        real = _without_links(path.absolute(), mounts)
    except FileNotFoundError:
        # The current directory has been removed.
        return Place(("disk", "removed"), path.parts)
    mount = _mount_at(real, mounts)
    if mount is None:
        return Place(("disk",), real.parts[1:])
    return Place(("disk", mount.device), (mount.root / real.relative_to(mount.place)).parts[1:])


def _without_links(path: Path, mounts: Sequence[Mount]) -> Path:
    left = deque(path.parts[1:])
    real = Path("/")
    links = 0
    while left:
        part = left.popleft()
        if part == "..":
            real = real.parent
            continue
        real /= part
        mount = _mount_at(real, mounts)
        if links < _MOST_LINKS and not (mount and mount.is_network):
            with suppress(OSError):
                target = real.readlink()
                links += 1
                left.extendleft(reversed([each for each in target.parts if each != "/"]))
                real = Path("/") if target.is_absolute() else real.parent
    return real


def mounts(pid: int = 0) -> list[Mount]:
    """Return what is mounted for this process, or for the process `pid`; nothing if this machine does not tell."""
    path = MOUNTINFO.parents[1] / str(pid) / MOUNTINFO.name if pid else MOUNTINFO
    with suppress(OSError):
        return parse_mounts(path.read_text("utf-8", "surrogateescape"))
    return []


@attrs.frozen
class Unmounted:
    """Directory on which `wanted_by` wants something that is not mounted, and the command that mounts it."""

    place: Path
    wanted_by: str
    remedy: str


def unmounted(path: Path, known: Sequence[Mount], units: Sequence[str] = ()) -> Unmounted | None:
    """Return the directory above `path`, or `path`, on which /etc/fstab or a mount unit wants what is not mounted.

    `units` are those that the daemon's unit requires.
    """
    places, real = {each.place for each in known}, Path(os.path.realpath(path))
    for wanted in (*_in_fstab(), *_of_units(units)):
        if wanted.place not in places and wanted.place != Path("/") and real.is_relative_to(wanted.place):
            return wanted
    return None


def _in_fstab() -> Iterator[Unmounted]:
    with suppress(OSError):
        for place in parse_fstab(FSTAB.read_text("utf-8", "surrogateescape")):
            yield Unmounted(place, "/etc/fstab", f"mount {shlex.quote(str(place))}")


def _of_units(units: Sequence[str]) -> Iterator[Unmounted]:
    for unit in units:
        if unit.endswith(".mount"):
            yield Unmounted(place_of_unit(unit), unit, f"systemctl start {shlex.quote(unit)}")


def place_of_unit(name: str) -> Path:
    """Return the directory of a mount unit, whose name is escaped as systemd.unit(5) has it."""
    path = name.removesuffix(".mount").replace("-", "/")
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), os.fsencode(path))
    return Path("/") / os.fsdecode(raw)
