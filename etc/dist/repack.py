"""repack.py FILE [NAME=SOURCE...]: write an archive again without what its making has left: order, times, owners, permissions.

FILE is a .tar.gz or a zip file, which may begin with a line for the kernel. All times become $SOURCE_DATE_EPOCH. A zip file gets
the file SOURCE under NAME or, if SOURCE is a directory, what Python has compiled there, below NAME.
"""

import gzip
import io
import os
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

_TIME = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))
"""The default is 1980, the first year that a zip file knows."""

_UNIX = 3
_REGULAR_FILE = 0o100000


def mode(executable: int) -> int:
    """Return the permissions of a file or directory."""
    return 0o755 if executable else 0o644


def tar(packed: bytes) -> bytes:
    """Return a compressed tar archive, written again."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed)) as source,
        gzip.GzipFile(filename="", mode="wb", fileobj=written, mtime=_TIME) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda each: each.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, _TIME
            clean.mode = mode(member.isdir() or member.mode & 0o100)
            target.addfile(clean, source.extractfile(member) if member.isfile() else None)
    return written.getvalue()


def zipped(packed: bytes, contents: dict[str, bytes]) -> bytes:
    """Return a zip archive, written again with further or other contents; what comes before its first file stays."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as source:
        members = {each.filename: each for each in source.infolist()}
        written.write(packed[: min(each.header_offset for each in members.values())])
        with zipfile.ZipFile(written, "a") as target:
            for name in sorted(members.keys() | contents.keys()):
                executable = members[name].external_attr >> 16 & 0o100 if name in members else 0
                clean = zipfile.ZipInfo(name, time.gmtime(_TIME)[:6])
                clean.create_system, clean.compress_type = _UNIX, zipfile.ZIP_DEFLATED
                clean.external_attr = (_REGULAR_FILE | mode(executable)) << 16
                target.writestr(clean, contents[name] if name in contents else source.read(name))
    return written.getvalue()


def contents(arguments: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents that the command line adds."""
    for name, source in (argument.split("=", 1) for argument in arguments):
        if Path(source).is_dir():
            for path in Path(source).rglob("*.pyc"):
                yield f"{name}/{path.relative_to(source)}", path.read_bytes()
        else:
            yield name, Path(source).read_bytes()


def main() -> None:
    """Write the file again that the command line names."""
    file = Path(sys.argv[1])
    packed = file.read_bytes()
    file.write_bytes(tar(packed) if file.name.endswith(".tar.gz") else zipped(packed, dict(contents(sys.argv[2:]))))


main()
