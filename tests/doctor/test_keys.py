"""The attachment key: easy to guess, or another one than Specify's."""

import json
import re
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.cli import write_config
from tests.support.daemon import KEY, Daemon
from tests.support.examined import only, patient
from was_daemon.config.secret_files import SecretFile
from was_daemon.doctor import keys
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.patient import SpecifySite
from was_daemon.model import tokens

SESSION = "a-session-of-somebody"


class Specify7:
    """What Specify 7 answers to a browser about its asset server: tokens of its key, by its clock, and addresses."""

    def __init__(self) -> None:
        self.key, self.clock, self.offset, self.needs_login = KEY, 0.0, 0, False
        self.urls = {"read": "https://assets.example.org/fileget"}
        specify = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if specify.needs_login and self.headers["Cookie"] != f"sessionid={SESSION}":
                    self._answer(403, "text/html", "")
                elif parts.path == "/attachment_gw/get_token/":
                    name = parse_qs(parts.query)["filename"][0]
                    told = tokens.sign(specify.key, name, int(time.time()) + specify.offset) if specify.key else "{}"
                    self._answer(200, "text/plain", told)
                else:
                    self._answer(200, "application/json", json.dumps(specify.urls))

            def _answer(self, status: int, kind: str, body: str) -> None:
                self.send_response_only(status)
                self.send_header("Date", formatdate(time.time() + specify.clock, usegmt=True))
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Not to the tests' output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def specify() -> Iterator[Specify7]:
    """A Specify 7 with the same key."""
    site = Specify7()
    thread = Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def found_with(directory: Path, url: str, session: str | None = None, **server: object) -> list[Finding]:
    config = write_config(directory, {"main": {"plugin": "filesystem", "path": directory}}, server=server)
    path = directory / "session"
    path.write_text(f"{session}\n")
    path.chmod(0o600)
    site = SpecifySite(url, SecretFile(path) if session else None)
    return list(keys.look_at_specify(patient(config, specify=site)))


PUBLIC = {"public_url": "https://assets.example.org"}


def test_specify_with_the_same_key_and_time_is_well(tmp_path: Path, specify: Specify7) -> None:
    found = found_with(tmp_path, specify.url, **PUBLIC)
    assert [each.state for each in found] == [State.OK], found
    assert KEY not in str(found)


def test_specify_with_another_key_is_told_without_either(tmp_path: Path, specify: Specify7) -> None:
    specify.key = "another key than here"
    found = found_with(tmp_path, specify.url, **PUBLIC)
    finding = only(found)
    assert finding.message == f"{specify.url} signs with another key than server.key"
    assert "ASSET_SERVER_KEY" in str(finding.remedy)
    assert specify.key not in str(found)


def test_clocks_that_differ_are_told(tmp_path: Path, specify: Specify7) -> None:
    specify.clock = -600
    found = found_with(tmp_path, specify.url, **PUBLIC)
    told = only(found, State.WARNING).message
    assert re.fullmatch("this machine's clock is 60[0-9] s ahead of that of 127.0.0.1", told)
    specify.clock, specify.offset = 0, -1000
    assert re.search("are 100[0-9] s old, and may be 150 s", only(found_with(tmp_path, specify.url, **PUBLIC)).message)


def test_specify_asks_for_a_login(tmp_path: Path, specify: Specify7) -> None:
    specify.needs_login = True
    finding = only(found_with(tmp_path, specify.url, **PUBLIC), State.SKIPPED)
    assert "--specify-session FILE" in str(finding.remedy)
    assert [each.state for each in found_with(tmp_path, specify.url, SESSION, **PUBLIC)] == [State.OK]


def test_specify_with_another_asset_server_or_none_is_told(tmp_path: Path, specify: Specify7) -> None:
    specify.urls = {"read": "https://old.example.org/fileget"}
    assert "uses the asset server of old.example.org" in only(found_with(tmp_path, specify.url, **PUBLIC)).message
    specify.urls = {}
    assert "has no asset server in use" in only(found_with(tmp_path, specify.url, **PUBLIC)).message
    specify.key = ""
    assert "has no key of an asset server" in only(found_with(tmp_path, specify.url, **PUBLIC)).message


def test_an_address_by_http_for_pages_by_https_is_told(tmp_path: Path) -> None:
    found = found_with(tmp_path, "https://127.0.0.1:1", public_url="http://assets.example.org")
    assert "browsers refuse such mixed content" in found[0].message
    assert "no answer from https://127.0.0.1:1" in found[1].message


def test_a_discovery_document_is_read_as_specify_does(tmp_path: Path, filesystem_daemon: Daemon) -> None:
    document = f"{filesystem_daemon.url}/web_asset_store.xml"
    assert [each.state for each in found_with(tmp_path, document)] == [State.OK]
    finding = only(found_with(tmp_path, document, key="another key than theirs"))
    assert "the key is the server's: 403" in finding.message


def test_without_an_address_it_is_skipped_with_how_to_ask(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}})
    finding = only(keys.look_at_specify(patient(config)), State.SKIPPED)
    assert "--specify" in str(finding.remedy)


@pytest.mark.parametrize(
    ("server", "state", "words"),
    [
        ({}, State.OK, "not easy to guess"),
        ({"key": "short"}, State.FAILED, "fewer than 8 characters"),
        ({"key": "test_attachment_key"}, State.FAILED, "an example in public documentation"),
        ({"key": "", "insecure_no_key": True}, State.WARNING, "anybody who reaches the server may upload"),
        ({"key": ""}, State.SKIPPED, "as a mistake in the configuration says"),
    ],
)
def test_the_strength_of_the_key_is_told(tmp_path: Path, server: dict[str, object], state: State, words: str) -> None:
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}}, server=server)
    (finding,) = keys.look(patient(config))
    assert (finding.state, words in finding.message) == (state, True), finding
