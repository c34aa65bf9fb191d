"""The asset server under test, as a client of Specify's sees it."""

import time
from collections.abc import Mapping
from secrets import randbelow
from urllib.parse import quote, urlencode, urljoin
from uuid import uuid4

import attrs

from was_daemon.conformance.client import Answer, HttpClient, Unanswered
from was_daemon.conformance.forms import Form, specify6_form, specify7_form
from was_daemon.conformance.results import CheckFailed, CheckSkipped
from was_daemon.model import tokens

ORIGIN = "https://specify.example.org"
"""Origin of the page in the browser that the checks imitate."""

_ORIGIN_HEADER = {"Origin": ORIGIN}


@attrs.define
class Server:
    """Asset server whose discovery document is at `url`.

    `key` is None for a server that has none; without a `collection` that field is left out. `endpoints` is the content
    of the discovery document, by type; `clock_offset` is how many seconds the server's clock is ahead of this one.
    `answers` are all answers received, without their bodies. `not_deleted` are names whose deletion failed;
    `left_thumbnails` describe thumbnails that the server still has of assets that it deleted.
    """

    url: str
    key: str | None
    collection: str | None
    http: HttpClient
    endpoints: dict[str, str] = attrs.field(factory=dict)
    clock_offset: int = 0
    answers: list[Answer] = attrs.field(factory=list)
    not_deleted: list[str] = attrs.field(factory=list)
    left_thumbnails: list[str] = attrs.field(factory=list)
    _created: set[tuple[str, str | None, str | None]] = attrs.field(factory=set)
    _scales: dict[str, set[str]] = attrs.field(factory=dict)

    def new_name(self, ending: str = ".jpg") -> str:
        """Return an unused name, as Specify 7 makes them."""
        return f"{uuid4()}{ending}"

    def new_specify6_name(self) -> str:
        """Return an unused name, as Specify 6 makes them."""
        return f"sp6{randbelow(10**18):018}.att.jpg"

    def token(self, name: str, age: int = 0) -> str:
        """Return the token for `name`, signed `age` seconds ago by the server's clock; empty without a key."""
        if self.key is None:
            return ""
        return tokens.sign(self.key, name, int(time.time()) + self.clock_offset - age)

    def require_key(self) -> str:
        """Return the key; raise `CheckSkipped` when there is none."""
        if self.key is None:
            raise CheckSkipped("no key was given, so the server cannot tell who may do what")
        return self.key

    # -- requests ------------------------------------------------------------------------------------------------------

    def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request and return its answer; raise `Unanswered`."""
        answer = self.http.request(method, url, headers, body)
        self.answers.append(attrs.evolve(answer, body=b""))
        return answer

    def get(
        self, kind: str, fields: Mapping[str, str | None], *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send GET to an endpoint and return the answer; fields that are None are left out."""
        return self.request(method, self._address(self.endpoints[kind], fields), headers)

    def _address(self, url: str, fields: Mapping[str, str | None]) -> str:
        query = urlencode({field: value for field, value in fields.items() if value is not None}, quote_via=quote)
        return f"{url}{'&' if '?' in url else '?'}{query}"

    def original(self, name: str, *, method: str = "GET", headers: dict[str, str] | None = None, **more: str) -> Answer:
        """GET an original, as Specify 7's back end does; `more` are further fields."""
        fields = {"filename": name, "coll": self.collection, "type": "O", "token": self.token(name) or None, **more}
        return self.get("read", fields, method=method, headers=headers)

    def thumbnail(self, name: str, scale: str = "123") -> Answer:
        """GET a thumbnail, as a browser does."""
        self._note_thumbnail(name, scale)
        fields = {"coll": self.collection, "type": "T", "filename": name, "scale": scale}
        return self.get("read", {**fields, "token": self.token(name) or None})

    def metadata(self, name: str, dt: str) -> Answer:
        """GET the metadata of an asset; `dt` is "json" or "date"."""
        fields = {"filename": name, "coll": self.collection, "dt": dt, "token": self.token(name) or None}
        return self.get("getmetadata", fields)

    def _note_thumbnail(self, name: str, scale: str) -> None:
        if scale.isdecimal():
            self._scales.setdefault(name, set()).add(scale)

    def reference(self, name: str, scale: str | None = None) -> Answer:
        """GET the address below /static/ of an original, or of its thumbnail at `scale`, as older web portals do.

        Raises `CheckSkipped` when the server has none.
        """
        if scale:
            self._note_thumbnail(name, scale)
        url = urljoin(self.endpoints["read"], "getfileref")
        fields = {"coll": self.collection, "type": "T" if scale else "O", "filename": name, "scale": scale}
        answer = self.request("GET", self._address(url, fields))
        if answer.status in (404, 403, 405, 501):
            raise CheckSkipped(f"the server has no getfileref ({answer.status}), which only older web portals use")
        return answer

    def preflight(self, url: str) -> Answer:
        """Send the OPTIONS request with which a browser asks whether it may upload."""
        return self.request("OPTIONS", url, {**_ORIGIN_HEADER, "Access-Control-Request-Method": "POST"})

    def upload(self, name: str, content: bytes | None, token: str | None = None, **changes: str | None) -> Answer:
        """Upload as Specify 7's browser does; `changes` replace fields or, when None, leave them out."""
        fields = {"token": token or self.token(name), "store": name, "type": "O", "coll": self.collection, **changes}
        texts = {field: value for field, value in fields.items() if value is not None}
        return self._send(name, specify7_form(name, content, texts))

    def upload_like_specify6(self, name: str, content: bytes, kind: str = "O") -> Answer:
        """Upload as Specify 6 does."""
        fields = {
            "type": kind,
            "store": name,
            "token": self.token(name),
            "coll": self.collection or "",
            "disp": "Ichthyology",
            "div": "Fishes",
            "inst": "Université",
        }
        return self._send(name, specify6_form(name, content, fields))

    def _send(self, name: str, form: Form) -> Answer:
        # Refused and interrupted uploads are deleted too: the server may have stored them.
        self._created.add((name, self.collection, self.key))
        headers = {**_ORIGIN_HEADER, "Content-Type": form.content_type}
        return self.request("POST", self.endpoints["write"], headers, form.body)

    def store(self, name: str, content: bytes) -> str:
        """Upload, and return the name; raise `CheckFailed` when the server refuses."""
        answer = self.upload(name, content)
        if answer.status != 200:
            raise CheckFailed("200 to an upload", answer)
        return name

    def delete(self, name: str, token: str | None = None) -> Answer:
        """Delete an asset, as Specify 7's back end does."""
        fields = {"filename": name, "coll": self.collection, "token": token or self.token(name)}
        form = urlencode({field: value for field, value in fields.items() if value is not None})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", self.endpoints["delete"], headers, form.encode())

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def clean_up(self) -> None:
        """Delete all uploads; add to `not_deleted` and `left_thumbnails` what the server may still have."""
        for each in tuple(self._created):
            name, collection, key = each
            view = attrs.evolve(self, collection=collection, key=key)
            if view._is_gone(name):
                self.left_thumbnails += view._thumbnails_left_of(name)
            else:
                self.not_deleted.append(name)
            self._created.remove(each)

    def _is_gone(self, name: str) -> bool:
        try:
            return self.delete(name).status in (200, 404) or self.original(name).status != 200
        except Unanswered:
            return False

    def _thumbnails_left_of(self, name: str) -> list[str]:
        scales = sorted(self._scales.pop(name, ()), key=int)
        left = [f"the thumbnail of {name} at scale {scale}" for scale in scales if self._has_thumbnail(name, scale)]
        # Some servers have a picture to show for every name.
        return [] if left and self._has_thumbnail(self.new_name(), scales[0]) else left

    def _has_thumbnail(self, name: str, scale: str) -> bool:
        try:
            return self.thumbnail(name, scale).status == 200
        except Unanswered:
            return False
