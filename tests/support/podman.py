"""Podman with images and containers of its own, which needs of the machine only what any kernel has."""

import gzip
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from tests.support.daemon import eventually
from tests.support.needs import require
from tests.support.paths import ROOT

IMAGE = "localhost/was-daemon"

_STORAGE = """
[storage]
driver = "{driver}"
graphroot = "{directory}/images"
runroot = "{directory}/run"
"""
_CONTAINERS = """
[containers]
netns = "none"
log_driver = "k8s-file"
# Podman would raise the limits, which not every root may do.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]

[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
init_path = "/usr/bin/catatonit"
runtime = "runc"
"""
_FORWARD = """
import asyncio, socket, sys

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()

async def forward(reader, writer):
    try:
        there = await asyncio.open_connection("127.0.0.1", 8080)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

async def main():
    server = await asyncio.start_server(forward, sock=socket.socket(fileno=int(sys.argv[1])))
    await server.serve_forever()

asyncio.run(main())
"""
"""Program that runs in the network of a container, but listens in that of the tests."""


class Podman:
    """Podman, with everything it writes below `directory`."""

    def __init__(self, directory: Path) -> None:
        for name in ("buildah", "podman", "runc", "catatonit", "mmdebstrap"):
            require(shutil.which(name), name)
        require(os.geteuid() == 0, "root")
        self._directory = directory
        directory.mkdir()
        (directory / "storage.conf").write_text(_STORAGE.format(directory=directory, driver=_driver(directory)))
        (directory / "containers.conf").write_text(_CONTAINERS.format(directory=directory))
        self.environ = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            # RUN needs no namespaces but that of mounts.
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(directory),
            # Otherwise the time of the last commit.
            "SOURCE_DATE_EPOCH": "1800000000",
        }

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """Call podman, successfully; return what it printed."""
        ran = self.tried(*arguments, stdin=stdin)
        assert ran.returncode == 0, (arguments, ran.stdout, ran.stderr)
        return ran.stdout.decode().strip()

    def tried(self, *arguments: str | Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Call podman."""
        return subprocess.run(["podman", *arguments], env=self.environ, input=stdin, capture_output=True)

    def build(self, directory: Path) -> Path:
        """Build the image as `make image` does, and load it; return its archive, which is in `directory`."""
        command = ["sh", ROOT / "etc/docker/build.sh", directory, *_secrets()]
        ran = subprocess.run(command, env=self.environ, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (archive,) = directory.glob("was-daemon-*-image-*.tar.gz")
        # As the guide says it; not every podman unpacks.
        self("load", stdin=gzip.decompress(archive.read_bytes()))
        return archive

    def remove(self) -> None:
        """Remove all containers and images, and what is mounted for them."""
        self("rm", "--all", "--force", "--volumes", "--time", "0")
        self("volume", "prune", "--force")
        self("network", "prune", "--force")
        subprocess.run(["buildah", "rm", "--all"], env=self.environ, check=True, capture_output=True)
        self("rmi", "--all", "--force")
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in reversed([path for path in mounts if path.startswith(f"{self._directory}/")]):
            subprocess.run(["umount", path], check=True)


def _driver(directory: Path) -> str:
    """Return the driver of a storage in `directory`: overlays cannot be laid on overlays."""
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", directory], capture_output=True, text=True, check=True
    )
    return "vfs" if kind.stdout.startswith("overlay") else "overlay"


def _secrets() -> list[str]:
    """Return the options by which the build reaches the registries of packages as this machine does."""
    settings = {"pip.conf": "/etc/pip.conf", "ca-certificates": "/etc/ssl/certs/ca-certificates.crt"}
    return [f"--secret=id={name},src={path}" for name, path in settings.items() if Path(path).exists()]


class Container:
    """A container of the image, without network but for a port on 127.0.0.1 that leads to its port 8080.

    `options` are those of `podman run`; `command` is run in the place of the image's own.
    """

    def __init__(self, podman: Podman, options: Sequence[str] = (), command: Sequence[str] = ()) -> None:
        self._podman = podman
        self.name = f"was-{uuid4().hex}"
        podman("run", "--detach", "--name", self.name, *options, IMAGE, *command)
        self.pid = int(self.state("Pid"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            enter = ["nsenter", f"--target={self.pid}", "--net", sys.executable, "-c", _FORWARD]
            number = listening.fileno()
            self._forwarder = subprocess.Popen([*enter, str(number)], pass_fds=[number], stdin=subprocess.DEVNULL)

    def await_start(self) -> "Container":
        """Wait until the health check passes."""
        eventually(self._is_healthy, "for the container to be healthy")
        return self

    def _is_healthy(self) -> bool:
        assert self.state("Running") == "true", self.log()
        return self._podman.tried("healthcheck", "run", self.name).returncode == 0

    def state(self, name: str) -> str:
        """Return what podman says of the state of the container."""
        return self._podman("inspect", "--format", f"{{{{.State.{name}}}}}", self.name)

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command in the container, successfully; return what it printed."""
        return self._podman("exec", "--interactive", self.name, *command, stdin=stdin)

    def log(self) -> str:
        """Return what the daemon wrote."""
        ran = self._podman.tried("logs", self.name)
        return (ran.stdout + ran.stderr).decode("utf-8", "backslashreplace")

    def signal(self, name: str) -> None:
        """Send a signal to the first process."""
        self._podman("kill", "--signal", name, self.name)

    def wait(self) -> int:
        """Wait until the container has ended; return its exit code."""
        return int(self._podman("wait", self.name))

    def remove(self) -> None:
        """End and remove the container."""
        self._forwarder.kill()
        self._forwarder.wait()
        self._podman("rm", "--force", "--volumes", "--time", "0", self.name)
