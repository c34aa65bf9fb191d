"""The compose files in etc/docker, with real containers and networks: podman-compose stands for Docker Compose.

nginx's image is made here, of Debian's package.
"""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.distribution.test_compose import SPECIFY7
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.http_contract import BLUE, RED, plain_picture
from tests.support.needs import require
from tests.support.paths import ROOT
from tests.support.podman import IMAGE, Podman
from tests.support.ports import free_port
from tests.support.tls import self_signed

pytestmark = pytest.mark.slow

DOCKER = ROOT / "etc" / "docker"
RULES = "NETAVARK"
"""What podman calls its rules of the firewall."""
NGINX = """
FROM docker.io/library/debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends nginx && rm /etc/nginx/sites-enabled/default
CMD ["nginx", "-g", "daemon off;"]
"""
SITE = """
server {
    listen 80;
    location ~ ^/(fileget|fileupload|filedelete|getmetadata|testkey|web_asset_store.xml) {
        client_max_body_size 0;
        proxy_pass http://asset-server:8080;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""
"""What Specify 7's nginx does for the asset server."""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the images."""
    for name in ("iptables-save", "iptables-restore"):
        require(shutil.which(name), name)
    had_rules = RULES in firewall()
    podman = Podman(tmp_path_factory.mktemp("podman") / "storage")
    try:
        podman.build(tmp_path_factory.mktemp("dist"))
        podman("build", "--tag", "docker.io/library/nginx:stable", "-", stdin=NGINX.encode())
        yield podman
    finally:
        podman.remove()
        if not had_rules:
            # Podman leaves empty chains.
            kept = [line for line in firewall().splitlines() if RULES not in line]
            subprocess.run(["iptables-restore"], input="\n".join([*kept, ""]), text=True, check=True)


def firewall() -> str:
    """The rules of the firewall."""
    return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout


class Project:
    """A directory with compose files, whose containers run from `up` to `down`."""

    def __init__(self, podman: Podman, path: Path) -> None:
        self._podman = podman
        self.path = path
        self.port = free_port()
        self._files: list[str] = []
        variables = {"ATTACHMENT_KEY": KEY, "SERVER_NAME": "localhost", "LISTEN": f"127.0.0.1:{self.port}"}
        (path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def up(self, *files: str) -> None:
        """Start the containers of these files."""
        self._files = [argument for file in files for argument in ("--file", file)]
        self._compose("up", "--detach")

    def down(self) -> None:
        """End and remove the containers, and their volumes."""
        if self._files:
            self._compose("down", "--volumes", "--timeout", "5")

    def _compose(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "podman_compose", *self._files, *arguments]
        ran = subprocess.run(command, cwd=self.path, env=self._podman.environ, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def project(podman: Podman, tmp_path: Path) -> Iterator[Project]:
    project = Project(podman, tmp_path)
    yield project
    project.down()


def answer(request: str | Request, tls: ssl.SSLContext | None = None) -> bytes:
    """What is answered, also by a server that has just started."""

    def ask() -> bytes | None:
        try:
            with urlopen(request, context=tls) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    return bytes(eventually(ask, "for an answer"))


def upload(url: str, name: str, content: bytes) -> Request:
    """The request by which Specify 7 uploads a file."""
    form = Client(url, KEY).specify7_form(name)
    return Request(f"{url}/fileupload", form.around(content), {"Content-Type": form.content_type})


def test_alone(project: Project) -> None:
    shutil.copy(DOCKER / "compose.yml", project.path)
    project.up("compose.yml")
    url = f"http://127.0.0.1:{project.port}"
    assert answer(upload(url, "fish.jpg", plain_picture(RED))) == b"Ok."
    assert answer(f"{url}/fileget?filename=fish.jpg&type=O") == plain_picture(RED)
    assert answer(f"{url}/fileget?filename=fish.jpg&type=T&scale=50")


def test_with_https(project: Project) -> None:
    for file in (DOCKER / "compose.yml", DOCKER / "compose.tls.yml", ROOT / "etc/nginx/was-daemon.conf"):
        shutil.copy(file, project.path)
    certificate = self_signed(project.path)
    (project.path / "certificates").mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        shutil.copy(certificate, project.path / "certificates" / name)
    project.up("compose.yml", "compose.tls.yml")
    url, tls = f"https://localhost:{project.port}", ssl.create_default_context(cafile=certificate)
    assert answer(upload(url, "fish.jpg", plain_picture(RED)), tls) == b"Ok."
    assert answer(f"{url}/fileget?filename=fish.jpg&type=O", tls) == plain_picture(RED)
    assert b'<url type="read">https://localhost/fileget</url>' in answer(f"{url}/web_asset_store.xml", tls)


def test_in_the_place_of_the_server_in_specify_7s_file(podman: Podman, project: Project) -> None:
    services = {name: dict(SPECIFY7["services"][name]) for name in ("asset-server", "nginx")}
    (project.path / "nginx.conf").write_text(SITE)
    services["nginx"] |= {
        "image": "docker.io/library/nginx:stable",
        "ports": [f"127.0.0.1:{project.port}:80"],
        "volumes": ["./nginx.conf:/etc/nginx/conf.d/default.conf:ro"],
        "depends_on": ["asset-server"],
    }
    document = {"services": services, "volumes": {"attachments": None}}
    (project.path / "docker-compose.yml").write_text(yaml.safe_dump(document))
    shutil.copy(DOCKER / "compose.specify7.yml", project.path / "docker-compose.override.yml")
    # The volume of the official server, which has been there before.
    volume = f"{project.path.name}_attachments:/home/specify/attachments"
    originals = "/home/specify/attachments/originals"
    store = f"mkdir {originals} && cat > {originals}/before.jpg"
    podman("run", "--rm", "--interactive", "--volume", volume, IMAGE, "sh", "-c", store, stdin=plain_picture(BLUE))

    project.up("docker-compose.yml", "docker-compose.override.yml")
    url = f"http://127.0.0.1:{project.port}"
    assert answer(f"{url}/fileget?filename=before.jpg&type=O") == plain_picture(BLUE)
    assert answer(upload(url, "fish.jpg", plain_picture(RED))) == b"Ok."
    assert answer(f"{url}/fileget?filename=fish.jpg&type=T&scale=50")
    assert b'<url type="read">http://host.docker.internal/fileget</url>' in answer(f"{url}/web_asset_store.xml")
