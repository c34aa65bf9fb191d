"""How fast the SFTP store is beside OpenSSH's own client: `python bench/sftp.py [--megabytes 200] [--rounds 3]`.

Both move the same file to and from the same sshd, in turns, directly and through a relay that delays each direction.
The time of OpenSSH's `sftp` is that of its process less that of one that only logs in and looks around, in favour of
OpenSSH, since the store's connection is open already. Prints the medians in MB/s and their ratio.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react

sys.path.insert(0, str(Path(__file__).parents[1]))

from storage_plugins.sftp import SFTPOptions, SFTPStore, sftp
from tests.sshd import SSHD, USER
from was_daemon.keys import AssetKey, Kind

KEY = AssetKey("", Kind.ORIGINAL, "bench.bin")


async def pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 18):
            yield piece


async def put(store: SFTPStore, source: Path) -> float:
    start = time.perf_counter()
    async with aclosing(pieces(source)) as chunks:
        await store.write(KEY, chunks)
    return time.perf_counter() - start


async def get(store: SFTPStore, target: Path) -> float:
    start = time.perf_counter()
    reader = await store.open(KEY)
    with target.open("wb") as file:
        async with aclosing(reader.read()) as chunks:
            async for chunk in chunks:
                file.write(chunk)
    await reader.close()
    return time.perf_counter() - start


class OpenSSH:
    """OpenSSH's `sftp`, one process for each command."""

    def __init__(self, server: SSHD, port: int) -> None:
        settings = [
            f"Port={port}",
            f"IdentityFile={server.user_key}",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ]
        self.command = ["sftp", "-F", "none", *(f"-o{setting}" for setting in settings), "-b", "-", f"{USER}@127.0.0.1"]

    async def run(self, line: str) -> float:
        from twisted.internet.threads import deferToThread

        start = time.perf_counter()
        await deferToThread(
            subprocess.run, self.command, input=line.encode(), check=True, stdout=subprocess.DEVNULL, timeout=300
        )
        return time.perf_counter() - start


async def compare(store: SFTPStore, openssh: OpenSSH, directory: Path, rounds: int, megabytes: int) -> None:
    source, root = directory / "source", directory / "root"
    times: dict[str, list[float]] = {"put": [], "sftp put": [], "get": [], "sftp get": []}
    await put(store, source)
    for _ in range(rounds):
        login = await openssh.run("pwd\n")
        times["put"].append(await put(store, source))
        times["sftp put"].append(await openssh.run(f"put -f {source} {root}/theirs\n") - login)
        times["get"].append(await get(store, directory / "ours"))
        times["sftp get"].append(await openssh.run(f"get {root}/theirs {directory}/theirs\n") - login)
        assert (directory / "ours").stat().st_size == (directory / "theirs").stat().st_size
    for direction in ("put", "get"):
        ours, theirs = (megabytes / statistics.median(times[name]) for name in (direction, f"sftp {direction}"))
        print(f"  {direction}: ours {ours:6.1f} MB/s, sftp {theirs:6.1f} MB/s, ratio {ours / theirs:.2f}", flush=True)


def start_relay(port: int, delay: float) -> subprocess.Popen[str]:
    """A delaying relay in a process of its own, so that it takes nobody's share of this one; it prints its port."""
    command = [sys.executable, str(Path(__file__).with_name("relay.py")), str(port), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def main(_reactor: object, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        directory = Path(name)
        (directory / "root").mkdir()
        with (directory / "source").open("wb") as file:
            for _ in range(arguments.megabytes):
                file.write(os.urandom(1_000_000))
        server = SSHD(directory / "sshd")
        server.start()
        relay = start_relay(server.port, arguments.delay)
        try:
            delayed = int(relay.stdout.readline())
            for title, port in (("loopback", server.port), (f"{arguments.delay * 1000:.0f} ms each way", delayed)):
                print(title)
                options = SFTPOptions(
                    host="127.0.0.1",
                    port=port,
                    user=USER,
                    path=str(directory / "root"),
                    identity_file=server.user_key,
                    fingerprint=server.fingerprint(),
                )
                store = sftp.create(options)
                await compare(store, OpenSSH(server, port), directory, arguments.rounds, arguments.megabytes)
                await store.close()
        finally:
            relay.kill()
            relay.wait()
            server.stop()
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.01, help="seconds in each direction")
    parser.add_argument("--directory", type=Path, help="where to put the files")
    chosen = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, chosen)))
