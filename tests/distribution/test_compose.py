"""The compose files in etc/docker, merged as compose does it, and the site of nginx in one of them."""

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon
from tests.support.http_contract import RED, plain_picture
from tests.support.nginx_site import NginxSite
from tests.support.paths import ROOT
from tests.support.tls import self_signed

DOCKER = ROOT / "etc" / "docker"
VOLUME = "attachments:/home/specify/attachments"
NAME = "assets.museum.example"

SPECIFY7 = {
    "services": {
        "specify7": {
            "image": "specify7",
            "environment": ["ASSET_SERVER_URL=http://host.docker.internal/web_asset_store.xml"],
        },
        "asset-server": {
            "image": "specifyconsortium/specify-asset-service",
            "init": True,
            "volumes": [VOLUME],
            "environment": [
                "SERVER_NAME=host.docker.internal",
                "SERVER_PORT=80",
                f"ATTACHMENT_KEY={KEY}",
                "DEBUG_MODE=false",
            ],
        },
        "nginx": {"image": "nginx:alpine", "ports": ["80:80"]},
    },
    "volumes": {"attachments": None, "database": None},
}
"""What matters of Specify 7's own compose file, of 2026."""


DOCKER_STANDIN = """#!/bin/sh
# docker compose [--file FILE]... up --detach: what would be started.
shift
files=""
while [ "$1" = --file ]; do
    files="$files --file $2"
    shift 2
done
exec "{python}" -m podman_compose --podman-path "$(dirname "$0")/podman" $files config
"""
PODMAN_STANDIN = """#!/bin/sh
# All that podman-compose asks of podman for this is its version.
echo podman version 5.0.0
"""


class Directory:
    """A directory with Specify 7's compose file, in which podman-compose merges it with those of etc/docker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "docker-compose.yml").write_text(yaml.safe_dump(SPECIFY7))
        (path / "bin").mkdir()
        for name, text in {"docker": DOCKER_STANDIN.format(python=sys.executable), "podman": PODMAN_STANDIN}.items():
            (path / "bin" / name).write_text(text)
            (path / "bin" / name).chmod(0o755)

    def env(self, **variables: str) -> None:
        """Write the file `.env`."""
        (self.path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def config(self, *files: str) -> dict[str, Any]:
        """Return what files say together: those of etc/docker, or the compose file of Specify 7."""
        for name in {*files} - {"docker-compose.yml"}:
            shutil.copy(DOCKER / name, self.path)
        named = " ".join(f"--file {name}" for name in files)
        return self.run(f"docker compose {named} up --detach")

    def follow(self, section: str, replaced: tuple[str, str] = ("", "")) -> dict[str, Any]:
        """Run the commands of a section of the guide, with something replaced; return what is started."""
        text = (ROOT / "docs" / "containers.md").read_text("utf-8")
        (block,) = re.findall(
            rf"^## {section}\n(?:(?!## ).*\n)*?<!-- tried: tests/distribution/test_compose\.py .*\n```sh\n([^`]*)```",
            text,
            re.M,
        )
        return self.run(block.replace("/opt/was-daemon", str(ROOT)).replace(*replaced))

    def run(self, commands: str) -> dict[str, Any]:
        """Run commands, successfully."""
        ran = self.tried(commands)
        assert ran.returncode == 0, ran.stderr
        return dict(yaml.safe_load(ran.stdout))

    def tried(self, commands: str) -> "subprocess.CompletedProcess[str]":
        """Run commands."""
        environ = {"PATH": f"{self.path}/bin:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-euc", commands], cwd=self.path, env=environ, capture_output=True, text=True)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def environment(service: dict[str, Any]) -> dict[str, str]:
    """The variables of a service, however they are written."""
    given = service["environment"]
    return dict(given) if isinstance(given, dict) else dict(each.partition("=")[::2] for each in given)


def test_it_takes_the_place_of_the_server_in_specify_7s_file(directory: Directory) -> None:
    before, after = directory.config("docker-compose.yml"), directory.follow("In Specify 7's compose file")
    old, new = (each["services"].pop("asset-server") for each in (before, after))
    assert after == before
    assert new["image"] == "localhost/was-daemon"
    assert new["pull_policy"] == "never"
    assert [new["volumes"], new["init"]] == [old["volumes"], old["init"]]
    variables = environment(new)
    assert variables.pop("TRUSTED_PROXIES")
    assert variables == environment(old)
    assert not new["ports"]


def test_it_is_confined_alike_alone_and_in_specify_7s_file(directory: Directory) -> None:
    directory.env(ATTACHMENT_KEY="a key", SERVER_NAME=NAME)
    alone = directory.config("compose.yml")["services"]["asset-server"]
    swapped = directory.config("docker-compose.yml", "compose.specify7.yml")["services"]["asset-server"]
    names = (
        "image",
        "pull_policy",
        "restart",
        "init",
        "stop_grace_period",
        "read_only",
        "tmpfs",
        "cap_drop",
        "security_opt",
    )
    for name in names:
        assert alone[name] == swapped[name], name
    assert alone["volumes"] == swapped["volumes"] == [VOLUME]


def test_alone_it_is_told_its_address_and_key(directory: Directory) -> None:
    directory.env(ATTACHMENT_KEY="a key", SERVER_NAME=NAME)
    document = directory.config("compose.yml")
    server = document["services"]["asset-server"]
    assert server["ports"] == ["8080:8080"]
    variables = environment(server)
    assert variables["ATTACHMENT_KEY"] == "a key"
    assert (variables["SERVER_NAME"], variables["SERVER_PORT"]) == (NAME, "8080")
    # Without a name of its own it is called after the directory, as that of the official compose file is.
    assert document["volumes"] == {"attachments": None}
    directory.env(ATTACHMENT_KEY="a key", SERVER_NAME=NAME, SERVER_PORT="443", LISTEN="127.0.0.1:8080")
    server = directory.config("compose.yml")["services"]["asset-server"]
    assert server["ports"] == ["127.0.0.1:8080:8080"]
    assert environment(server)["SERVER_PORT"] == "443"


def test_what_must_be_told_is_asked_for(directory: Directory) -> None:
    directory.env(SERVER_NAME=NAME)
    shutil.copy(DOCKER / "compose.yml", directory.path)
    ran = directory.tried("docker compose --file compose.yml up --detach")
    assert ran.returncode != 0
    assert "the key that Specify knows too" in ran.stderr + ran.stdout


@pytest.mark.parametrize("alone", [True, False])
def test_with_https_only_nginx_reaches_the_daemon(directory: Directory, alone: bool) -> None:
    directory.env(ATTACHMENT_KEY="a key", SERVER_NAME=NAME)
    for name in ("fullchain.pem", "privkey.pem"):
        (directory.path / name).touch()
    if alone:
        shutil.copy(DOCKER / "compose.yml", directory.path / "docker-compose.yml")
        services = directory.follow("With https")["services"]
    else:
        directory.follow("In Specify 7's compose file")
        between = (" --file compose.tls.yml", " --file docker-compose.override.yml --file compose.tls.yml")
        services = directory.follow("With https", between)["services"]
    server = services["asset-server"]
    assert not server.get("ports")
    variables = environment(server)
    assert (variables["SERVER_NAME"], variables["SERVER_PORT"]) == (NAME, "443")
    assert variables["TRUSTED_PROXIES"]
    assert services["asset-tls"]["ports"] == ["443:443"]
    for line in services["asset-tls"]["volumes"]:
        assert (directory.path / line.split(":")[0]).exists()


# -- nginx -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """The daemon with what the variables of the container tell it."""
    settings = {"public_url": f"https://{NAME}", "trusted_proxies": ["127.0.0.1"]}
    daemon = Daemon(tmp_path / "daemon", {"server": settings}).start()
    yield daemon
    daemon.stop()


def site_of_container(directory: Path) -> Path:
    """Have the command of the container write its site; return the file."""
    service = yaml.load((DOCKER / "compose.tls.yml").read_text("utf-8"), _Loader)["services"]["asset-tls"]
    mounted = {line.split(":")[1] for line in service["volumes"]}
    assert mounted == {"/etc/was-daemon.conf", "/etc/certificates"}
    site = directory / "default.conf"
    command = [part.replace("$$", "$") for part in service["command"]]
    script = command[-1].replace("/etc/was-daemon.conf", str(ROOT / "etc/nginx/was-daemon.conf"))
    script = script.replace("/etc/nginx/conf.d/default.conf", str(site)).replace("exec nginx", "echo nginx")
    ran = subprocess.run(
        [*command[:-1], script], env={**os.environ, "SERVER_NAME": NAME}, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "nginx -g daemon off;\n", "")
    return site


class _Loader(yaml.SafeLoader):
    """YAML with the tags of compose."""


_Loader.add_constructor("!reset", lambda loader, node: None)


@pytest.mark.slow
def test_nginx_serves_it_by_https(daemon: Daemon, tmp_path: Path) -> None:
    file = site_of_container(tmp_path)
    text = file.read_text("utf-8")
    assert text.count("server asset-server:8080;") == 1
    assert text.count(f"server_name {NAME};") == 2
    assert re.findall(r"ssl_certificate\w* +(.*);", text) == [
        "/etc/certificates/fullchain.pem",
        "/etc/certificates/privkey.pem",
    ]
    # Where there is no name server of Docker's.
    file.write_text(text.replace("asset-server:8080", "127.0.0.1:8080"))
    certificate = self_signed(tmp_path)
    site = NginxSite(tmp_path / "nginx", daemon, certificate=certificate, site=file).start()
    try:
        tls = ssl.create_default_context(cafile=certificate)
        form = Client(site.url, KEY).specify7_form("fish.jpg")
        headers = {"Content-Type": form.content_type}
        upload = Request(f"{site.url}/fileupload", form.around(plain_picture(RED)), headers)
        with urlopen(upload, context=tls) as answer:
            assert answer.read() == b"Ok."
        with urlopen(f"{site.url}/fileget?filename=fish.jpg&type=O", context=tls) as answer:
            assert answer.read() == plain_picture(RED)
        with urlopen(f"{site.url}/web_asset_store.xml", context=tls) as answer:
            assert f'<url type="read">https://{NAME}/fileget</url>' in answer.read().decode()
        assert site.complaints() == []
    finally:
        site.stop()
