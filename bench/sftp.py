"""The SFTP store beside OpenSSH's own client, directly and through a relay that delays each direction.

The time of OpenSSH's `sftp` is that of its process less that of one that only logs in and looks around, in favour of
OpenSSH, since the store's connection is open already.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from bench.report import Figure
from bench.transfers import Rival, compare
from storage_plugins.sftp import SFTPOptions, SFTPStore
from tests.support.sshd import SSHD, USER
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.streams import read_asset

DELAY = 0.01
"""Seconds in each direction."""

_SMALL_FILES = 64
_SMALL_ROUNDS = 50
_AT_A_TIME = 16


async def sftp(directory: Path) -> list[Figure]:
    """Small files, and megabytes, per second."""
    directory.mkdir()
    server = SSHD(directory / "sshd")
    server.start()
    relay = _start_relay(server.port)
    try:
        assert relay.stdout
        delayed = int(relay.stdout.readline())
        return [
            await _small_files(server, directory / "small"),
            *await _compare(server, server.port, directory / "near", "SFTP", "at least 1.0"),
            *await _compare(server, delayed, directory / "far", f"SFTP with {2000 * DELAY:.0f} ms", "at least 0.9"),
        ]
    finally:
        relay.kill()
        relay.wait()
        server.stop()


async def near(directory: Path) -> list[Figure]:
    """Megabytes per second without a delay."""
    directory.mkdir()
    server = SSHD(directory / "sshd")
    server.start()
    try:
        return await _compare(server, server.port, directory / "near", "SFTP", "at least 1.0")
    finally:
        server.stop()


async def _compare(server: SSHD, port: int, directory: Path, what: str, target: str) -> list[Figure]:
    root = directory.with_suffix(".root")
    root.mkdir()
    openssh = _OpenSSH(server, port, root)
    store = _store(server, port, root)
    return await compare(store, Rival("sftp", openssh.upload, openssh.download), directory, what, target)


def _store(server: SSHD, port: int, root: Path) -> SFTPStore:
    options = SFTPOptions(
        host="127.0.0.1",
        port=port,
        user=USER,
        path=str(root),
        identity_file=server.user_key,
        fingerprint=server.fingerprint(),
    )
    return SFTPStore(options)


async def _small_files(server: SSHD, root: Path) -> Figure:
    """Files of the size of a thumbnail that are opened and read in a second."""
    keys = [AssetKey("", Kind.THUMBNAIL, f"{number}.jpg") for number in range(_SMALL_FILES)]
    (root / "thumbnails").mkdir(parents=True)
    for key in keys:
        (root / "thumbnails" / key.name).write_bytes(os.urandom(8000))
    store = _store(server, server.port, root)
    await store.check()
    waiting = iter(keys * _SMALL_ROUNDS)

    async def read() -> None:
        for key in waiting:
            await read_asset(store, key)

    begin = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(read()) for _ in range(_AT_A_TIME)])
    rate = _SMALL_FILES * _SMALL_ROUNDS / (time.perf_counter() - begin)
    await store.close()
    return Figure(f"SFTP, files of 8 KB, {_AT_A_TIME} at a time", "/s", rate, "", None, None, "at least 800")


def _start_relay(port: int) -> subprocess.Popen[str]:
    """A delaying relay in a process of its own, so that it takes nobody's share of this one; it prints its port."""
    command = [sys.executable, str(Path(__file__).with_name("relay.py")), str(port), str(DELAY)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class _OpenSSH:
    """OpenSSH's `sftp`, one process for each command."""

    def __init__(self, server: SSHD, port: int, root: Path) -> None:
        settings = [
            f"Port={port}",
            f"IdentityFile={server.user_key}",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ]
        self._command = [
            "sftp",
            "-F",
            "none",
            *(f"-o{setting}" for setting in settings),
            "-b",
            "-",
            f"{USER}@127.0.0.1",
        ]
        self._file = root / "theirs"

    async def upload(self, source: Path) -> float:
        return await self._run(f"put -f {source} {self._file}\n") - await self._run("pwd\n")

    async def download(self, target: Path) -> float:
        return await self._run(f"get {self._file} {target}\n") - await self._run("pwd\n")

    async def _run(self, line: str) -> float:
        begin = time.perf_counter()
        # In a thread, because the relay's and the store's connections have to be served meanwhile.
        await deferToThread(
            subprocess.run, self._command, input=line.encode(), check=True, stdout=subprocess.DEVNULL, timeout=300
        )
        return time.perf_counter() - begin
