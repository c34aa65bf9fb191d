"""A daemon with originals in several collections for the tests of the gallery, and its administrator."""

import io
import re
import sqlite3
import urllib.request
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from PIL import Image

from tests.support.client import Client
from tests.support.console import Answer, ConsoleServer
from tests.support.daemon import KEY, eventually

FISH, BIRDS = "Fish & <Chips>", "Birds \"1\" '2'"
COLLECTIONS = {"mode": "map", "map": {FISH: {"directory": "fish"}, BIRDS: {"directory": "birds"}}}
HOSTILE = "\"'><img src=x onerror=alert(1)>&amp;#?%41+\u202e.jpg"
KEPT = {"trash": {"keep": "30 days", "replaced": True}}


class Museum:
    """A running daemon; `admin` is logged in to its console. Without `catalogue` it has none."""

    def __init__(self, directory: Path, config: dict[str, Any] | None = None, catalogue: bool = True) -> None:
        self.catalogue = directory / "catalogue.sqlite"
        self.has_catalogue = catalogue
        sections: dict[str, Any] = {**(config or {})}
        if catalogue:
            sections.setdefault("catalogue", {"path": self.catalogue})
            self.catalogue = Path(sections["catalogue"]["path"])
            sections["server"] = {"require_token_for_get": "private", **sections.get("server", {})}
        self.console = ConsoleServer(directory, sections).start()
        self.daemon = self.console.daemon
        self.client = Client(self.daemon.url, KEY)
        if sections.get("server", {}).get("workers", 1) > 1:
            self.daemon.await_processes()
        self.admin = self.console.visitor()

    def put_all(self, *originals: tuple[str, bytes, str | None]) -> None:
        """Upload originals, one after the other, and wait until the catalogue has them."""
        for original in originals:
            self._upload(*original)
        for name, _, _ in originals:
            self.await_rows("assets", name)

    def put(self, name: str, content: bytes, coll: str | None = None) -> None:
        """Upload an original, and wait until the catalogue has it."""
        self.put_all((name, content, coll))

    def _upload(self, name: str, content: bytes, coll: str | None) -> None:
        form = self.client.specify7_form(name, coll=coll)
        headers = {"Content-Type": form.content_type}
        request = urllib.request.Request(f"{self.daemon.url}/fileupload", form.around(content), headers)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def delete(self, name: str, coll: str | None = None) -> None:
        """Delete an original."""
        fields = {"filename": name, "token": self.client.token(name), **({"coll": coll} if coll else {})}
        with urllib.request.urlopen(f"{self.daemon.url}/filedelete", urlencode(fields).encode()) as answer:
            assert answer.status == 200

    def await_rows(self, table: str, name: str, count: int = 1) -> None:
        """Wait until a table of the catalogue has so many rows of a name."""
        if self.has_catalogue:
            eventually(lambda: self.rows(table, name) >= count, f"for {name} in {table}")

    def rows(self, table: str, name: str) -> int:
        """The number of rows of a name in a table of the catalogue."""
        query = f"SELECT COUNT(*) FROM {table} WHERE name = ?"
        try:
            return int(self.read(query, name)[0][0])
        except sqlite3.OperationalError:
            return 0

    def read(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query of the catalogue, or what it changes there."""
        connection = sqlite3.connect(self.catalogue, timeout=30)
        try:
            with connection:
                return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the daemon."""
        self.daemon.stop()


def asset(name: str, coll: str = FISH, **fields: str) -> str:
    """The address of the page of an original."""
    return f"gallery/asset?{urlencode({'collection': coll, 'name': name, **fields}, quote_via=quote)}"


def look(what: str, name: str, coll: str = FISH, **fields: Any) -> str:
    """The address of something that pages show of an original."""
    return f"gallery/look/{what}?{urlencode({'coll': coll, 'filename': name, **fields}, quote_via=quote)}"


def names(answer: Answer) -> list[str]:
    """The names of the originals on a page of the gallery."""
    return [unescape(name) for name in re.findall(r'<span class="name"><bdi>(.*?)</bdi>', answer.text)]


def links(answer: Answer) -> dict[str, str]:
    """The addresses of links by their texts."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', answer.text, re.DOTALL)
    return {re.sub("<[^>]*>", "", text): unescape(target) for target, text in found}


def text_of(answer: Answer) -> str:
    """The text of a page, without its elements."""
    return unescape(re.sub("<[^>]*>", "", answer.text))


def picture(answer: Answer) -> Image.Image:
    """The picture that was sent."""
    return Image.open(io.BytesIO(answer.body))
