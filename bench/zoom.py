"""Curators look closely: tiles, other regions, and pictures that nobody has looked at, beside IIPImage."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from urllib.request import urlopen

from bench import started
from bench.iipimage import IIPImage, make_pyramid
from bench.meanwhile import Meanwhile
from bench.photographs import SIZE, make_photographs
from bench.report import Figure
from bench.walls import CONNECTIONS, requests_per_second
from tests.support.daemon import Daemon
from was_daemon.model.pyramids import Geometry, Tile

REPETITIONS = 5
FIRST_LOOKS = 7
VIEWERS = 60
TILES_OF_VIEWER = 20
REGION = 1000
REGION_CONNECTIONS = 4
HUGE = (20_000, 20_000)
_SLEEPER = "a sleeping thread wakes up late by"
_LIMITS = {"connections_per_address": 0}
_GEOMETRY = Geometry(*SIZE)
_seeds = count(int(time.time()))


def zoom(directory: Path) -> list[Figure]:
    """Requests per second, seconds until a first tile, and the answers to others while many pyramids are made."""
    photographs = make_photographs(directory / "photographs", VIEWERS + 1)
    return [
        *_stored(directory / "stored", photographs[0]),
        *_first_looks(directory / "first", photographs[1 : FIRST_LOOKS + 1]),
        *_huge(directory / "huge", photographs[0]),
        *_viewers(directory / "viewers", photographs[1:]),
    ]


def _stored(directory: Path, photograph: Path) -> Iterator[Figure]:
    """Tiles and regions of one photograph whose pyramid is there."""
    pyramids = directory / "pyramids"
    pyramids.mkdir(parents=True)
    make_pyramid(photograph, pyramids / "a.tif")
    daemons = [_daemon(directory / f"daemon-{workers}", [photograph], workers) for workers in (1, 2)]
    iipimage = IIPImage(directory / "iipimage", pyramids)
    name = photograph.name
    pictures = [*(f"{daemon.url}/iiif/3/{name}" for daemon in daemons), f"{iipimage.url}/a.tif"]
    try:
        tiles: list[list[float]] = [[], [], []]
        regions: list[list[float]] = [[], []]
        for _ in range(REPETITIONS):
            for picture, rates in zip(pictures, tiles, strict=True):
                rates.append(_rate(directory, picture, _all_tiles(picture), CONNECTIONS))
            for picture, rates in zip((pictures[0], pictures[2]), regions, strict=True):
                rates.append(_rate(directory, picture, _anywhere(picture), REGION_CONNECTIONS))
    finally:
        iipimage.stop()
        for daemon in daemons:
            daemon.stop()
    one, two, theirs = map(median, tiles)
    what = f"stored tiles of 512 pixels, {CONNECTIONS} connections, "
    yield Figure(f"{what}1 process", "/s", one, "IIPImage", theirs, one / theirs, "at least 1.5")
    yield Figure(f"{what}2 processes", "/s", two, "IIPImage", theirs, two / theirs, "at least 2.5")
    ours, theirs = map(median, regions)
    what = f"regions of {REGION} x {REGION} anywhere, {REGION_CONNECTIONS} connections"
    yield Figure(what, "/s", ours, "IIPImage", theirs, ours / theirs, "at least 1")


def _first_looks(directory: Path, photographs: list[Path]) -> Iterator[Figure]:
    daemon = _daemon(directory / "daemon", photographs)
    ours, theirs = [], []
    try:
        for photograph in photographs:
            ours.append(_seconds(lambda name=photograph.name: _fetch_tile(daemon, name)))
            theirs.append(_seconds(lambda path=photograph: make_pyramid(path, directory / f"{path.stem}.tif")))
    finally:
        daemon.stop()
    yield _first_tile("a new JPEG of 24 megapixels", ours, theirs, "under 0.4 s")


def _huge(directory: Path, photograph: Path) -> Iterator[Figure]:
    directory.mkdir(parents=True)
    picture = directory / "huge.tif"
    scale = ["--vscale", str(HUGE[1] / SIZE[1]), "--kernel", "linear"]
    compressed = f"{picture}[compression=lzw,predictor=horizontal]"
    subprocess.run(["vips", "resize", photograph, compressed, str(HUGE[0] / SIZE[0]), *scale], check=True)
    daemon = _daemon(directory / "daemon", [picture])
    try:
        with _peak_of_workers(daemon) as peaks:
            ours = _seconds(lambda: _fetch_tile(daemon, picture.name, Geometry(*HUGE)))
    finally:
        daemon.stop()
    theirs = _seconds(lambda: make_pyramid(picture, directory / "pyramid.tif"))
    yield _first_tile("a new TIFF of 400 megapixels (LZW)", [ours], [theirs], "under 6 s")
    yield Figure("its worker's address space at most", "MiB", max(peaks) / 2**20, "", None, None, "under 1024")
    shutil.rmtree(directory)


def _first_tile(what: str, ours: list[float], theirs: list[float], target: str) -> Figure:
    mine, other = median(ours), median(theirs)
    return Figure(f"first tile of {what}", "s", mine, "vips tiffsave, a pyramid", other, mine / other, target)


def _viewers(directory: Path, photographs: list[Path]) -> Iterator[Figure]:
    """Viewers that all begin at once, each with a new picture, as a class of students does."""
    daemon = _daemon(directory / "daemon", photographs)
    # A small answer that needs no worker: the thumbnail is there.
    thumbnail = f"/fileget?filename={photographs[0].name}&type=T&scale=123"
    try:
        _fetch(daemon.url + thumbnail)
        with Meanwhile(daemon, thumbnail) as meanwhile:
            seconds = _seconds(lambda: _look_all(daemon, [photograph.name for photograph in photographs]))
    finally:
        daemon.stop()
    what = f"{len(photographs)} viewers open {len(photographs)} new photographs, {TILES_OF_VIEWER} tiles each"
    yield Figure(f"{what}: until all have all", "s", seconds, "", None, None, "")
    for name, of, target in (
        ("median of small answers meanwhile", median, ""),
        ("99th percentile", lambda times: quantiles(times, n=100)[-1], ""),
        ("slowest", max, "under 100, but for what the machine adds"),
    ):
        yield Figure(name, "ms", of(meanwhile.latencies) * 1000, _SLEEPER, of(meanwhile.delays) * 1000, None, target)
    yield Figure("memory of daemon and workers meanwhile", "MB", meanwhile.peak / 1e6, "", None, None, "under 350")


def _look_all(daemon: Daemon, names: list[str]) -> None:
    """Look at all pictures at once, each over a connection: the descriptions, then the tiles of the lowest levels.

    One process asks for all of them: browsers run on other machines, and take no time from the daemon.
    """
    pictures = [f"{daemon.url}/iiif/3/{name}" for name in names]
    tiles = [reversed(list(_all_tiles(picture))[-TILES_OF_VIEWER:]) for picture in pictures]
    urls = [f"{picture}/info.json" for picture in pictures] + [url for urls in zip(*tiles, strict=True) for url in urls]
    config = "".join(f'url = "{url}"\noutput = /dev/null\n' for url in urls)
    command = ["curl", "-fZ", "--no-progress-meter", "--parallel-max", str(len(names)), "--config", "-"]
    subprocess.run(command, input=config, text=True, check=True)


def _daemon(directory: Path, pictures: list[Path], workers: int = 1) -> Daemon:
    daemon = started.daemon(directory, {"server": {"workers": workers}, "limits": _LIMITS})
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    for picture in pictures:
        (originals / picture.name).hardlink_to(picture)
    daemon.start()
    if workers > 1:
        daemon.await_processes()
    return daemon


def _all_tiles(picture: str) -> Iterator[str]:
    return (_address(picture, tile) for tile in _GEOMETRY.tiles())


def _address(picture: str, tile: Tile) -> str:
    x, y, (width, height) = tile.region.x, tile.region.y, tile.region.size
    return f"{picture}/{x},{y},{width},{height}/{tile.size[0]},{tile.size[1]}/0/default.jpg"


def _rate(directory: Path, picture: str, addresses: Iterator[str] | str, connections: int) -> float:
    """Requests per second that `wrk` gets answered, each for the next of `addresses`, or as a script of Lua says."""
    script = directory / "requests.lua"
    script.write_text(addresses if isinstance(addresses, str) else _in_turn(addresses))
    _fetch(f"{picture}/info.json")
    return requests_per_second(picture, connections, script=script)


def _in_turn(addresses: Iterator[str]) -> str:
    paths = ", ".join(f'"{address.partition("//")[2].partition("/")[2]}"' for address in addresses)
    return f"""
        local paths, n = {{ {paths} }}, 0
        request = function() n = n % #paths + 1; return wrk.format("GET", "/" .. paths[n]) end
    """


def _anywhere(picture: str) -> str:
    """A script that asks for regions anywhere, and never for those of another run, which the daemon keeps."""
    path = picture.partition("//")[2].partition("/")[2]
    return f"""
        math.randomseed({next(_seeds)})
        request = function()
            local x, y = math.random(0, {SIZE[0] - REGION}), math.random(0, {SIZE[1] - REGION})
            local region = string.format("%d,%d,{REGION},{REGION}/{REGION},{REGION}/0/default.jpg", x, y)
            return wrk.format("GET", "/{path}/" .. region)
        end
    """


def _fetch_tile(daemon: Daemon, name: str, geometry: Geometry = _GEOMETRY) -> None:
    _fetch(_address(f"{daemon.url}/iiif/3/{name}", geometry.tile(0)))


def _fetch(url: str) -> None:
    with urlopen(url, timeout=120) as answer:
        assert answer.read()


def _seconds(action: Callable[[], None]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


@contextmanager
def _peak_of_workers(daemon: Daemon) -> Iterator[list[int]]:
    """Look at the largest address spaces of workers in bytes, meanwhile: one that has grown ends after its job."""
    peaks: list[int] = []
    ended = Event()

    def look() -> None:
        while not ended.wait(0.1):
            peaks.extend(filter(None, map(_peak_address_space, daemon.workers())))

    thread = Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _peak_address_space(pid: int) -> int:
    """Return the largest address space of a process, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak:")), 0)
