"""`python -m bench [NAME...]`: measure, beside public tools in the same run, and print one table."""

import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from bench.catalogue import catalogue
from bench.deletes import deletes
from bench.files import files
from bench.formats import formats
from bench.gallery import gallery
from bench.growth import numbers
from bench.idle import idle
from bench.nginx import nginx
from bench.photos import photos
from bench.processes import processes
from bench.report import Figure, report
from bench.s3 import s3
from bench.sftp import sftp
from bench.stores import stores
from bench.walls import walls
from bench.webdav import webdav
from bench.zoom import zoom

_BENCHES: dict[str, Callable[[Path], Awaitable[list[Figure]]]] = {
    "walls": lambda directory: deferToThread(walls, directory),
    "nginx": lambda directory: deferToThread(nginx, directory),
    "processes": lambda directory: deferToThread(processes, directory),
    "files": lambda directory: deferToThread(files, directory),
    "gallery": lambda directory: deferToThread(gallery, directory),
    "photos": lambda directory: deferToThread(photos, directory),
    "formats": lambda directory: deferToThread(formats, directory),
    "zoom": lambda directory: deferToThread(zoom, directory),
    "deletes": lambda directory: deferToThread(deletes, directory),
    "catalogue": lambda directory: deferToThread(catalogue, directory),
    "idle": lambda directory: deferToThread(idle, directory),
    "numbers": lambda directory: deferToThread(numbers, directory),
    "sftp": sftp,
    "webdav": webdav,
    "s3": s3,
    "stores": stores,
}

_ASKED_FOR = ("catalogue", "numbers", "stores")
"""These take long, or repeat others, and have to be asked for."""


async def main() -> None:
    """Run the benches that are named on the command line, or all but those that have to be asked for."""
    with tempfile.TemporaryDirectory(prefix="was-bench-") as directory:
        names = sys.argv[1:] or [name for name in _BENCHES if name not in _ASKED_FOR]
        figures = [figure for name in names for figure in await _BENCHES[name](Path(directory) / name)]
    report(figures, Path("bench.json"))


react(lambda _: Deferred.fromCoroutine(main()))
