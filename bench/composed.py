"""Stores that are made of other stores, beside their first one alone.

Both are measured through daemons: there, a store that is no directory of this machine costs a copy in the spool.
"""

import http.client
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread

from bench import started
from bench.files import LINE, PHOTOGRAPHS, upload_photographs
from bench.photographs import make_photographs
from bench.report import Figure
from bench.transfers import run
from tests.support.daemon import KEY, Daemon, eventually
from was_daemon.model import tokens

_ROUNDS = 7
_LARGE = 200_000_000
_SMALL, _SMALL_FILES = 8_000, 200
_CLIENTS = 8
_PHOTOGRAPHS = f"{PHOTOGRAPHS} photographs on a line of {LINE * 8 // 1_000_000} MBit/s"


async def layered(directory: Path) -> list[Figure]:
    """Two layers on one disk, beside a daemon that has the first alone."""
    stores = {name: {"plugin": "filesystem", "path": directory / name} for name in ("new", "old")}
    return await deferToThread(
        _beside_its_first, directory, "layered", stores, {"plugin": "layered", "layers": ["new", "old"]}
    )


async def mirror(directory: Path) -> list[Figure]:
    """A mirror on one disk, beside a daemon that has its primary alone. Each turn begins when all copies are made."""
    stores = {name: {"plugin": "filesystem", "path": directory / name} for name in ("new", "copy")}
    table = {"plugin": "mirror", "primary": "new", "copies": ["copy"], "journal": directory / "journal"}
    return await deferToThread(_beside_its_first, directory, "mirror", stores, table, directory / "copy")


def _beside_its_first(
    directory: Path, what: str, stores: Mapping[str, Any], table: Mapping[str, Any], copy: Path | None = None
) -> list[Figure]:
    """Return the figures of a store that is made of `stores`, beside the one called "new" in a daemon of its own."""
    for each in stores.values():
        each["path"].mkdir(parents=True)
    source, alone = directory / "source", directory / "alone"
    alone.mkdir()
    source.write_bytes(os.urandom(_LARGE))
    [photograph] = make_photographs(directory / "photographs", 1)
    config = {"stores": {**stores, "main": dict(table)}, "collections": {"store": "main"}}
    plain = {"stores": {"main": {"plugin": "filesystem", "path": alone}}}
    with _running(directory / "ours", config) as ours, _running(directory / "theirs", plain) as theirs:
        turns = {ours: (stores["new"]["path"], copy), theirs: (alone, None)}
        seconds: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(_ROUNDS):
            for side, (daemon, (root, copies)) in enumerate(turns.items()):
                os.sync()
                for step, took in _turn(daemon, source, photograph).items():
                    seconds.setdefault(step, ([], []))[side].append(took)
                if copies:
                    eventually(lambda copies=copies, root=root: _names(copies) == _names(root), "for the copies")
                _empty(root, copies)
    large, target = (_LARGE / 1e6, "MB/s"), "at least 0.9"
    amounts = {
        "upload": (*large, target),
        "download": (*large, target),
        _PHOTOGRAPHS: (PHOTOGRAPHS, "/s", target),
    }
    figures = []
    for step, (our_seconds, their_seconds) in seconds.items():
        amount, unit, target = amounts.get(step, (_SMALL_FILES, "/s", ""))
        rate, first = amount / median(our_seconds), amount / median(their_seconds)
        figures.append(Figure(f"{what}, {step}", unit, rate, "its first store", first, rate / first, target))
    return figures


@contextmanager
def _running(directory: Path, config: Mapping[str, Mapping[str, Any]]) -> Iterator[Daemon]:
    daemon = started.daemon(directory, config).start()
    try:
        yield daemon
    finally:
        daemon.stop()


def _turn(daemon: Daemon, source: Path, photograph: Path) -> dict[str, float]:
    """Upload and read a large file and many small ones, and upload photographs; return the seconds of each step."""
    name = f"{uuid4()}.bin"
    fields = [word for field in upload_fields(name) for word in ("--form", "=".join(field))]
    seconds = {
        "upload": run("curl", "--form", f"file=@{source}", *fields, f"{daemon.url}/fileupload"),
        "download": run("curl", f"{daemon.url}/fileget?filename={name}"),
    }
    begin = time.perf_counter()
    upload_photographs(daemon, photograph, photograph.parent)
    seconds[_PHOTOGRAPHS] = time.perf_counter() - begin
    for clients in (1, _CLIENTS):
        names = [f"{uuid4()}.bin" for _ in range(_SMALL_FILES)]
        shares = [names[client::clients] for client in range(clients)]
        with ThreadPoolExecutor(clients) as threads:
            for what, step in (("uploads", _upload_small), ("downloads", _download_small)):
                begin = time.perf_counter()
                list(threads.map(step, [daemon] * clients, shares))
                seconds[f"{what} of 8 KB, {clients} at a time"] = time.perf_counter() - begin
    return seconds


def _upload_small(daemon: Daemon, names: Sequence[str]) -> None:
    content = os.urandom(_SMALL)
    with _connection(daemon) as connection:
        for name in names:
            boundary, body = _form(name, content)
            head = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            _expect_ok(connection, "POST", "/fileupload", body, head)


def _download_small(daemon: Daemon, names: Sequence[str]) -> None:
    with _connection(daemon) as connection:
        for name in names:
            _expect_ok(connection, "GET", f"/fileget?filename={name}")


def _connection(daemon: Daemon) -> AbstractContextManager[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(daemon.url.removeprefix("http://"), timeout=60))


def _expect_ok(connection: http.client.HTTPConnection, method: str, url: str, *more: Any) -> None:
    connection.request(method, url, *more)
    answer = connection.getresponse()
    assert answer.read()
    assert answer.status == 200


def upload_fields(name: str) -> list[tuple[str, str]]:
    """Return the fields of an upload besides the file."""
    return [("token", tokens.sign(KEY, name, int(time.time()))), ("store", name), ("type", "O")]


def _form(name: str, content: bytes) -> tuple[str, bytes]:
    """Return the boundary and the body of an upload."""
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    texts = "".join(f'{head}{field}"\r\n\r\n{value}\r\n' for field, value in upload_fields(name))
    file = f'{texts}{head}file"; filename="{name}"\r\n\r\n'
    return boundary, file.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def _files(root: Path) -> list[Path]:
    return [path for path in (root / "originals").glob("*") if path.is_file()]


def _names(root: Path) -> set[tuple[str, int]]:
    return {(path.name, path.stat().st_size) for path in _files(root)}


def _empty(*roots: Path | None) -> None:
    """Remove all originals, so that every turn has as much memory for files as the first."""
    for root in filter(None, roots):
        for path in _files(root):
            path.unlink()
