"""The image in etc/docker, as far as it can be tried without Docker.

Its command runs in a network of its own, where port 8080 is free, with the official image's variables and directory.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.distribution.test_constraints import pinned
from tests.support.daemon import BIN, clean_environment
from tests.support.needs import lacking
from tests.support.paths import ROOT

DOCKER = ROOT / "etc" / "docker"
ROOT = DOCKER.parent.parent
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE = (DOCKER / "compose.yml").read_text("utf-8")
KEY = "the key of the old container"

_VARIABLES = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080", "ATTACHMENT_KEY": KEY, "DEBUG_MODE": "false"}

_INSIDE = """
import fcntl, json, signal, socket, struct, subprocess, sys, time, urllib.request
with socket.socket() as any_socket:
    # The network of a container that has just begun is down: SIOCSIFFLAGS, IFF_UP | IFF_RUNNING.
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))
command, health, check, key = json.loads(sys.argv[1])
daemon = subprocess.Popen(command)
try:
    for _ in range(600):
        if not subprocess.run(health, capture_output=True).returncode:
            break
        time.sleep(0.05)
    print(urllib.request.urlopen("http://127.0.0.1:8080/web_asset_store.xml").read().decode())
    checked = subprocess.run(check, input=key, text=True, stdout=subprocess.PIPE)
    print(checked.stdout)
finally:
    daemon.send_signal(signal.SIGTERM)
    ended = daemon.wait()
sys.exit(checked.returncode or ended)
"""


def instruction(name: str) -> list[str]:
    """The arguments of the last instruction of that name."""
    argument = re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)[-1]
    if name == "HEALTHCHECK":
        argument = argument[argument.index("[") :]
    return list(json.loads(argument)) if argument.startswith("[") else [argument]


@pytest.mark.slow
def test_the_command_does_in_a_container_what_the_official_image_did(tmp_path: Path) -> None:
    unshare = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        lacking("no network namespaces here")
    home = tmp_path / "home"
    originals = home / "attachments" / "originals"
    originals.mkdir(parents=True)
    (originals / "from-before.txt").write_text("stored by the official server")

    check = [str(BIN / "was-daemon"), "check", "http://127.0.0.1:8080", "--key-stdin"]
    steps = [instruction("CMD"), [sys.executable, *instruction("HEALTHCHECK")[1:]], check, KEY]
    finished = subprocess.run(
        [*unshare, sys.executable, "-c", _INSIDE, json.dumps(steps)],
        cwd=home,
        env=clean_environment({**_VARIABLES, "PATH": f"{BIN}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert '<url type="read">http://127.0.0.1:8080/fileget</url>' in finished.stdout
    assert "passed" in finished.stdout
    assert {file.name for file in originals.iterdir() if file.is_file()} == {"from-before.txt"}


def test_port_volume_and_user_are_those_of_the_official_image() -> None:
    assert instruction("EXPOSE") == ["8080"]
    assert instruction("VOLUME") == ["/home/specify/attachments"] == [f"{instruction('WORKDIR')[0]}/attachments"]
    assert instruction("USER") == ["specify"]
    assert "--gid 999 specify" in DOCKERFILE
    assert "--uid 999" in DOCKERFILE
    assert "attachments:/home/specify/attachments" in COMPOSE
    assert all(f"- {variable}=" in COMPOSE for variable in _VARIABLES)


def rendered(environ: dict[str, str], *names: str) -> dict[str, Any]:
    """Compose files as Docker reads them together: tables merged, variables filled in."""

    def variable(match: re.Match[str]) -> str:
        name, required = match[1], match[2]
        assert name in environ or not required, f"{name} is not set"
        return environ.get(name, "")

    def merged(first: Any, second: Any) -> Any:
        if not (isinstance(first, dict) and isinstance(second, dict)):
            return second
        return {**first, **{name: merged(first.get(name), value) for name, value in second.items()}}

    document: dict[str, Any] = {}
    for name in names:
        text = re.sub(r"\$\{(\w+)(?::(\?)[^}]*)?\}", variable, (DOCKER / name).read_text("utf-8"))
        document = merged(document, yaml.safe_load(text))
    return document


def test_the_volume_of_another_compose_file_is_reached() -> None:
    environ = {"ATTACHMENT_KEY": KEY, "ATTACHMENTS_VOLUME": "web-asset-server_attachments"}
    document = rendered(environ, "compose.yml", "compose.existing-volume.yml")
    (server,) = document["services"].values()
    assert "attachments:/home/specify/attachments" in server["volumes"]
    assert f"ATTACHMENT_KEY={KEY}" in server["environment"]
    assert document["volumes"] == {"attachments": {"external": True, "name": "web-asset-server_attachments"}}
    assert rendered(environ, "compose.yml")["volumes"] == {"attachments": None}
    with pytest.raises(AssertionError, match="ATTACHMENTS_VOLUME is not set"):
        rendered({"ATTACHMENT_KEY": KEY}, "compose.yml", "compose.existing-volume.yml")


def test_docker_renders_both_files_alike() -> None:
    files = ["--file", str(DOCKER / "compose.yml"), "--file", str(DOCKER / "compose.existing-volume.yml")]
    command = ["docker", "compose", *files, "config", "--format", "json"]
    environ = {**os.environ, "ATTACHMENT_KEY": KEY, "ATTACHMENTS_VOLUME": "web-asset-server_attachments"}
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose here")
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    volume = json.loads(ran.stdout)["volumes"]["attachments"]
    assert (volume["external"], volume["name"]) == (True, "web-asset-server_attachments")


@pytest.mark.slow
def test_the_image_is_built_of_what_is_sent_to_docker_and_of_pinned_packages(tmp_path: Path) -> None:
    kept = re.findall(r"^!(.*)$", (DOCKER / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE)
    for name in kept:
        source, target = ROOT / name, tmp_path / "source" / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "python"], check=True)
    build = DOCKERFILE.partition("AS build")[2].partition("\nFROM ")[0]
    for command in re.findall(r"^RUN +(.*)$", build, re.MULTILINE):
        here = re.sub(r"(?<![\w/])/(source|wheels|opt)\b", rf"{tmp_path}/\1", command)
        environ = {**os.environ, "PATH": f"{tmp_path}/python/bin:/usr/bin:/bin"}
        finished = subprocess.run(["sh", "-e", "-c", here], env=environ, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    installed = tmp_path / "opt" / "was-daemon"
    subprocess.run([installed / "bin" / "was-daemon", "--version"], check=True)
    (site,) = (installed / "lib").glob("*/site-packages")
    found = {canonicalize_name(each.name): each.version for each in distributions(path=[str(site)])}
    assert {"was-daemon", "twisted", "botocore"} <= found.keys()
    assert (site / "was_daemon" / "web" / "viewer" / "openseadragon" / "openseadragon.js").exists()
    assert not {"rawpy", "numpy"} & found.keys()
    allowed = pinned(f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine()).items()
    assert found.items() - allowed == {
        (name, found[name]) for name in ("was-daemon", "pip", "setuptools") if name in found
    }
