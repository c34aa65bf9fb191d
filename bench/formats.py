"""The first thumbnail of one photograph in each format, beside `vipsthumbnail`, `convert` and, for PDF, `pdftoppm`."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import pillow_heif
from PIL import Image

from bench import started
from bench.photographs import make_photographs
from bench.report import Figure
from tests.support.daemon import Daemon

SCALE = 123
REPETITIONS = 5

WRITERS: dict[str, Callable[[Image.Image, Path], object]] = {
    "jpg": lambda image, path: image.save(path, quality=90),
    "png": lambda image, path: image.save(path, compress_level=1),
    "webp": lambda image, path: image.save(path, quality=85, method=0),
    "tif": lambda image, path: image.save(path, compression="tiff_lzw"),
    "jp2": lambda image, path: image.save(path, quality_layers=[20], irreversible=True),
    "avif": lambda image, path: image.save(path, quality=70, speed=10),
    "heic": lambda image, path: pillow_heif.from_pillow(image).save(
        path, quality=70, enc_params={"preset": "ultrafast"}
    ),
    "gif": lambda image, path: image.quantize(256).save(path),
    "bmp": lambda image, path: image.save(path),
    "pdf": lambda image, path: image.resize((1500, 1000)).save(path, resolution=150),
}

TOOLS: dict[str, Callable[[Path, Path], list[str]]] = {
    "vipsthumbnail": lambda source, target: ["vipsthumbnail", f"{source}", "-s", f"{SCALE}", "-o", f"{target}.jpg"],
    "convert": lambda source, target: ["convert", f"{source}[0]", "-resize", f"{SCALE}x{SCALE}", f"{target}.jpg"],
    "pdftoppm": lambda source, target: [
        *("pdftoppm", "-png", "-f", "1", "-l", "1", "-singlefile", "-scale-to", f"{SCALE}"),
        *(f"{source}", f"{target}"),
    ],
}
"""Tools by the name of their program; each begins anew for every file, as scripts start it."""


def formats(directory: Path) -> list[Figure]:
    """Milliseconds of an answer, with a worker that runs, and of a command."""
    (photograph,) = make_photographs(directory, 1)
    daemon = started.daemon(directory / "daemon")
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    daemon.start()
    try:
        with Image.open(photograph) as image:
            image.load()
            return [figure for extension in WRITERS for figure in _format(daemon, image, extension, directory)]
    finally:
        daemon.stop()


def _format(daemon: Daemon, image: Image.Image, extension: str, directory: Path) -> Iterator[Figure]:
    source = directory / f"photograph.{extension}"
    WRITERS[extension](image, source)
    names = [f"{number}.{extension}" for number in range(REPETITIONS + 1)]
    for name in names:
        os.link(source, daemon.store / "originals" / name)
    _answer(daemon, names.pop())
    target = directory / "made"
    tools = [tool for tool in TOOLS if shutil.which(tool) and (tool != "pdftoppm" or extension == "pdf")]
    able = [tool for tool in tools if _seconds(TOOLS[tool](source, target)) is not None]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {tool: [] for tool in able}
    for name in names:
        ours.append(_answer(daemon, name))
        for tool in able:
            theirs[tool].append(_seconds(TOOLS[tool](source, target)) or 0)
    for tool in able:
        mine, its = median(ours) * 1000, median(theirs[tool]) * 1000
        goal = "at most 1" if tool != "convert" else ""
        yield Figure(f"first thumbnail of {extension}", "ms", mine, tool, its, mine / its, goal)


def _answer(daemon: Daemon, name: str) -> float:
    begin = time.perf_counter()
    with urlopen(f"{daemon.url}/fileget?filename={name}&type=T&scale={SCALE}", timeout=120) as answer:
        assert answer.read()
    return time.perf_counter() - begin


def _seconds(command: list[str]) -> float | None:
    """How long a command takes; None when it cannot read such files."""
    begin = time.perf_counter()
    failed = subprocess.run(command, capture_output=True).returncode
    return None if failed else time.perf_counter() - begin
