"""The viewer in a browser where addresses expire, servers stop, and proxies stand between."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import images, tiffs
from tests.support.browser import Page
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, Document
from tests.support.viewer import SETTLED, SIZE, box, of_panel, scan, settle, text

pytestmark = pytest.mark.slow


@contextmanager
def running(directory: Path, config: Document | None = None) -> Iterator[Daemon]:
    """A daemon with a configuration of its own."""
    daemon = Daemon(directory / "daemon", config).start()
    yield daemon
    daemon.stop()


def test_an_address_that_expires_while_it_is_looked_at_is_explained(tolerant_page: Page, tmp_path: Path) -> None:
    page = tolerant_page
    with running(tmp_path, {"server": {"require_token_for_get": True}}) as daemon:
        (daemon.store / "originals").mkdir(parents=True, exist_ok=True)
        (daemon.store / "originals" / "scan.jpg").write_bytes(scan())
        token = Client(daemon.url, KEY).token("scan.jpg")
        page.open(f"{daemon.url}/view?filename=scan.jpg&token={token}")
        settle(page)
        assert box(page) == (0, 0, *SIZE)
        assert token not in page.evaluate("document.documentElement.outerHTML + location.href")
        assert not any(token in each for each in page.requests[1:])
        assert "Addresses are valid until" in str(of_panel(page, "panel.facts().flat()"))
        # As after a day.
        daemon.write_config({"server": {"require_token_for_get": True, "key": "another key of the server"}})
        daemon.stop()
        daemon.start()
        page.press("+")
        page.press("+")
        page.press("+")
        page.wait_for("!document.querySelector('.problem').hidden")
        assert text(page, ".problem h2") == "This address is not valid, or no longer"
        page.evaluate("location.reload()")
        page.wait_for("document.querySelector('.problem h2')?.innerText.startsWith('This address')")


def test_a_server_that_is_away_can_be_asked_again(tolerant_page: Page, tmp_path: Path) -> None:
    page = tolerant_page
    with running(tmp_path) as daemon:
        (daemon.store / "originals").mkdir(parents=True, exist_ok=True)
        (daemon.store / "originals" / "pages.tif").write_bytes(
            tiffs.two_pages(images.chart((900, 600)), images.chart((900, 600)), reduced=False)
        )
        page.open(f"{daemon.url}/view?filename=pages.tif")
        settle(page)
        daemon.stop()
        page.press("PageDown")
        page.wait_for("!document.querySelector('.problem').hidden")
        assert text(page, ".problem h2") == "The server cannot be reached"
        daemon.start()
        page.click(".problem button")
        page.wait_for(f"document.querySelector('.problem').hidden && {SETTLED}")
        assert of_panel(page, "panel.information.width") == 900


class _Prefixed(BaseHTTPRequestHandler):
    """A proxy that serves the daemon below the path `/assets`, and nothing else."""

    daemon_url = ""

    def do_GET(self) -> None:
        path = self.path.removeprefix("/assets")
        if path == self.path:
            self.send_error(404)
            return
        try:
            answer: Any = urllib.request.urlopen(self.daemon_url + path)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in ("Content-Length", "Date", "Server", "Connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_it_works_below_a_path_of_a_proxy(page: Page, tmp_path: Path) -> None:
    handler = type("Handler", (_Prefixed,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        public = f"http://127.0.0.1:{proxy.server_port}/assets"
        with running(tmp_path, {"server": {"public_url": public}}) as daemon:
            handler.daemon_url = daemon.url  # type: ignore[attr-defined]
            (daemon.store / "originals").mkdir(parents=True, exist_ok=True)
            (daemon.store / "originals" / "scan.jpg").write_bytes(scan())
            page.open(f"{public}/view?filename=scan.jpg")
            settle(page)
            assert box(page) == (0, 0, *SIZE)
            of_panel(page, "await panel.metadata")
            assert page.requests and all(each.startswith(f"{public}/") for each in page.requests)
            # By another address than the public one, too.
            page.open(f"{daemon.url}/view?filename=scan.jpg")
            settle(page)
            assert box(page) == (0, 0, *SIZE)
        proxy.shutdown()
