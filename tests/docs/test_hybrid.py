"""docs/hybrid.md: a DAM that checks Specify's tokens sends downloads and thumbnails, and the daemon does the rest."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import attrs
import pytest
import pytest_twisted

from tests.support import images
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, clean_environment, eventually
from tests.support.guides import start_commands
from tests.support.http_contract import BLUE, RED, plain_picture, shows
from tests.support.paths import ROOT
from tests.support.ports import free_port
from was_daemon.config.load import load

EXAMPLE = ROOT / "docs" / "examples" / "hybrid_dam.py"
GUIDE = ROOT / "docs" / "hybrid.md"


@attrs.frozen
class Hybrid:
    """The daemon, and the DAM beside it on the same folder."""

    daemon: Daemon
    dam_url: str

    @property
    def folder(self) -> Path:
        return self.daemon.store

    def dam(self, key: str = KEY) -> Client:
        """A client of the DAM."""
        return Client(self.dam_url, key)

    def client(self) -> Client:
        """A client of the daemon."""
        return Client(self.daemon.url, KEY)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hybrid]:
    directory, port = tmp_path_factory.mktemp("hybrid"), free_port()
    url = f"http://127.0.0.1:{port}"
    daemon = Daemon(
        directory,
        {
            "server": {"require_token_for_get": True, "static_access": False},
            "discovery": {"read": f"{url}/specify/fileget"},
        },
    ).start()
    command = [sys.executable, EXAMPLE, daemon.store, str(port), daemon.url]
    with (directory / "dam.log").open("wb") as log:
        dam = subprocess.Popen(command, env=clean_environment({"ATTACHMENT_KEY": KEY}), stdout=log, stderr=log)
    try:
        eventually(lambda: dam.poll() is not None or _listens(port), "for the DAM to listen")
        yield Hybrid(daemon, url)
        assert "Traceback" not in (directory / "dam.log").read_text()
    finally:
        dam.terminate()
        dam.wait()
        daemon.stop()


@pytest_twisted.ensureDeferred
async def test_the_document_sends_readers_to_the_dam_and_the_rest_to_the_daemon(hybrid: Hybrid) -> None:
    document = ElementTree.fromstring((await hybrid.client().get("/web_asset_store.xml")).text)
    assert {url.get("type"): url.text for url in document.iter("url")} == {
        "read": f"{hybrid.dam_url}/specify/fileget",
        "write": f"{hybrid.daemon.url}/fileupload",
        "delete": f"{hybrid.daemon.url}/filedelete",
        "getmetadata": f"{hybrid.daemon.url}/getmetadata",
        "testkey": f"{hybrid.daemon.url}/testkey",
    }


@pytest.mark.slow
def test_the_guides_commands_work_as_they_are_printed_and_specifys_clients_are_answered(tmp_path: Path) -> None:
    [section] = [
        part for part in GUIDE.read_text("utf-8").split("\n## ") if part.startswith("An example in 40 lines\n")
    ]
    for name, target in (("docs", ROOT / "docs"), (".venv", Path(sys.prefix))):
        (tmp_path / name).symlink_to(target)
    dam, daemon = free_port(), free_port()
    changes = {"8000": str(dam), "8080": str(daemon), "twistd -n was": "twistd -n --pidfile= was"}
    printed = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for old, new in changes.items():
        printed = [commands.replace(old, new) for commands in printed]
    *servers, check = printed
    started = []
    try:
        for commands, port in zip(servers, (dam, daemon), strict=True):
            started.append(start_commands(commands, tmp_path))
            eventually(lambda port=port: started[-1].poll() is not None or _listens(port), "for a server to listen")
        finished = subprocess.run(
            ["bash", "-c", check], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert f"read is at localhost:{dam}" in finished.stdout
        different = re.findall(r"^differs\s+(.*)$", finished.stdout, re.MULTILINE)
        assert [line.partition(":")[0] for line in different] == [
            "the endpoints are where a browser may use them",
            "the web portal reads without a token",
            "a name that leads elsewhere is not read",
        ]
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest_twisted.ensureDeferred
async def test_the_dam_sends_originals_itself(hybrid: Hybrid) -> None:
    name, content = "Käfer 1.jpg", images.photograph()
    await hybrid.client().store(name, content)
    dam = hybrid.dam()
    answer = await dam.original(name, token=dam.token(name), downloadname="Käfer.jpg")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, content, "image/jpeg")
    assert "Werkzeug" in answer.headers["Server"]
    assert answer.headers["Content-Disposition"].startswith("inline;")
    assert abs(int(answer.headers["X-Timestamp"]) - time.time()) < 60
    part = await dam.original(name, token=dam.token(name), headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, content[100:200])
    # Specify 6 asks so.
    assert (await dam.original(name, token=dam.token(name), scale="null", disp="Fishes")).body == content


@pytest_twisted.ensureDeferred
async def test_the_dam_takes_only_tokens_of_the_key_the_name_and_this_time(hybrid: Hybrid) -> None:
    await hybrid.client().store("a.jpg", plain_picture(RED))
    dam, now = hybrid.dam(), int(time.time())
    good = dam.token("a.jpg", now)
    assert (await dam.original("a.jpg", token=dam.token("a.jpg", now - 140))).status == 200
    digest = good.partition(":")[0]
    for token in (
        None,
        "",
        "a:b:c",
        digest,
        f"{digest}:",
        f"{digest}:{now + 1}",
        f"{digest}: {now}",
        f"{digest}:{now}.0",
        f"{digest}:{'9' * 5000}",
        f":{now}",
        f"é{digest}:{now}",
        dam.token("b.jpg", now),
        dam.token("a.jpg", now - 200),
        dam.token("a.jpg", now + 200),
        hybrid.dam("another key").token("a.jpg", now),
    ):
        answer = await dam.original("a.jpg", token=token)
        assert (answer.status, answer.body) == (403, b"the token is not valid"), token
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["X-Timestamp"]


@pytest_twisted.ensureDeferred
async def test_the_dam_sends_nothing_but_originals(hybrid: Hybrid) -> None:
    (hybrid.folder / "secret.txt").write_text("secret")
    (hybrid.folder / "originals" / ".hidden").write_text("secret")
    dam = hybrid.dam()
    for name in (
        "../secret.txt",
        ".hidden",
        "..",
        "",
        "none.jpg",
        str(hybrid.folder / "secret.txt"),
        "a\0.jpg",
        "é" * 150,
    ):
        assert (await dam.original(name, token=dam.token(name))).status == 404, name
    # A scale is no path; the daemon refuses it.
    assert (await dam.thumbnail("a.jpg", "../originals", token=dam.token("a.jpg"))).status == 302


@pytest_twisted.ensureDeferred
async def test_thumbnails_are_the_dams_where_it_has_them_and_else_the_daemons(hybrid: Hybrid) -> None:
    client, dam = hybrid.client(), hybrid.dam()
    await client.store("p.jpg", plain_picture(RED))
    token = dam.token("p.jpg")
    redirected = await dam.thumbnail("p.jpg", 100, token=token)
    assert redirected.status == 302
    location = urlsplit(redirected.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{hybrid.daemon.url}/fileget"
    assert shows(await client.get(f"{location.path}?{location.query}"), RED)

    preview = hybrid.folder / "previews" / "100" / "p.jpg.jpg"
    preview.parent.mkdir(parents=True)
    preview.write_bytes(plain_picture(BLUE))
    answer = await dam.thumbnail("p.jpg", 100, token=token)
    assert (answer.status, answer.body) == (200, plain_picture(BLUE))
    assert (await dam.thumbnail("p.jpg", 101, token=token)).status == 302

    os.utime(preview, (1_000_000, 1_000_000))
    assert (await dam.thumbnail("p.jpg", 100, token=token)).status == 302
    await client.delete("p.jpg")
    assert (await dam.thumbnail("p.jpg", 100, token=token)).status == 404


@pytest_twisted.ensureDeferred
async def test_scripts_in_what_the_dam_sends_are_kept_from_running(hybrid: Hybrid) -> None:
    dam = hybrid.dam()
    for name, policy in (("a.html", "sandbox"), ("a.svg", "sandbox"), ("a.xml", "sandbox"), ("a.pdf", None)):
        await hybrid.client().store(name, b"<script>alert(1)</script>")
        answer = await dam.original(name, token=dam.token(name))
        assert answer.headers["Content-Security-Policy"] == policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_example_is_short_and_the_guide_quotes_it_as_it_is() -> None:
    text = EXAMPLE.read_text("utf-8")
    code = text.split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    quotations = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert quotations
    assert [quotation for quotation in quotations if quotation not in text] == []


def test_the_guides_configurations_are_right(tmp_path: Path) -> None:
    configurations = re.findall(r"^\[server\]\n.*?(?=^```|^END)", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(configurations) == 2
    for text in configurations:
        path = tmp_path / "was.toml"
        path.write_text(text.replace('key_file = "/etc/was-daemon/key"', f'key = "{KEY}"'))
        path.chmod(0o600)
        settings = load(path, {})
        assert settings.discovery.elsewhere().keys() == {"read"}
        assert (settings.warnings, settings.weak_keys) == ([], [])
