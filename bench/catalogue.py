"""What a catalogue costs: uploads, stored thumbnails, and the commands that go through everything."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError

from PIL import Image

from bench import started
from bench.files import LINE, MANY, PHOTOGRAPHS, upload_many, upload_photographs
from bench.photographs import make_photographs
from bench.report import Figure
from bench.walls import PATH, fetch, requests_per_second
from tests.support.daemon import Daemon, eventually, to_toml
from tests.support.peaks import measured, numbered_config

RECONCILED = 1_000_000
REBUILT = 100_000
TURNS = 15
UPLOAD_BYTES = (20_000, 2_000_000)
_PATIENCE = 7200


def catalogue(directory: Path) -> list[Figure]:
    """Uploads and requests per second, seconds and megabytes."""
    return [
        *_photographs(directory / "photographs"),
        *(figure for size in UPLOAD_BYTES for figure in _small_and_quick(directory / f"uploads-{size}", size)),
        *_thumbnails(directory / "thumbnails"),
        *_commands(directory / "commands"),
    ]


def _in_turns(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """The median rates of both, and the median of the ratios of turns; each goes first in every other turn."""
    rates: list[tuple[float, float]] = []
    for turn in range(TURNS):
        if turn % 2:
            second = theirs()
            rates.append((ours(), second))
        else:
            rates.append((ours(), theirs()))
    return median(rate[0] for rate in rates), median(rate[1] for rate in rates), median(a / b for a, b in rates)


def _photographs(directory: Path) -> list[Figure]:
    """Uploads as users make them: photographs, on a line that all share."""
    [photograph] = make_photographs(directory / "photographs", 1)
    what = f"{PHOTOGRAPHS} photographs on a line of {LINE * 8 // 1_000_000} MBit/s"
    upload = partial(upload_photographs, photograph=photograph, directory=directory)
    return _uploads(directory, what, upload, PHOTOGRAPHS, "at least 0.95")


def _small_and_quick(directory: Path, size: int) -> list[Figure]:
    """Uploads that nothing holds up but the processors, which the clients of the bench use as well."""
    directory.mkdir(parents=True)
    source = directory / "source"
    source.write_bytes(os.urandom(size))
    what = f"{MANY} uploads of {size} bytes, as quick as the processors allow"
    return _uploads(directory, what, partial(upload_many, source=source, directory=directory), MANY, "")


def _uploads(directory: Path, what: str, upload: Callable[[Daemon], None], count: int, target: str) -> list[Figure]:
    """The uploads that `upload` makes, `count` in number, with a catalogue and without."""
    recorded = started.daemon(directory / "with", {"catalogue": {"path": directory / "state" / "catalogue.sqlite"}})
    plain = started.daemon(directory / "without")
    recorded.start()
    plain.start()

    def rate(daemon: Daemon) -> float:
        os.sync()
        begin = time.perf_counter()
        upload(daemon)
        seconds = time.perf_counter() - begin
        # What has been uploaded is not to fill the disk, nor the page cache.
        for file in (daemon.store / "originals").iterdir():
            if file.is_file():
                os.truncate(file, 0)
        return count / seconds

    try:
        ours, theirs, ratio = _in_turns(lambda: rate(recorded), lambda: rate(plain))
        peaks = recorded.peak_memory() / 1e6, plain.peak_memory() / 1e6
    finally:
        recorded.stop()
        plain.stop()
        shutil.rmtree(directory)
    return [
        Figure(f"{what}, with a catalogue", "/s", ours, "without", theirs, ratio, target),
        Figure(f"{what}, memory", "MB", peaks[0], "without", peaks[1], None, ""),
    ]


def _thumbnails(directory: Path) -> list[Figure]:
    """A thumbnail that anybody may see, where others need a token."""
    private = {
        "catalogue": {"path": directory / "state" / "catalogue.sqlite"},
        "server": {"require_token_for_get": "private"},
        "visibility": {"unknown": "public"},
    }
    guarded, plain = _with_picture(directory / "private", private), _with_picture(directory / "open", {})
    try:
        ours, theirs, ratio = _in_turns(
            lambda: requests_per_second(guarded.url + PATH), lambda: requests_per_second(plain.url + PATH)
        )
    finally:
        guarded.stop()
        plain.stop()
    what = "a stored thumbnail, 16 connections, where private ones need a token"
    return [Figure(what, "/s", ours, "none needs one", theirs, ratio, "at least 0.95")]


def _with_picture(directory: Path, config: dict[str, dict[str, Any]]) -> Daemon:
    daemon = started.daemon(directory, {**config, "limits": {"connections_per_address": 0}})
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    Image.effect_noise((3000, 2000), 160).save(originals / "picture.jpg", quality=95)
    daemon.start()
    # Until the catalogue has been read, everything is private.
    eventually(lambda: _is_public(daemon), "for the thumbnail to be public")
    return daemon


def _is_public(daemon: Daemon) -> bool:
    with suppress(HTTPError):
        return bool(fetch(daemon.url + PATH))
    return False


def _commands(directory: Path) -> list[Figure]:
    """The commands on originals that are computed; of the records one in a hundred has another name."""
    rebuilt, reconciled = directory / "rebuilt", directory / "reconciled"
    config, large = _numbered(rebuilt, REBUILT), _numbered(reconciled, RECONCILED)
    records = reconciled / "attachments.csv"
    with records.open("w") as file:
        file.write("AttachmentID,AttachmentLocation,IsPublic\n")
        for number in range(RECONCILED):
            name = f"lost-{number:07}.jpg" if number % 100 == 0 else f"asset-{number:07}.jpg"
            file.write(f"{number + 1},{name},true\n")
    what = f"{RECONCILED} originals, as many records: reconcile"
    return [
        *_command(f"{REBUILT} originals: catalogue rebuild", config, "catalogue", "rebuild"),
        *_command(f"{REBUILT} originals: catalogue rebuild, of nothing new", config, "catalogue", "rebuild"),
        *_command(what, large, "reconcile", "--records", str(records)),
    ]


def _numbered(directory: Path, count: int) -> Path:
    directory.mkdir(parents=True)
    config = numbered_config(directory, count)
    with config.open("a") as file:
        file.write(to_toml({"specify.bench": {}}))
    return config


def _command(what: str, config: Path, *command: str) -> list[Figure]:
    ran = measured(*command, "--config", config, "--json", timeout=_PATIENCE)
    return [
        Figure(what, "s", ran.seconds, "", None, None, ""),
        Figure(f"{what}, memory", "MB", ran.peak / 1e6, "", None, None, "bounded"),
    ]
