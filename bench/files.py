"""Large files through the daemon, beside nginx and dd on the same disk."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from threading import Event, Thread
from urllib.request import urlopen
from uuid import uuid4

from bench import started
from bench.report import Figure
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.ports import free_port
from was_daemon.model import tokens

LARGE = 1_000_000_000
MANY, EACH, AT_A_TIME = 200, 8_000_000, 8
PHOTOGRAPHS, LINE = 64, 125_000_000
"""Photographs that users upload together, and bytes per second of the line of 1,000 MBit/s that they share."""

REPETITIONS = 5


def files(directory: Path) -> list[Figure]:
    """Megabytes per second."""
    source, written = directory / "source", directory / "dd"
    written.mkdir(parents=True)
    with source.open("wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    daemon = started.daemon(directory / "daemon").start()
    originals = daemon.store / "originals"
    nginx = _Nginx(directory)
    latencies: list[float] = []
    try:
        upload = _compare(
            LARGE,
            lambda: _upload(daemon, source, _new_name()),
            lambda: _dd(source, written / _new_name()),
            (originals, written),
        )
        # Not at the same time: whoever asks takes processor time from whoever uploads.
        for _ in range(REPETITIONS):
            with _Asking(daemon, latencies):
                _upload(daemon, source, "large.bin")
        download = _compare(
            LARGE,
            lambda: _curl("--output", os.devnull, f"{daemon.url}/fileget?filename=large.bin"),
            lambda: _curl("--output", os.devnull, f"{nginx.url}/source"),
        )
        small = directory / "small"
        with source.open("rb") as whole:
            small.write_bytes(whole.read(EACH))
        many = _compare(
            MANY * EACH,
            lambda: upload_many(daemon, small, directory),
            lambda: _dd_many(small, written),
            (originals, written),
        )
    finally:
        nginx.stop()
        daemon.stop()
    return [
        _figure("1 GB download", download, "nginx", "at least 0.6"),
        _figure("1 GB upload, on the disk", upload, "dd conv=fsync", "at least 0.7"),
        Figure("slowest other answer meanwhile", "ms", max(latencies) * 1000, "", None, None, "under 100"),
        _figure(f"{MANY} uploads of 8 MB, {AT_A_TIME} at a time", many, "dd conv=fsync", "at least 0.6"),
    ]


def _figure(what: str, rates: tuple[float, float], yardstick: str, target: str) -> Figure:
    ours, theirs = rates
    return Figure(what, "MB/s", ours, yardstick, theirs, ours / theirs, target)


def _compare(
    size: int,
    ours: Callable[[], None],
    theirs: Callable[[], None],
    into: tuple[Path | None, Path | None] = (None, None),
) -> tuple[float, float]:
    """The median rates of both, in turns, in megabytes per second; `into` are the directories that they write to."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPETITIONS):
        for action, directory, times in zip((ours, theirs), into, seconds, strict=True):
            if directory:
                _empty(directory)
            # What the disk still has to do is not to count for whoever comes next.
            os.sync()
            begin = time.perf_counter()
            action()
            times.append(time.perf_counter() - begin)
    return size / median(seconds[0]) / 1e6, size / median(seconds[1]) / 1e6


def _empty(directory: Path) -> None:
    """Empty the files in it: every turn is to write new ones, with as much memory free as the first."""
    for file in filter(Path.is_file, directory.glob("*")):
        # Not removed: ext4 is slow to give out the numbers of files that were removed a minute ago.
        os.truncate(file, 0)


def _curl(*arguments: str) -> None:
    subprocess.run(
        ["curl", "--silent", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _form(name: str) -> list[str]:
    """The arguments of an upload as Specify 7 sends it, but for the file, which comes first."""
    token = tokens.sign(KEY, name, int(time.time()))
    return [f"token={token}", f"store={name}", "type=O"]


def _new_name(extension: str = ".bin") -> str:
    """Each has a name of its own, as Specify's have."""
    return f"{uuid4()}{extension}"


def _upload(daemon: Daemon, source: Path, name: str) -> None:
    fields = [argument for field in _form(name) for argument in ("--form", field)]
    _curl("--form", f"file=@{source}", *fields, f"{daemon.url}/fileupload")


def upload_many(daemon: Daemon, source: Path, directory: Path) -> None:
    """Upload a file under `MANY` names, `AT_A_TIME` at a time; what is needed for that goes into `directory`."""
    _upload_under([_new_name() for _ in range(MANY)], daemon, source, directory)


def upload_photographs(daemon: Daemon, photograph: Path, directory: Path) -> None:
    """Upload a photograph under `PHOTOGRAPHS` names, `AT_A_TIME` at a time, on a `LINE` that they share."""
    names = [_new_name(photograph.suffix) for _ in range(PHOTOGRAPHS)]
    _upload_under(names, daemon, photograph, directory, f"limit-rate = {LINE // AT_A_TIME}")


def _upload_under(names: Iterable[str], daemon: Daemon, source: Path, directory: Path, *options: str) -> None:
    """Upload a file under these names; `options` are lines of a configuration of `curl`."""
    same = [f'url = "{daemon.url}/fileupload"', f'form = "file=@{source}"', f'output = "{os.devnull}"', *options]
    transfers = ("\n".join([*same, *(f'form = "{field}"' for field in _form(name))]) for name in names)
    config = directory / "curl.config"
    config.write_text("\nnext\n".join(transfers) + "\n")
    _curl("--parallel", "--parallel-max", str(AT_A_TIME), "--config", str(config))


def _dd(source: Path, target: Path) -> None:
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)


def _dd_many(source: Path, directory: Path) -> None:
    command = f"dd if={shlex.quote(str(source))} of={shlex.quote(str(directory))}/$1 bs=1M conv=fsync 2>/dev/null"
    subprocess.run(
        ["xargs", f"-P{AT_A_TIME}", "-n1", "sh", "-c", command, "sh"],
        input="\n".join(_new_name() for _ in range(MANY)),
        text=True,
        check=True,
    )


class _Asking:
    """Asks the daemon for something small, again and again; keeps the seconds that each answer took."""

    def __init__(self, daemon: Daemon, latencies: list[float]) -> None:
        self._url = f"{daemon.url}/web_asset_store.xml"
        self._latencies = latencies
        self._over = Event()
        self._thread = Thread(target=self._ask)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.01):
            begin = time.perf_counter()
            with urlopen(self._url, timeout=60) as answer:
                answer.read()
            self._latencies.append(time.perf_counter() - begin)


class _Nginx:
    """nginx that serves the files of a directory, with sendfile."""

    def __init__(self, root: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = root / "nginx.conf"
        config.write_text(
            f"""daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; user root; worker_processes 1;
events {{}}
http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {root}; }} }}
"""
        )
        self.process = subprocess.Popen(["nginx", "-c", config, "-e", root / "nginx.log"], stderr=subprocess.DEVNULL)
        eventually(self._answers, "for nginx to answer")

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/nginx.conf", timeout=10):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
