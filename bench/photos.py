"""One photograph in two scales, and metadata of small and of huge files, each beside itself."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from PIL import Image, ImageChops, ImageStat

from bench import started
from bench.photographs import make_photographs
from bench.report import Figure
from tests.support.daemon import Daemon

COUNT = 12
LARGE, SMALL = 512, 123
HUGE = 2_000_000_000
REPETITIONS = 15


def photos(directory: Path) -> list[Figure]:
    """Milliseconds of an answer."""
    daemon = started.daemon(directory / "daemon")
    originals = daemon.store / "originals"
    photographs = make_photographs(originals, COUNT)
    daemon.start()
    try:
        return [*_scales(daemon, [photograph.name for photograph in photographs]), *_metadata(daemon, originals)]
    finally:
        daemon.stop()


def _scales(daemon: Daemon, names: list[str]) -> Iterator[Figure]:
    _thumbnail(daemon, names.pop(), LARGE)
    first, second, again, differences = [], [], [], []
    for name in names:
        first.append(_thumbnail(daemon, name, LARGE))
        second.append(_thumbnail(daemon, name, SMALL))
    from_large = [_picture(daemon, name) for name in names]
    for name in names:
        for thumbnail in (daemon.store / "thumbnails").glob(f"{Path(name).stem}_*"):
            thumbnail.unlink()
    for name, picture in zip(names, from_large, strict=True):
        again.append(_thumbnail(daemon, name, SMALL))
        difference = ImageStat.Stat(ImageChops.difference(picture, _picture(daemon, name))).mean
        differences.append(max(difference))
    ours, theirs = median(second) * 1000, median(first) * 1000
    yield Figure(
        f"a thumbnail of {SMALL} when one of {LARGE} exists",
        "ms",
        ours,
        "the first one",
        theirs,
        ours / theirs,
        "at most 0.2",
    )
    yield Figure(
        "its difference from one made of the original", "levels", max(differences), "", None, None, "at most 3"
    )


def _thumbnail(daemon: Daemon, name: str, scale: int) -> float:
    return _seconds(f"{daemon.url}/fileget?filename={name}&type=T&scale={scale}")


def _picture(daemon: Daemon, name: str) -> Image.Image:
    return Image.open(daemon.store / "thumbnails" / f"{Path(name).stem}_{SMALL}.jpg").convert("RGB")


def _metadata(daemon: Daemon, originals: Path) -> Iterator[Figure]:
    exif = Image.Exif()
    exif[0x010F] = "Specimen Optics"
    photograph, scan = originals / "exif.jpg", originals / "huge.tif"
    Image.effect_noise((4500, 3000), 80).save(photograph, quality=95, exif=exif)
    Image.effect_noise((1000, 1000), 80).save(scan, exif=exif)
    with scan.open("r+b") as file:
        file.truncate(HUGE)
    urls = [f"{daemon.url}/getmetadata?filename={path.name}" for path in (photograph, scan)]
    times: list[list[float]] = [[], []]
    for _ in range(REPETITIONS):
        for url, seconds in zip(urls, times, strict=True):
            seconds.append(_seconds(url))
    small, huge = (median(seconds) * 1000 for seconds in times)
    yield Figure("metadata of a TIFF of 2 GB", "ms", huge, "a JPEG of 10 MB", small, huge / small, "at most 2")


def _seconds(url: str) -> float:
    begin = time.perf_counter()
    with urlopen(url, timeout=120) as answer:
        assert answer.read()
    return time.perf_counter() - begin
