"""The asset-server contract, a sentence a test, over real sockets and whatever the store is.

A module that runs it subclasses `HTTPContract` and has a fixture `client` for a server without collections, with
static access, `max_upload = "8 MiB"` and everything else as it is by default.
"""

import io
import re
import time
import unicodedata
from collections.abc import Callable
from email.message import Message
from email.utils import formatdate, parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote
from uuid import uuid4
from xml.etree import ElementTree

import pytest
import pytest_twisted
from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support import images
from tests.support.client import Answer, Client, Form, chunk, file_part, latin1_part, text_part
from tests.support.slow import slow_after

MAX_UPLOAD = 8 << 20
RED, BLUE = (200, 30, 30), (30, 30, 200)

_CONTENT = bytes(range(256)) * 4

_ENDPOINTS = {
    "/": "GET",
    "/web_asset_store.xml": "GET",
    "/testkey": "GET",
    "/fileupload": "POST",
    "/fileget": "GET",
    "/filedelete": "POST",
    "/getmetadata": "GET",
    "/getfileref": "GET",
    "/static/originals/missing.jpg": "GET",
}
_CROSS_ORIGIN = ("/fileupload", "/fileget", "/getfileref", "/static/originals/missing.jpg")

_GOOD_NAMES = {
    "as Specify 7 makes it": "{}.jpg",
    "as Specify 6 makes it": "sp6{}.att.jpg",
    "upper-case extension": "{}.JPG",
    "spaces": "{} a picture of  it .jpg",
    "composed letters": unicodedata.normalize("NFC", "{} Käfer.jpg"),
    "decomposed letters": unicodedata.normalize("NFD", "{} Käfer.jpg"),
    "other scripts": "{} 甲虫 жук.jpg",
    "beyond the first plane": "{} 🪲.jpg",
    "what means something in an address": "{} a+b&c=d;e%20?f#g:h@i.jpg",
    "what means something in a header or markup": "{} 'a\" <b> ${{c}} `d`.jpg",
    "two dots inside": "{}..b.jpg",
    "dot at the end": "{}.",
    "ending in a number": "{}_200.jpg",
    "no-break space": "{} \u00a0.jpg",
}
_BAD_NAMES = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "hidden": ".htaccess",
    "parent": "../x.jpg",
    "absolute": "/tmp/x.jpg",
    "directory": "a/b.jpg",
    "backslash": "..\\x.jpg",
    "NUL": "a\0.jpg",
    "line feed": "a\n.jpg",
    "carriage return": "a\rb.jpg",
    "delete": "a\x7f.jpg",
    "next line": "a\x85.jpg",
    "256 bytes": "a" * 252 + ".jpg",
    "256 bytes of UTF-8": "ä" * 126 + ".jpg",
}


def new_name(extension: str = ".jpg") -> str:
    """A name that nobody used."""
    return f"{uuid4()}{extension}"


@cache
def photograph() -> bytes:
    """The JPEG of a camera, 600 x 400 pixels."""
    return images.photograph()


@cache
def plain_picture(colour: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> bytes:
    """A JPEG of one colour."""
    return images.encode(Image.new("RGB", size, colour), "JPEG")


def shows(answer: Answer, colour: tuple[int, int, int]) -> bool:
    """Whether the answer is a whole picture of about this colour."""
    assert answer.status == 200, answer
    image = answer.image().convert("RGB")
    pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return all(abs(is_ - should) < 30 for is_, should in zip(pixel, colour, strict=True))


def has_common_headers(answer: Answer) -> bool:
    """Whether the headers that every response has are there."""
    return answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Timestamp"].isdigit()


def check_refused(answer: Answer, status: int, key: str) -> None:
    """Assert that `answer` is an error as errors are to be."""
    assert answer.status == status, answer
    assert has_common_headers(answer)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert re.fullmatch(r"[^\r\n]+\n?", answer.text)
    assert key not in answer.text
    assert "Traceback" not in answer.text
    assert not re.search(r"/\w+/\w", answer.text), "that looks like a path"


def check_allowed_everywhere(answer: Answer) -> None:
    """Assert that a page of any origin may look at `answer`."""
    assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"], answer


def gather(*requests: Any) -> Deferred[list[Answer]]:
    """Wait for simultaneous requests."""
    return gatherResults([Deferred.fromCoroutine(request) for request in requests], consumeErrors=True)


def get(target: str, *headers: str, method: str = "GET") -> bytes:
    """A request as bytes, `target` as it is."""
    lines = [f"{method} {target} HTTP/1.1", "Host: was", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


class ClientsContract:
    """Section 1: who calls."""

    @pytest_twisted.ensureDeferred
    async def test_specify_7_starts_with_the_time_of_the_discovery(self, client: Client) -> None:
        discovery = await client.get("/web_asset_store.xml")
        random = str(uuid4())
        token = client.token(random, int(discovery.headers["X-Timestamp"]))
        answer = await client.get("/testkey", random=random, token=token)
        assert (answer.status, answer.body) == (200, b"Ok.")

    @pytest_twisted.ensureDeferred
    async def test_specify_7_sends_the_file_before_the_fields(self, client: Client) -> None:
        name = new_name()
        answer = await client.upload_like_specify7(name, _CONTENT, coll="KUFishvoucher")
        assert (answer.status, answer.body) == (200, b"Ok.")
        assert (await client.original(name, coll="KUFishvoucher", token=client.token(name))).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_specify_7_leaves_out_what_it_has_no_value_for(self, client: Client) -> None:
        name = new_name()
        await client.upload_like_specify7(name, _CONTENT, coll=None, kind=None)
        assert (await client.get("/fileget", filename=name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_specify_6_sends_the_file_in_a_field_of_its_own_name(self, client: Client) -> None:
        name = new_name(".att.jpg")
        answer = await client.upload_like_specify6(name, _CONTENT)
        assert (answer.status, answer.body) == (200, b"Ok.")
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_specify_6_sends_names_in_latin_1(self, client: Client) -> None:
        name = new_name(" Köcherfliege é.att.jpg")
        answer = await client.upload_like_specify6(name, _CONTENT)
        assert answer.body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_the_charset_of_each_part_counts(self, client: Client) -> None:
        name = new_name(" é.jpg")
        form = Form.of(
            latin1_part("store", name),
            ('Content-Disposition: form-data; name="coll"\r\nContent-Type: text/plain; charset=utf-16', b"\xff\xfee\0"),
            text_part("token", client.token(name)),
            file_part(),
        )
        assert (await client.upload(form, _CONTENT)).body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_specify_6_uploads_a_thumbnail_after_the_original(self, client: Client) -> None:
        name = new_name(".att.jpg")
        await client.upload_like_specify6(name, photograph())
        answer = await client.upload_like_specify6(name, b"its thumbnail", kind="T")
        assert (answer.status, answer.body) == (200, b"Ignoring thumbnail upload!")
        assert (await client.original(name)).body == photograph()
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)

    @pytest_twisted.ensureDeferred
    async def test_specify_6_asks_for_originals_with_scale_null(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.original(
            name, scale="null", coll="x", disp="Ichthyology", div="Fishes", inst="Université"
        )
        assert (answer.status, answer.body) == (200, _CONTENT)

    @pytest_twisted.ensureDeferred
    async def test_the_web_portal_reads_without_a_token(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        assert (await client.get("/fileget", coll="x", type="O", filename=name)).status == 200
        assert (await client.get("/fileget", coll="x", type="T", filename=name, scale=50)).image().size == (50, 33)


class TokensContract:
    """Section 2."""

    @pytest_twisted.ensureDeferred
    async def test_a_token_of_the_recent_past_or_the_near_future_is_good(self, client: Client) -> None:
        for offset in (-145, 0, 145):
            token = client.token("a", int(time.time()) + offset)
            assert (await client.get("/testkey", random="a", token=token)).body == b"Ok."

    @pytest_twisted.ensureDeferred
    async def test_a_token_that_is_too_old_or_too_new_is_refused(self, client: Client) -> None:
        for offset in (-160, 160):
            token = client.token("a", int(time.time()) + offset)
            check_refused(await client.get("/testkey", random="a", token=token), 403, client.key)

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: None,
            lambda token: "",
            lambda token: ":",
            lambda token: "a:b:c",
            lambda token: token + ":1",
            lambda token: token.partition(":")[0],
            lambda token: token.replace(":", ":+"),
            lambda token: token.replace(":", ": "),
            lambda token: token.replace(":", ":-"),
            lambda token: token + ".0",
            lambda token: token.translate({ord("0") + digit: 0x660 + digit for digit in range(10)}),
            lambda token: token.partition(":")[0] + ":" + "9" * 5000,
            lambda token: ("0" if token[0] != "0" else "1") + token[1:],
            lambda token: "é" + token[1:],
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_token_that_is_not_exactly_right_is_refused(
        self, client: Client, change: Callable[[str], str | None]
    ) -> None:
        answer = await client.get("/testkey", random="a", token=change(client.token("a")))
        check_refused(answer, 403, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_token_for_another_name_is_refused(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        other = client.token("other.jpg")
        check_refused(await client.get("/testkey", random="a", token=other), 403, client.key)
        check_refused(await client.delete(name, token=other), 403, client.key)
        check_refused(await client.upload_like_specify7(name, b"new", token=other), 403, client.key)
        check_refused(await client.upload_like_specify6(name, b"new", token=other), 403, client.key)
        check_refused(await client.upload_like_specify6(name, b"new", token=other, kind="T"), 403, client.key)
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_whoever_sends_no_token_writes_nothing(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        form = Form.of(file_part(), text_part("store", name))
        check_refused(await client.upload(form, b"new"), 403, client.key)
        answer = await client.post("/filedelete", f"filename={name}".encode(), "application/x-www-form-urlencoded")
        check_refused(answer, 403, client.key)
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_a_token_that_is_not_needed_is_not_looked_at(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        assert (await client.original(name, token="a:b:c")).status == 200
        assert (await client.thumbnail(name, 50, token="")).status == 200
        assert (await client.metadata(name, token="x")).status == 200

    @pytest_twisted.ensureDeferred
    async def test_tokens_are_utf_8_throughout(self, client: Client) -> None:
        random = "Käfer 甲虫"
        assert (await client.get("/testkey", random=random, token=client.token(random))).body == b"Ok."

    @pytest_twisted.ensureDeferred
    async def test_testkey_wants_something_random(self, client: Client) -> None:
        check_refused(await client.get("/testkey", token=client.token("")), 400, client.key)


class EveryResponseContract:
    """Section 3: what all answers have."""

    @pytest.mark.parametrize("path", [*_ENDPOINTS, "/nowhere"])
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
    def test_every_response_tells_the_time_and_forbids_sniffing(self, client: Client, method: str, path: str) -> None:
        before = int(time.time())
        answer = client.raw(get(path, method=method), method)
        assert has_common_headers(answer)
        assert before <= int(answer.headers["X-Timestamp"]) <= int(time.time())
        assert answer.status < 500

    @pytest_twisted.ensureDeferred
    async def test_every_get_answers_head_alike(self, client: Client) -> None:
        name, text = new_name(), new_name(".txt")
        await client.store(name, photograph())
        await client.store(text, b"text")
        targets = [
            "/",
            "/web_asset_store.xml",
            f"/testkey?random=a&token={client.token('a')}",
            "/testkey?random=a&token=b",
            f"/fileget?filename={name}&downloadname=a.jpg",
            f"/fileget?filename={name}&type=T&scale=50",
            f"/fileget?filename={name}&type=T&scale=0",
            f"/fileget?filename={text}&type=T&scale=50",
            "/fileget?filename=missing.jpg",
            f"/getmetadata?filename={name}",
            f"/getmetadata?filename={name}&dt=date",
            f"/getmetadata?filename={text}&dt=date",
            f"/getfileref?filename={name}",
            f"/getfileref?filename={name}&type=T&scale=50",
            f"/static/originals/{name}",
            f"/static/thumbnails/{name.removesuffix('.jpg')}_50.jpg",
            "/static/originals/missing.jpg",
            "/fileupload",
            "/nowhere",
        ]
        for target in targets:
            got = client.raw(get(target))
            with client.connect() as connection:
                connection.send(get(target, method="HEAD"))
                head = connection.answer("HEAD")
                assert connection.rest() == b""
            assert head.status == got.status, target
            assert _comparable(head) == _comparable(got), target
            assert head.headers["Content-Length"] == str(len(got.body)), target

    @pytest.mark.parametrize("path", _CROSS_ORIGIN)
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
    def test_pages_of_other_origins_see_every_answer_errors_too(self, client: Client, method: str, path: str) -> None:
        check_allowed_everywhere(client.raw(get(path, "Origin: https://specify.example.org", method=method), method))

    @pytest.mark.parametrize("path", _CROSS_ORIGIN)
    def test_a_browser_may_ask_before_it_uploads(self, client: Client, path: str) -> None:
        answer = client.raw(
            get(
                path,
                "Origin: https://specify.example.org",
                "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: content-type, x-requested-with",
                method="OPTIONS",
            ),
            "OPTIONS",
        )
        assert answer.status in (200, 204)
        check_allowed_everywhere(answer)
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]

    @pytest_twisted.ensureDeferred
    async def test_a_refused_upload_can_be_shown_to_the_user(self, client: Client) -> None:
        name = new_name()
        for answer, status in [
            (await client.upload_like_specify7(name, b"x", token="a:1"), 403),
            (await client.upload_like_specify7("../x", b"x"), 400),
            (await client.upload(Form.of(text_part("store", name), text_part("token", client.token(name))), b""), 400),
            (await client.upload_like_specify7(name, bytes(MAX_UPLOAD + 1)), 413),
        ]:
            check_refused(answer, status, client.key)
            check_allowed_everywhere(answer)

    @pytest.mark.parametrize(("path", "allowed"), _ENDPOINTS.items())
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"])
    def test_a_wrong_method_is_told_the_right_ones(self, client: Client, method: str, path: str, allowed: str) -> None:
        if method == allowed:
            return
        answer = client.raw(get(path, "Content-Length: 0", method=method))
        check_refused(answer, 405, client.key)
        allow = {word.strip() for word in answer.headers["Allow"].split(",")}
        assert allowed in allow
        assert ("HEAD" in allow) == (allowed == "GET")
        assert method not in allow

    @pytest.mark.parametrize(
        "path", ["/nowhere", "/fileget/", "/static", "/static/", "//fileget", "/favicon.ico", "/%ff"]
    )
    def test_an_unknown_page_is_not_found(self, client: Client, path: str) -> None:
        answer = client.raw(get(path))
        assert answer.status in (400, 404)
        check_refused(answer, answer.status, client.key)

    @pytest.mark.parametrize(
        "target",
        [
            "/fileget",
            "/fileget?",
            "/fileget?filename",
            "/fileget?filename=a&filename=b",
            "/fileget?filename=%",
            "/fileget?filename=%zz",
            "/fileget?filename=%ff",
            "/fileget?filename=%00",
            "/fileget?filename=%ed%a0%80",
            "/fileget?filename=\xe9",
            "/fileget?&&&=&a=b=c",
            "/fileget?filename=a&type=T&scale=" + "9" * 5000,
            "/fileget?filename=a&coll=%ff",
            "/fileget?filename=a&coll=../../..",
            "/fileget?filename=a&downloadname=%ff",
            "/fileget?" + "&".join(f"a{number}=b" for number in range(1000)),
            "/fileget?filename=" + "a" * 10000,
            "/getmetadata?dt=date",
            "/getmetadata?filename=%2e%2e",
            "/getfileref?type=T",
            "/testkey?random=%ff&token=%ff",
            "/static/%ff",
            "/static/originals/%00",
            "/static/originals/%ff.jpg",
            "/static/thumbnails/_.jpg",
            "/static/thumbnails/_1.png",
            "/static/thumbnails/a_99999999999999999999.jpg",
            "http://other.example.org/fileget?filename=a",
            "*",
        ],
    )
    def test_no_query_is_a_server_error(self, client: Client, target: str) -> None:
        answer = client.raw(get(target))
        assert 400 <= answer.status < 500, answer
        check_refused(answer, answer.status, client.key)


class DiscoveryContract:
    """Section 3: `/web_asset_store.xml`, `/testkey` and `/`."""

    @pytest_twisted.ensureDeferred
    async def test_the_discovery_names_the_endpoints_in_order(self, client: Client) -> None:
        answer = await client.get("/web_asset_store.xml")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
        root = ElementTree.fromstring(answer.body)
        assert root.tag == "urls"
        assert [(url.tag, url.get("type"), url.text) for url in root] == [
            ("url", "read", f"{client.base_url}/fileget"),
            ("url", "write", f"{client.base_url}/fileupload"),
            ("url", "delete", f"{client.base_url}/filedelete"),
            ("url", "getmetadata", f"{client.base_url}/getmetadata"),
            ("url", "testkey", f"{client.base_url}/testkey"),
        ]

    @pytest.mark.parametrize("host", ["a&b", "a<b>c", "a]]>b", "a\"b'c", "été.example.org", "[::1]:8080", "a,b"])
    def test_the_discovery_is_xml_whatever_the_host_is(self, client: Client, host: str) -> None:
        answer = client.raw(f"GET /web_asset_store.xml HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        if answer.status != 200:
            check_refused(answer, 400, client.key)
            return
        urls = list(ElementTree.fromstring(answer.body))
        assert len(urls) == 5
        assert urls[0].text == f"http://{host}/fileget"

    @pytest.mark.parametrize("head", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nHost:\r\nConnection: close\r\n"])
    def test_the_discovery_works_without_a_host(self, client: Client, head: bytes) -> None:
        answer = client.raw(b"GET /web_asset_store.xml " + head + b"\r\n")
        urls = list(ElementTree.fromstring(answer.body))
        assert urls[0].text == f"{client.base_url}/fileget"

    def test_nobody_but_a_trusted_proxy_tells_the_address(self, client: Client) -> None:
        answer = client.raw(
            get("/web_asset_store.xml", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: host=evil")
        )
        urls = list(ElementTree.fromstring(answer.body))
        assert urls[0].text == "http://was/fileget"

    @pytest_twisted.ensureDeferred
    async def test_caches_may_show_assets_and_no_errors(self, client: Client) -> None:
        name = new_name()
        root = name.removesuffix(".jpg")
        await client.store(name, photograph())
        thumbnail = {"filename": name, "type": "T", "scale": 50}
        for path, fields in (
            ("/fileget", {"filename": name}),
            ("/fileget", thumbnail),
            (f"/static/originals/{name}", {}),
            (f"/static/thumbnails/{root}_50.jpg", {}),
        ):
            whole = await client.get(path, **fields)
            kept = whole.headers.get_all("Cache-Control")
            assert kept == ["public, s-maxage=75, max-age=300, stale-while-revalidate=604800"], path
            unchanged = await client.get(path, headers={"If-None-Match": whole.headers["ETag"]}, **fields)
            part = await client.get(path, headers={"Range": "bytes=0-9"}, **fields)
            head = await client.head(path, **fields)
            assert [unchanged.status, part.status, head.status] == [304, 206, 200]
            for answer in (unchanged, part, head):
                assert answer.headers.get_all("Cache-Control") == kept
            for headers, status in (({"Range": "bytes=99999999-"}, 416), ({"If-Match": '"another"'}, 412)):
                answer = await client.get(path, headers=headers, **fields)
                assert (answer.status, answer.headers.get_all("Cache-Control")) == (status, ["no-store"])
        await client.store(f"{root}.txt", b"a text")
        await client.store(f"{root}-broken.jpg", b"no picture")
        for answer, status in (
            (await client.original("missing.jpg"), 404),
            (await client.thumbnail("missing.jpg", 50), 404),
            (await client.thumbnail(name, "x"), 400),
            (await client.thumbnail(f"{root}.txt", 50), 415),
            (await client.thumbnail(f"{root}-broken.jpg", 50), 422),
            (await client.get("/static/originals/missing.jpg"), 404),
            (await client.get("/testkey", random="a", token="b"), 403),  # it is no token
            (await client.get("/nowhere"), 404),
            (await client.post("/fileget", b"", "text/plain"), 405),
            (client.raw(b"no request\r\n\r\n"), 400),
            (client.raw(b"GET nowhere HTTP/1.1\r\nHost: was\r\n\r\n"), 400),
        ):
            assert (answer.status, answer.headers.get_all("Cache-Control")) == (status, ["no-store"])

    @pytest.mark.parametrize("separator", ["&amp;", "&AMP;", "&amp;amp;"])
    @pytest_twisted.ensureDeferred
    async def test_an_address_may_have_been_copied_out_of_html(self, client: Client, separator: str) -> None:
        name = new_name(" a&amp;b.jpg")
        await client.store(name, photograph())
        fields = (f"filename={quote(name)}", "type=T", "scale=50", f"downloadname={quote('a&amp;b.jpg')}")
        answer = client.raw(get(f"/fileget?{separator.join(fields)}"))
        assert answer.status == 200
        assert max(answer.image().size) == 50
        assert answer.headers["Content-Disposition"] == "inline; filename*=utf-8''a%26amp%3Bb.jpg"
        form = separator.join((f"filename={quote(name)}", f"token={client.token(name)}"))
        assert (await client.post("/filedelete", form.encode(), "application/x-www-form-urlencoded")).body == b"Ok."

    def test_a_field_that_occurs_twice_is_refused_in_html_too(self, client: Client) -> None:
        check_refused(client.raw(get("/fileget?filename=a.jpg&amp;filename=b.jpg")), 400, client.key)

    @pytest_twisted.ensureDeferred
    async def test_no_cache_gives_one_clients_address_of_the_server_to_another(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        for method in (client.get, client.head):
            for answer in (await method("/web_asset_store.xml"), await method("/getfileref", filename=name)):
                assert answer.headers.get_all("Cache-Control") == ["no-store"]
                assert answer.headers["Vary"] == "Host, X-Forwarded-Host, X-Forwarded-Proto"

    @pytest_twisted.ensureDeferred
    async def test_the_root_says_that_it_works(self, client: Client) -> None:
        answer = await client.get("/")
        assert (answer.status, answer.text.strip()) == (200, "It works!")
        assert answer.headers["Content-Type"].startswith("text/plain")

    @pytest_twisted.ensureDeferred
    async def test_the_root_shows_a_browser_a_page(self, client: Client) -> None:
        answer = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "It works!" in answer.text


class UploadContract:
    """Section 3: `/fileupload`."""

    @pytest_twisted.ensureDeferred
    async def test_the_fields_may_come_in_any_order(self, client: Client) -> None:
        for position in range(5):
            name = new_name()
            parts: list[tuple[str, bytes | None]] = [
                text_part("type", "O"),
                text_part("coll", "x"),
                text_part("store", name),
                text_part("token", client.token(name)),
            ]
            parts.insert(position, file_part())
            assert (await client.upload(Form.of(*parts), _CONTENT)).body == b"Ok."
            assert (await client.original(name)).body == _CONTENT

    @pytest.mark.parametrize("kind", ["O", "", "t", "original", None])
    @pytest_twisted.ensureDeferred
    async def test_any_type_but_t_is_an_original(self, client: Client, kind: str | None) -> None:
        name = new_name()
        assert (await client.upload_like_specify7(name, _CONTENT, kind=kind)).body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_is_ignored_in_either_order(self, client: Client) -> None:
        name = new_name()
        for answer in (
            await client.upload_like_specify7(name, _CONTENT, kind="T"),
            await client.upload_like_specify6(name, _CONTENT, kind="T"),
        ):
            assert (answer.status, answer.body) == (200, b"Ignoring thumbnail upload!")
            check_allowed_everywhere(answer)
        assert (await client.original(name)).status == 404

    @pytest_twisted.ensureDeferred
    async def test_an_upload_replaces_the_whole_asset(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        before = await client.original(name)
        await client.store(name, b"short")
        after = await client.original(name)
        assert after.body == b"short"
        assert after.headers["ETag"] != before.headers["ETag"]

    @pytest_twisted.ensureDeferred
    async def test_an_upload_drops_the_thumbnails_of_what_it_replaces(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        assert shows(await client.thumbnail(name, 50), RED)
        assert shows(await client.thumbnail(name, 4096), RED)
        await client.store(name, plain_picture(BLUE))
        assert shows(await client.thumbnail(name, 50), BLUE)
        assert shows(await client.thumbnail(name, 4096), BLUE)

    @pytest_twisted.ensureDeferred
    async def test_a_replaced_assets_thumbnail_is_gone_below_static_too(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        reference = (await client.reference(name, type="T", scale=50)).text.removeprefix(client.base_url)
        assert shows(await client.get(reference), RED)
        await client.store(name, plain_picture(BLUE))
        check_refused(await client.get(reference), 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_an_empty_file_is_an_asset(self, client: Client) -> None:
        name = new_name(".txt")
        await client.store(name, b"")
        answer = await client.original(name)
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
        assert (await client.original(name, headers={"Range": "bytes=0-"})).status == 416

    @pytest_twisted.ensureDeferred
    async def test_a_file_may_contain_what_looks_like_a_boundary(self, client: Client) -> None:
        name = new_name()
        form = client.specify7_form(name)
        content = f"\r\n--{form.boundary[:-1]}\r\n--\r\n--{form.boundary[:-1]}x--\r\n".encode() * 3
        assert (await client.upload(form, content)).body == b"Ok."
        assert (await client.original(name)).body == content

    @pytest.mark.parametrize(
        "header", ['name="file"', 'name="file"; filename=""', 'name="file"; filename="Käfer;x=y.jpg"']
    )
    @pytest_twisted.ensureDeferred
    async def test_what_the_clients_machine_calls_the_file_does_not_matter(self, client: Client, header: str) -> None:
        name = new_name()
        form = Form.of(
            (f"Content-Disposition: form-data; {header}", None),
            text_part("store", name),
            text_part("token", client.token(name)),
        )
        assert (await client.upload(form, _CONTENT)).body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_a_file_in_a_field_called_like_another_is_the_file(self, client: Client) -> None:
        name = new_name()
        form = Form.of(text_part("store", name), text_part("token", client.token(name)), file_part("store", "store"))
        assert (await client.upload(form, _CONTENT)).body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_chunked_uploads_work(self, client: Client, order: str) -> None:
        name = new_name()
        form = getattr(client, order)(name)
        body = form.around(_CONTENT)
        pieces = b"".join(chunk(body[at : at + 100]) for at in range(0, len(body), 100))
        assert client.raw(form.head(None) + pieces + chunk(b"")).body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_a_form_that_drips_in_is_read_alike(self, client: Client) -> None:
        name = new_name()
        form = client.specify7_form(name)
        request = form.head(20) + form.around(b"\r\n--" + b"-" * 16)
        with client.connect() as connection:
            for at in range(len(request)):
                connection.send(request[at : at + 1])
            assert connection.answer().body == b"Ok."
        assert (await client.original(name)).body == b"\r\n--" + b"-" * 16

    @pytest_twisted.ensureDeferred
    async def test_whoever_expects_100_continue_gets_it(self, client: Client) -> None:
        name = new_name()
        form = client.specify6_form(name)
        with client.connect() as connection:
            connection.send(form.head(len(_CONTENT), "Expect: 100-continue"))
            assert connection.answer().status == 100
            connection.send(form.around(_CONTENT))
            assert connection.answer().body == b"Ok."
        assert (await client.original(name)).body == _CONTENT

    def test_whoever_expects_100_continue_is_refused_without_it(self, client: Client) -> None:
        form = client.specify6_form(new_name())
        with client.connect() as connection:
            connection.send(form.head(MAX_UPLOAD * 2, "Expect: 100-continue"))
            answer = connection.answer()
        check_refused(answer, 413, client.key)
        check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_a_connection_serves_on_after_an_upload(self, client: Client) -> None:
        first, second = new_name(), new_name()
        with client.connect() as connection:
            for name in (first, second):
                form = client.specify7_form(name)
                connection.send(form.head(len(_CONTENT)) + form.around(_CONTENT))
                assert connection.answer().body == b"Ok."
            connection.send(get(f"/fileget?filename={first}"))
            assert connection.answer().body == _CONTENT

    def test_requests_sent_in_one_go_are_answered_in_order(self, client: Client) -> None:
        name = new_name()
        form = client.specify7_form(name)
        with client.connect() as connection:
            connection.send(
                form.head(len(_CONTENT))
                + form.around(_CONTENT)
                + f"GET /fileget?filename={name} HTTP/1.1\r\nHost: was\r\n\r\n".encode()
                + get("/")
            )
            assert connection.answer().body == b"Ok."
            assert connection.answer().body == _CONTENT
            assert connection.answer().text.strip() == "It works!"
            assert connection.rest() == b""

    @pytest_twisted.ensureDeferred
    async def test_the_largest_upload_is_stored_and_a_larger_one_is_not(self, client: Client) -> None:
        name = new_name()
        await client.store(name, bytes(MAX_UPLOAD))
        answer = await client.upload_like_specify7(name, bytes(MAX_UPLOAD + 1))
        check_refused(answer, 413, client.key)
        assert (await client.original(name)).headers["Content-Length"] == str(MAX_UPLOAD)

    def test_an_upload_too_large_is_refused_before_it_is_sent(self, client: Client) -> None:
        form = client.specify6_form(new_name())
        with client.connect() as connection:
            connection.send(form.head(MAX_UPLOAD * 2) + form.before)
            answer = connection.answer()
        check_refused(answer, 413, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_chunked_upload_too_large_is_refused(self, client: Client) -> None:
        name = new_name()
        form = client.specify6_form(name)
        with client.connect() as connection:
            connection.send(form.head(None) + chunk(form.before))
            for _ in range(9):
                connection.send_what_is_taken(chunk(bytes(1 << 20)))
            answer = connection.answer()
        check_refused(answer, 413, client.key)
        check_allowed_everywhere(answer)
        assert (await client.original(name)).status == 404

    def test_fields_that_come_first_and_are_wrong_are_answered_before_the_file_comes(self, client: Client) -> None:
        for form, status in [
            (client.specify6_form(new_name(), token="0" * 32 + ":1"), 403),
            (client.specify6_form("../x"), 400),
        ]:
            with client.connect() as connection:
                connection.send(form.head(1 << 20) + form.before + b"the beginning")
                answer = connection.answer()
            check_refused(answer, status, client.key)
            check_allowed_everywhere(answer)

    def test_a_refused_client_may_finish_sending_and_reads_the_answer(self, client: Client) -> None:
        form = client.specify6_form(new_name(), token="0" * 32 + ":1")
        with client.connect() as connection:
            connection.send(form.head(4 << 20) + form.around(bytes(4 << 20)))
            check_refused(connection.answer(), 403, client.key)

    @pytest_twisted.ensureDeferred
    async def test_what_is_no_complete_form_is_refused(self, client: Client) -> None:
        name = new_name()
        form = client.specify7_form(name)
        whole = form.around(_CONTENT)
        token = text_part("token", client.token(name))
        store = text_part("store", name)
        urlencoded = f"store={name}&token={client.token(name)}&file=x".encode()
        for body, content_type in [
            (b"", form.content_type),
            (b"nonsense", form.content_type),
            (form.before + _CONTENT, form.content_type),
            (whole[:-20], form.content_type),
            (whole, "multipart/form-data"),
            (whole, "multipart/form-data; boundary="),
            (whole, "multipart/form-data; boundary=other"),
            (whole, "multipart/mixed; boundary=" + form.boundary),
            (whole, "application/octet-stream"),
            (whole, "\x01\x02"),
            (urlencoded, "application/x-www-form-urlencoded"),
            (b"{}", "application/json"),
            *(
                (broken.around(_CONTENT), broken.content_type)
                for broken in (
                    Form.of(store, token),
                    Form.of(token, file_part()),
                    Form.of(store, store, token, file_part()),
                    Form.of(
                        store, token, file_part(), ('Content-Disposition: form-data; name="b"; filename="b"', b"b")
                    ),
                    Form.of(store, token, text_part("coll", "x" * (2 << 20)), file_part()),
                    Form.of(store, token, *(text_part(f"a{number}", "b") for number in range(500)), file_part()),
                    Form.of(store, token, ("Content-Disposition: form-data", b"no name"), file_part()),
                    Form.of(store, token, ("Content-Type: text/plain", b"no disposition"), file_part()),
                    Form.of(store, token, ("X-Long: " + "x" * 100_000, b"long header"), file_part()),
                )
            ),
        ]:
            answer = await client.post("/fileupload", body, content_type)
            check_refused(answer, 400, client.key)
            check_allowed_everywhere(answer)
        assert (await client.original(name)).status == 404

    @pytest.mark.parametrize(
        "charset", ["utf-8", "nonsense", "hex", "undefined", "idna", "punycode", "utf-16", "'", ""]
    )
    @pytest_twisted.ensureDeferred
    async def test_a_field_that_does_not_fit_its_charset_is_refused(self, client: Client, charset: str) -> None:
        name = new_name()
        field = f'Content-Disposition: form-data; name="coll"\r\nContent-Type: text/plain; charset="{charset}"'
        form = Form.of(
            text_part("store", name), text_part("token", client.token(name)), (field, b"xn--\xff\xfe\xfd"), file_part()
        )
        check_refused(await client.upload(form, _CONTENT), 400, client.key)

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"nonsense\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: was\r\n: empty\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: was\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: was\r\n\r\n",
            b"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Length: -1\r\n\r\n",
            b"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Length: x\r\n\r\n",
            b"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
            b"POST / HTTP/1.1\r\nHost: was\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /fileupload HTTP/1.1\r\nHost: was\r\nTransfer-Encoding: gzip\r\n\r\n",
        ],
    )
    def test_what_is_no_http_is_refused(self, client: Client, request_bytes: bytes) -> None:
        with client.connect() as connection:
            connection.send_what_is_taken(request_bytes)
            answer = connection.answer()
            check_refused(answer, 400, client.key)
            check_allowed_everywhere(answer)
            assert connection.rest() == b""

    @pytest_twisted.ensureDeferred
    async def test_a_broken_chunk_stores_nothing(self, client: Client) -> None:
        name = new_name()
        form = client.specify7_form(name)
        with client.connect() as connection:
            connection.send(form.head(None) + chunk(form.around(_CONTENT)) + b"nonsense\r\n")
            connection.rest()
        assert (await client.original(name)).status == 404

    @pytest.mark.parametrize("order", ["specify7_form", "specify6_form"])
    @pytest_twisted.ensureDeferred
    async def test_a_client_that_vanishes_changes_nothing(self, client: Client, order: str) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        form = getattr(client, order)(name)
        with client.connect() as connection:
            connection.send(form.head(1 << 20) + form.before + b"new" * 1000)
        assert (await client.original(name)).body == _CONTENT
        with client.connect() as connection:
            connection.send(form.head(3) + form.before + b"new" + form.after[:-2])
        assert (await client.original(name)).body == _CONTENT
        await client.store(name, b"newer")
        assert (await client.original(name)).body == b"newer"


class DownloadContract:
    """Section 3: `/fileget` for originals."""

    @pytest_twisted.ensureDeferred
    async def test_an_original_has_all_the_headers(self, client: Client) -> None:
        name = new_name()
        before = int(time.time())
        await client.store(name, _CONTENT)
        answer = client.raw(get(f"/fileget?filename={name}"))
        assert (answer.status, answer.body) == (200, _CONTENT)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Length"] == str(len(_CONTENT))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', answer.headers["ETag"])
        modified = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
        assert before - 1 <= modified <= time.time()
        assert "Content-Disposition" not in answer.headers
        check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_what_is_not_there_is_not_found(self, client: Client) -> None:
        name = new_name()
        for answer in (
            await client.original(name),
            await client.thumbnail(name, 50),
            await client.metadata(name),
            await client.metadata(name, dt="date"),
            await client.reference(name),
            await client.reference(name, type="T", scale=50),
            await client.delete(name),
        ):
            check_refused(answer, 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_request_must_name_the_asset(self, client: Client) -> None:
        for path in ("/fileget", "/getmetadata", "/getfileref"):
            check_refused(await client.get(path, type="O"), 400, client.key)
        token = quote(client.token(""))
        form = f"token={token}".encode()
        check_refused(await client.post("/filedelete", form, "application/x-www-form-urlencoded"), 400, client.key)

    @pytest.mark.parametrize(
        ("extension", "media_type"),
        [
            (".jpg", "image/jpeg"),
            (".JPG", "image/jpeg"),
            (".jpeg", "image/jpeg"),
            (".png", "image/png"),
            (".gif", "image/gif"),
            (".tif", "image/tiff"),
            (".TIFF", "image/tiff"),
            (".pdf", "application/pdf"),
            (".heic", "image/heic"),
            (".webp", "image/webp"),
            (".txt", "text/plain"),
            (".csv", "text/csv"),
            (".mp3", "audio/mpeg"),
            (".mp4", "video/mp4"),
            (".html", "text/html"),
            (".svg", "image/svg+xml"),
            (".xml", "text/xml"),
            (".att.jpg", "image/jpeg"),
            (".unheard-of", "application/octet-stream"),
            (".gz", None),
            (".", "application/octet-stream"),
            ("", "application/octet-stream"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_the_extension_says_the_type(self, client: Client, extension: str, media_type: str | None) -> None:
        name = new_name(extension)
        await client.store(name, b"<script>")
        answer = client.raw(get(f"/fileget?filename={name}"))
        assert answer.headers["Content-Type"]
        assert media_type is None or answer.headers["Content-Type"].partition(";")[0] == media_type
        assert "Content-Encoding" not in answer.headers
        assert answer.body == b"<script>"

    @pytest.mark.parametrize(
        ("content", "charset"),
        [
            ("Käfer".encode(), "utf-8"),
            (b"beetle", "utf-8"),
            (b"", "utf-8"),
            (b"\xef\xbb\xbfbeetle", "utf-8"),
            (b"x" * 65535 + "ä".encode() * 9, "utf-8"),
            (b"x" * 65534 + "\U0001f41e".encode() * 9, "utf-8"),
            (b"x" * 65539, None),
            (b"x" * 70000 + b"\xe4", None),
            (b"x" * 65535 + b"\xe4" + b"x" * 9, None),
            ("ä".encode() + b"x" * 70000, "utf-8"),
            ("\ufeffKäfer".encode("utf-16-le"), "utf-16"),
            ("\ufeffKäfer".encode("utf-16-be"), "utf-16"),
            ("\ufeffKäfer".encode("utf-32-le"), None),
            ("\ufeffKäfer".encode("utf-32-be"), None),
            ("標本".encode("iso-2022-jp"), None),
            ("Käfer".encode("latin-1"), None),
            (b"x" * 100 + "ä".encode()[:1], None),
            ("beetle".encode("utf-16-le"), None),
            (b"x" * 65530 + b"\xe4" + b"x" * 9, None),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_text_says_its_encoding(self, client: Client, content: bytes, charset: str | None) -> None:
        name = new_name(".txt")
        await client.store(name, content)
        expected = f"text/plain; charset={charset}" if charset else "text/plain"
        head = await client.head("/fileget", filename=name)
        part = await client.original(name, headers={"Range": "bytes=1-3"})
        static = await client.get(f"/static/originals/{name}")
        whole = await client.original(name)
        assert whole.body == static.body == content
        assert part.body == content[1:4] if content else part.status == 416
        for answer in (whole, head, static, *([part] if content else [])):
            assert answer.headers["Content-Type"] == expected

    @pytest.mark.parametrize(
        ("extension", "content", "charset"),
        [
            (".html", b"<meta charset=shift_jis>beetle", None),
            (".html", b"<META content='text/html; charset = \"ISO-8859-1\"' http-equiv=Content-Type>beetle", None),
            (".htm", b"<?xml version='1.0' encoding='iso-8859-1'?><html>beetle</html>", None),
            # Bytes that UTF-8 allows as well.
            (".html", b"<meta charset=gbk>" + "模".encode("gbk"), None),
            (".html", b"<meta charset='windows-1252'>K\xe4fer", None),
            (".html", "<meta charset='UTF-8'>Käfer".encode(), "utf-8"),
            (".html", "<meta charset=utf8>Käfer".encode(), "utf-8"),
            (".html", "<!-- <meta charset=shift_jis> -->Käfer".encode(), "utf-8"),
            (".html", "\ufeff<meta charset=shift_jis>Käfer".encode(), "utf-8"),
            (".html", b" " * 1024 + b"<meta charset=shift_jis>beetle", "utf-8"),
            (".html", "<title>Käfer</title>".encode(), "utf-8"),
            (".xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><a>beetle</a>", None),
            (".xml", "<?xml version='1.0' encoding='UTF-8'?><a>Käfer</a>".encode(), "utf-8"),
            (".xml", "<?xml version='1.0'?><a encoding='latin-1'>Käfer</a>".encode(), "utf-8"),
            (".css", b'@charset "iso-8859-1"; a {}', None),
            (".css", 'a { content: "ä" }'.encode(), "utf-8"),
            (".txt", "<meta charset=shift_jis> Käfer".encode(), "utf-8"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_the_encoding_that_a_text_declares_counts(
        self, client: Client, extension: str, content: bytes, charset: str | None
    ) -> None:
        name = new_name(extension)
        await client.store(name, content)
        _, told, found = (await client.original(name)).headers["Content-Type"].partition("; charset=")
        assert (found or None) == charset, told

    @pytest.mark.parametrize("extension", [".html", ".HTM", ".svg", ".SVG", ".xml", ".xsl", ".rdf"])
    @pytest_twisted.ensureDeferred
    async def test_documents_with_scripts_run_in_a_sandbox(self, client: Client, extension: str) -> None:
        name = new_name(extension)
        await client.store(name, b"<script>")
        for answer in (await client.original(name), await client.get(f"/static/originals/{name}")):
            assert answer.headers["Content-Security-Policy"] == "sandbox"

    @pytest.mark.parametrize(
        ("download_name", "encoded"),
        [
            ("picture.jpg", "picture.jpg"),
            ("a b.jpg", "a%20b.jpg"),
            ("é甲.jpg", "%C3%A9%E7%94%B2.jpg"),
            ("../../etc/pass.jpg", "pass.jpg"),
            ("C:\\photos\\é.jpg", "%C3%A9.jpg"),
            ('a"; filename=b.exe', "a%22%3B%20filename%3Db.exe"),
            ("a\r\nSet-Cookie: b=c", "a%0D%0ASet-Cookie%3A%20b%3Dc"),
            ("a'b*c(d)%", "a%27b%2Ac%28d%29%25"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_download_is_named_safely(self, client: Client, download_name: str, encoded: str) -> None:
        name = new_name()
        await client.store(name, photograph())
        for answer in (
            await client.original(name, downloadname=download_name),
            await client.thumbnail(name, 50, downloadname=download_name),
        ):
            assert answer.headers.get_all("Content-Disposition") == [f"inline; filename*=utf-8''{encoded}"]
            assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize(
        ("header", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=0-9", 0, 10),
            ("bytes=10-19", 10, 20),
            ("bytes=1000-", 1000, 1024),
            ("bytes=0-", 0, 1024),
            ("bytes=1023-1023", 1023, 1024),
            ("bytes=1000-99999", 1000, 1024),
            ("bytes=-1", 1023, 1024),
            ("bytes=-24", 1000, 1024),
            ("bytes=-99999", 0, 1024),
            ("BYTES=1-2", 1, 3),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_range_is_sent(self, client: Client, header: str, start: int, stop: int) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.original(name, headers={"Range": header})
        assert (answer.status, answer.body) == (206, _CONTENT[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
        assert answer.headers["Content-Length"] == str(stop - start)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["ETag"]

    @pytest.mark.parametrize("header", ["bytes=1024-", "bytes=1024-2000", "bytes=99999-", "bytes=-0"])
    @pytest_twisted.ensureDeferred
    async def test_a_range_outside_of_the_asset_is_refused(self, client: Client, header: str) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.original(name, headers={"Range": header})
        check_refused(answer, 416, client.key)
        assert answer.headers["Content-Range"] == "bytes */1024"
        check_allowed_everywhere(answer)

    @pytest.mark.parametrize(
        "header",
        [
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes 0-1",
            "items=0-1",
            "0-1",
            "bytes=0-1,5-6",
            "bytes=0x1-2",
            "²",
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_what_is_not_one_range_gets_everything(self, client: Client, header: str) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.original(name, headers={"Range": header})
        assert (answer.status, answer.body) == (200, _CONTENT)
        assert "Content-Range" not in answer.headers

    @pytest.mark.parametrize("header", ["bytes=99999999999999999999999999-", "bytes=-99999999999999999999999999"])
    @pytest_twisted.ensureDeferred
    async def test_a_number_of_any_length_is_a_number(self, client: Client, header: str) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.original(name, headers={"Range": header})
        assert answer.status == 416 or answer.body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_head_ignores_ranges(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = client.raw(get(f"/fileget?filename={name}", "Range: bytes=0-1", method="HEAD"), "HEAD")
        assert (answer.status, answer.headers["Content-Length"]) == (200, "1024")

    @pytest_twisted.ensureDeferred
    async def test_if_range_sends_a_range_only_of_the_version_the_client_has(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        headers = await _dated(client, filename=name)
        etag, modified = headers["ETag"], headers["Last-Modified"]
        long_ago = formatdate(1, usegmt=True)
        for condition, status in [
            (etag, 206),
            (modified, 206),
            ('"other"', 200),
            (f"W/{etag}", 200),
            (long_ago, 200),
            ("nonsense", 200),
        ]:
            answer = await client.original(name, headers={"Range": "bytes=0-9", "If-Range": condition})
            assert (condition, answer.status) == (condition, status)
        await client.store(name, b"new" * 100)
        for condition in (etag, modified):
            answer = await client.original(name, headers={"Range": "bytes=0-9", "If-Range": condition})
            assert (answer.status, answer.body) == (200, b"new" * 100)

    @pytest_twisted.ensureDeferred
    async def test_a_date_does_not_take_two_versions_of_one_second_for_one(self, client: Client) -> None:
        name = new_name()
        await client.store(name, b"old" * 100)
        old = (await client.original(name)).headers
        await client.store(name, b"new" * 100)
        for date in (old["Last-Modified"], old["Date"]):
            for conditions in ({"If-Modified-Since": date}, {"Range": "bytes=150-", "If-Range": date}):
                answer = await client.original(name, headers=conditions)
                assert (answer.status, answer.body) == (200, b"new" * 100), conditions
            resumed = await client.original(name, headers={"Range": "bytes=150-", "If-Unmodified-Since": date})
            check_refused(resumed, 412, client.key)

    @pytest_twisted.ensureDeferred
    async def test_who_asks_for_a_version_that_is_gone_gets_no_other(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        etag = (await client.original(name)).headers["ETag"]
        for condition, status in (
            (etag, 200),
            ("*", 200),
            (f'"other", {etag}', 200),
            ('"other"', 412),
            (f"W/{etag}", 412),
        ):
            answer = await client.original(name, headers={"If-Match": condition})
            assert (condition, answer.status) == (condition, status)
        await client.store(name, b"new" * 100)
        answer = await client.original(name, headers={"If-Match": etag, "Range": "bytes=10-"})
        check_refused(answer, 412, client.key)
        check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_a_client_that_has_the_current_version_is_told_so(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        for params in ({"type": "O"}, {"type": "T", "scale": 50}):
            headers = await _dated(client, filename=name, **params)
            etag, modified = headers["ETag"], headers["Last-Modified"]
            before = formatdate(parsedate_to_datetime(modified).timestamp() - 1, usegmt=True)
            for conditions, status in [
                ({"If-None-Match": etag}, 304),
                ({"If-None-Match": f'"a", {etag}, "b"'}, 304),
                ({"If-None-Match": f"W/{etag}"}, 304),
                ({"If-None-Match": "*"}, 304),
                ({"If-None-Match": '"other"'}, 200),
                ({"If-None-Match": etag.strip('"')}, 200),
                ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
                ({"If-None-Match": etag, "If-Modified-Since": before}, 304),
                ({"If-None-Match": etag, "Range": "bytes=0-1"}, 304),
                ({"If-Modified-Since": modified}, 304),
                ({"If-Modified-Since": formatdate(usegmt=True)}, 304),
                ({"If-Modified-Since": before}, 200),
                ({"If-Modified-Since": "nonsense"}, 200),
                ({"If-Modified-Since": "Mon, 99 Foo 99999 99:99:99 GMT"}, 200),
            ]:
                answer = await client.get("/fileget", filename=name, headers=conditions, **params)
                assert (conditions, answer.status) == (conditions, status)
                if status == 304:
                    assert answer.body == b""
                    assert answer.headers["ETag"] == etag
                    assert has_common_headers(answer)
                    check_allowed_everywhere(answer)

    @pytest_twisted.ensureDeferred
    async def test_a_client_that_has_an_old_version_gets_the_new_one(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        original = (await client.original(name)).headers["ETag"]
        thumbnail = (await client.thumbnail(name, 50)).headers["ETag"]
        await client.store(name, plain_picture(BLUE))
        assert (await client.original(name, headers={"If-None-Match": original})).body == plain_picture(BLUE)
        assert shows(await client.thumbnail(name, 50, headers={"If-None-Match": thumbnail}), BLUE)

    @pytest_twisted.ensureDeferred
    async def test_thumbnails_have_ranges_too(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        whole = (await client.thumbnail(name, 50)).body
        answer = await client.thumbnail(name, 50, headers={"Range": "bytes=-10"})
        assert (answer.status, answer.body) == (206, whole[-10:])


class ThumbnailContract:
    """Sections 3 and 5: `/fileget` for thumbnails."""

    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_has_all_the_headers(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        answer = await client.thumbnail(name, 123)
        assert answer.image().size == (123, 82)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"]
        assert answer.headers["Last-Modified"]
        assert (await client.thumbnail(name, 123)).body == answer.body
        check_allowed_everywhere(answer)

    @pytest.mark.parametrize(
        ("size", "scale", "expected"),
        [
            ((600, 400), 123, (123, 82)),
            ((400, 600), 123, (82, 123)),
            ((240, 160), 1000, (240, 160)),
            ((240, 160), 4096, (240, 160)),
            ((240, 160), 1, (1, 1)),
            ((2000, 3), 100, (100, 1)),
            ((3, 2000), 100, (1, 100)),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_fits_the_box(
        self, client: Client, size: tuple[int, int], scale: int, expected: tuple[int, int]
    ) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED, size))
        width, height = (await client.thumbnail(name, scale)).image().size
        assert max(width, height) == max(expected)
        assert abs(width - expected[0]) <= 1
        assert abs(height - expected[1]) <= 1

    @pytest.mark.parametrize(
        "scale", [None, "", "0", "-1", "+5", "4097", "9" * 30, "1.5", "1e2", " 5", "abc", "null", "٣"]
    )
    @pytest_twisted.ensureDeferred
    async def test_a_bad_scale_is_refused(self, client: Client, scale: str | None) -> None:
        name = new_name()
        await client.store(name, photograph())
        check_refused(await client.thumbnail(name, scale), 400, client.key)
        check_refused(await client.reference(name, type="T", scale=scale), 400, client.key)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_is_the_right_way_up(self, client: Client, orientation: int) -> None:
        name = new_name()
        await client.store(name, images.photograph(orientation=orientation))
        image = (await client.thumbnail(name, 120)).image()
        assert image.size == (120, 80)
        for corner, colour in images.corners(image).items():
            assert max(abs(a - b) for a, b in zip(colour, images.CORNERS[corner], strict=True)) < 40

    @pytest_twisted.ensureDeferred
    async def test_a_thumbnail_carries_no_metadata_over(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        answer = await client.thumbnail(name, 120)
        assert not answer.image().getexif()
        for secret in (b"Exif", b"secret", b"GPS", b"Specimen Optics", b"Museum", b"http://ns.adobe.com"):
            assert secret not in answer.body

    @pytest.mark.parametrize(
        ("extension", "make", "media_type"),
        [
            (".jpg", images.photograph, "image/jpeg"),
            (".JPG", images.photograph, "image/jpeg"),
            (".png", lambda: images.encode(images.translucent(), "PNG"), "image/png"),
            (".png", images.png16, "image/png"),
            (".gif", images.animated_gif, "image/gif"),
            (".webp", lambda: images.encode(images.chart(), "WEBP"), "image/webp"),
            (".tif", lambda: images.encode(images.chart(), "TIFF"), "image/png"),
            (".TIFF", lambda: _pages(3), "image/png"),
            (".pdf", images.pdf, "image/png"),
            (".PDF", lambda: images.pdf(pages=3), "image/png"),
            (".heic", images.heic, "image/png"),
            (".jpg", lambda: images.encode(images.chart().convert("CMYK"), "JPEG"), "image/jpeg"),
            ("", images.photograph, "image/png"),
            (".att.jpg", images.photograph, "image/jpeg"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_the_first_page_of_every_kind_has_a_thumbnail(
        self, client: Client, extension: str, make: Callable[[], bytes], media_type: str
    ) -> None:
        name = new_name(extension)
        await client.store(name, make())
        answer = await client.thumbnail(name, 120)
        assert answer.headers["Content-Type"] == media_type
        image = answer.image()
        assert image.size == (120, 80)
        colour = images.corners(image)["bottom left"]
        assert max(abs(a - b) for a, b in zip(colour, images.CORNERS["bottom left"], strict=True)) < 80

    @pytest_twisted.ensureDeferred
    async def test_a_pdf_is_on_white(self, client: Client) -> None:
        name = new_name(".pdf")
        await client.store(name, images.pdf())
        image = (await client.thumbnail(name, 120)).image().convert("RGB")
        assert image.getpixel((60, 40)) == (255, 255, 255)

    @pytest_twisted.ensureDeferred
    async def test_a_truncated_jpeg_shows_what_there_is(self, client: Client) -> None:
        name = new_name()
        whole = photograph()
        await client.store(name, whole[: len(whole) * 2 // 3])
        image = (await client.thumbnail(name, 120)).image()
        assert image.size == (120, 80)
        colour = images.corners(image)["top left"]
        assert max(abs(a - b) for a, b in zip(colour, images.CORNERS["top left"], strict=True)) < 40

    @pytest.mark.parametrize("extension", [".txt", ".mp3", ".zip", ".docx", ""])
    @pytest_twisted.ensureDeferred
    async def test_other_kinds_have_no_thumbnails(self, client: Client, extension: str) -> None:
        name = new_name(extension)
        await client.store(name, b"nothing to look at")
        check_refused(await client.thumbnail(name, 50), 415, client.key)
        check_refused(await client.thumbnail(name, 50), 415, client.key)
        check_refused(await client.reference(name, type="T", scale=50), 415, client.key)

    @pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".pdf", ".heic", ".gif"])
    @pytest.mark.parametrize("content", [b"", b"this is no image", bytes(1000)], ids=["empty", "text", "zeroes"])
    @pytest_twisted.ensureDeferred
    async def test_what_claims_to_be_an_image_and_is_none_is_refused_every_time(
        self, client: Client, extension: str, content: bytes
    ) -> None:
        name = new_name(extension)
        await client.store(name, content)
        for scale in (50, 50, 60):
            answer = await client.thumbnail(name, scale)
            check_refused(answer, 422, client.key)
            check_allowed_everywhere(answer)
        await client.store(name, photograph())
        assert (await client.thumbnail(name, 50)).status == 200

    @pytest_twisted.ensureDeferred
    async def test_simultaneous_requests_for_one_new_thumbnail_get_the_same(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED, (3000, 2000)))
        answers = await gather(*(client.thumbnail(name, 200) for _ in range(16)))
        assert {answer.status for answer in answers} == {200}
        assert len({(answer.body, answer.headers["ETag"]) for answer in answers}) == 1
        assert shows(answers[0], RED)

    @pytest_twisted.ensureDeferred
    async def test_files_whose_thumbnails_share_a_name_never_see_each_others_pictures(self, client: Client) -> None:
        root = new_name("")
        colours = {
            ".tif": (200, 30, 30),
            ".pdf": (255, 255, 255),
            ".png": (30, 200, 30),
            "": (30, 30, 200),
            ".TIF": (9, 9, 9),
        }
        for extension, colour in colours.items():
            picture = Image.new("RGB", (90, 60), colour)
            formats = {".tif": "TIFF", ".TIF": "TIFF", ".pdf": "PDF"}
            content = images.encode(picture, formats.get(extension, "PNG"))
            await client.store(f"{root}{extension}", content)
        for _ in range(2):
            for extension, colour in colours.items():
                assert shows(await client.thumbnail(f"{root}{extension}", 50), colour), extension
        answers = await gather(*(client.thumbnail(f"{root}{extension}", 60) for extension in [*colours, *colours]))
        for answer, colour in zip(answers, [*colours.values(), *colours.values()], strict=True):
            assert shows(answer, colour), (answer.status, answer.body[:100], colour)
        for extension, colour in colours.items():
            reference = (await client.reference(f"{root}{extension}", type="T", scale=70)).text
            assert shows(await client.get(reference.removeprefix(client.base_url)), colour)

    @pytest_twisted.ensureDeferred
    async def test_deleting_one_of_them_leaves_the_others(self, client: Client) -> None:
        root = new_name("")
        await client.store(f"{root}.tif", images.encode(Image.new("RGB", (90, 60), RED), "TIFF"))
        await client.store(f"{root}.png", images.encode(Image.new("RGB", (90, 60), BLUE), "PNG"))
        assert shows(await client.thumbnail(f"{root}.tif", 50), RED)
        assert shows(await client.thumbnail(f"{root}.png", 50), BLUE)
        assert (await client.delete(f"{root}.tif")).body == b"Ok."
        assert (await client.thumbnail(f"{root}.tif", 50)).status == 404
        assert shows(await client.get(f"/static/thumbnails/{root}_50.png"), BLUE)
        assert shows(await client.thumbnail(f"{root}.png", 50), BLUE)
        assert (await client.delete(f"{root}.png")).body == b"Ok."
        assert (await client.get(f"/static/thumbnails/{root}_50.png")).status == 404

    @pytest.mark.parametrize("colour", [RED, BLUE])
    @pytest_twisted.ensureDeferred
    async def test_a_name_that_ends_like_a_thumbnails_is_an_original_of_its_own(
        self, client: Client, colour: tuple[int, int, int]
    ) -> None:
        root = new_name("")
        await client.store(f"{root}.jpg", plain_picture(RED))
        await client.store(f"{root}_50.jpg", plain_picture(BLUE))
        assert shows(await client.thumbnail(f"{root}.jpg", 50), RED)
        assert shows(await client.thumbnail(f"{root}_50.jpg", 50), BLUE)
        assert shows(await client.get(f"/static/thumbnails/{root}_50_50.jpg"), BLUE)
        doomed, kept = (".jpg", "_50.jpg") if colour == BLUE else ("_50.jpg", ".jpg")
        assert (await client.delete(f"{root}{doomed}")).body == b"Ok."
        assert shows(await client.original(f"{root}{kept}"), colour)
        kept_thumbnail = f"{root}{kept.removesuffix('.jpg')}_50.jpg"
        assert shows(await client.get(f"/static/thumbnails/{kept_thumbnail}"), colour)


class DeleteContract:
    """Section 3: `/filedelete`."""

    @pytest_twisted.ensureDeferred
    async def test_delete_removes_the_original_and_all_of_its_thumbnails(self, client: Client) -> None:
        name = new_name()
        root = name.removesuffix(".jpg")
        await client.store(name, photograph())
        for scale in (1, 50, 123, 4096):
            assert (await client.thumbnail(name, scale)).status == 200
            assert (await client.get(f"/static/thumbnails/{root}_{scale}.jpg")).status == 200
        answer = await client.delete(name)
        assert (answer.status, answer.body) == (200, b"Ok.")
        assert (await client.original(name)).status == 404
        for scale in (1, 50, 123, 4096):
            assert (await client.get(f"/static/thumbnails/{root}_{scale}.jpg")).status == 404
            check_refused(await client.thumbnail(name, scale), 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_delete_leaves_the_siblings_thumbnails_alone(self, client: Client) -> None:
        digits = str(uuid4().int)
        doomed, sibling = f"sp6{digits}.att.jpg", f"sp6{digits}4.att.jpg"
        for name in (doomed, sibling):
            await client.store(name, photograph())
            assert (await client.thumbnail(name, 50)).status == 200
        assert (await client.delete(doomed)).body == b"Ok."
        assert (await client.get(f"/static/thumbnails/sp6{digits}4.att_50.jpg")).status == 200
        assert (await client.get(f"/static/thumbnails/sp6{digits}.att_50.jpg")).status == 404
        assert (await client.original(sibling)).status == 200

    @pytest_twisted.ensureDeferred
    async def test_delete_leaves_the_other_extensions_thumbnails_alone(self, client: Client) -> None:
        root = new_name("")
        for extension in (".jpg", ".JPG", ".jpeg"):
            await client.store(f"{root}{extension}", photograph())
            assert (await client.thumbnail(f"{root}{extension}", 50)).status == 200
        assert (await client.delete(f"{root}.jpg")).body == b"Ok."
        assert (await client.get(f"/static/thumbnails/{root}_50.jpg")).status == 404
        assert (await client.get(f"/static/thumbnails/{root}_50.JPG")).status == 200
        assert (await client.get(f"/static/thumbnails/{root}_50.jpeg")).status == 200

    @pytest_twisted.ensureDeferred
    async def test_a_second_delete_finds_nothing(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        assert (await client.delete(name)).status == 200
        check_refused(await client.delete(name), 404, client.key)

    @pytest.mark.parametrize("part", [text_part, latin1_part])
    @pytest_twisted.ensureDeferred
    async def test_delete_takes_a_multipart_form(
        self, client: Client, part: Callable[[str, str], tuple[str, bytes]]
    ) -> None:
        name = new_name(" é.jpg")
        await client.store(name, _CONTENT)
        form = Form.of(part("filename", name), part("coll", "x"), part("token", client.token(name)))
        answer = await client.post("/filedelete", form.around(b""), form.content_type)
        assert (answer.status, answer.body) == (200, b"Ok.")
        assert (await client.original(name)).status == 404

    @pytest_twisted.ensureDeferred
    async def test_a_query_deletes_nothing(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = await client.request("POST", "/filedelete", filename=name, token=client.token(name))
        check_refused(answer, 400, client.key)
        assert (await client.original(name)).body == _CONTENT

    @pytest_twisted.ensureDeferred
    async def test_a_deleted_name_can_be_used_again(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        assert shows(await client.thumbnail(name, 50), RED)
        await client.delete(name)
        await client.store(name, plain_picture(BLUE))
        assert shows(await client.thumbnail(name, 50), BLUE)

    @pytest.mark.parametrize(
        "form", [b"%", b"filename=%ff&token=a", b"\xff\xfe", b"filename", b"a=b&" * 1000, b"x" * (1 << 20)]
    )
    @pytest_twisted.ensureDeferred
    async def test_a_broken_form_is_refused(self, client: Client, form: bytes) -> None:
        answer = await client.post("/filedelete", form, "application/x-www-form-urlencoded")
        assert answer.status in (400, 403)
        check_refused(answer, answer.status, client.key)


class MetadataContract:
    """Section 3: `/getmetadata`."""

    @pytest.mark.parametrize("parameters", [{}, {"dt": "json"}, {"dt": "anything"}, {"dt": ""}])
    @pytest_twisted.ensureDeferred
    async def test_metadata_are_tags_in_groups(self, client: Client, parameters: dict[str, str]) -> None:
        name = new_name()
        await client.store(name, photograph())
        answer = await client.metadata(name, **parameters)
        assert answer.status == 200
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        groups = {group["Name"]: group["Fields"] for group in answer.json}
        assert all(group.keys() == {"Name", "Fields"} for group in answer.json)
        assert len(groups) == len(answer.json)
        assert groups.keys() <= {"Image", "EXIF", "GPS", "Thumbnail", "Interoperability", "MakerNote"}
        assert groups["EXIF"]["DateTimeOriginal"] == images.TAKEN
        assert groups["Image"]["Make"] == "Specimen Optics"
        assert groups["GPS"]["GPSLatitudeRef"] == "N"

    @pytest_twisted.ensureDeferred
    async def test_metadata_are_printable(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        values = [value for group in (await client.metadata(name)).json for value in group["Fields"].values()]
        assert values
        for value in values:
            assert isinstance(value, str)
            assert value.isprintable()
        assert not any("binary maker note" in value for value in values)

    @pytest.mark.parametrize("extension", [".tif", ".png", ".webp", ".heic", ".jpg"])
    @pytest_twisted.ensureDeferred
    async def test_every_kind_of_picture_has_metadata(self, client: Client, extension: str) -> None:
        name = new_name(extension)
        await client.store(name, _picture_with_exif(extension))
        answer = await client.metadata(name, dt="date")
        assert (answer.status, answer.text) == (200, images.TAKEN)
        groups = {group["Name"]: group["Fields"] for group in (await client.metadata(name)).json}
        assert groups["EXIF"]["DateTimeOriginal"] == images.TAKEN

    @pytest.mark.parametrize("extension", [".jpg", ".png", ".txt", ""])
    @pytest.mark.parametrize("content", [b"", b"no picture", bytes(1000)], ids=["empty", "text", "zeroes"])
    @pytest_twisted.ensureDeferred
    async def test_a_file_without_exif_has_no_metadata(self, client: Client, extension: str, content: bytes) -> None:
        name = new_name(extension)
        await client.store(name, content)
        answer = await client.metadata(name)
        assert (answer.status, answer.json) == (200, [])
        check_refused(await client.metadata(name, dt="date"), 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_picture_without_exif_has_no_metadata(self, client: Client) -> None:
        name = new_name()
        await client.store(name, plain_picture(RED))
        assert (await client.metadata(name)).json == []
        check_refused(await client.metadata(name, dt="date"), 404, client.key)

    @pytest_twisted.ensureDeferred
    async def test_the_date_is_a_line_of_text(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        answer = await client.metadata(name, dt="date")
        assert (answer.status, answer.text) == (200, images.TAKEN)
        assert answer.headers["Content-Type"].partition(";")[0] == "text/plain"


class StaticContract:
    """Section 3: `/getfileref` and `/static/`."""

    @pytest_twisted.ensureDeferred
    async def test_a_reference_leads_to_the_same_bytes_and_headers(self, client: Client) -> None:
        name = new_name(" a b é%.jpg")
        await client.store(name, photograph())
        for params in ({"type": "O"}, {"type": "T", "scale": 60}):
            reference = await client.reference(name, **params)
            assert reference.status == 200
            assert reference.headers["Content-Type"].partition(";")[0] == "text/plain"
            check_allowed_everywhere(reference)
            assert reference.text.startswith(f"{client.base_url}/static/")
            assert reference.text.isascii()
            static = await client.get(reference.text.removeprefix(client.base_url))
            direct = await client.get("/fileget", filename=name, **params)
            assert static.body == direct.body
            assert _comparable(static) == _comparable(direct)

    @pytest_twisted.ensureDeferred
    async def test_a_reference_makes_the_thumbnail(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph())
        path = f"/static/thumbnails/{name.removesuffix('.jpg')}_60.jpg"
        assert (await client.get(path)).status == 404
        reference = await client.reference(name, type="T", scale=60)
        assert reference.text == f"{client.base_url}{path}"
        assert (await client.get(path)).image().size == (60, 40)

    @pytest_twisted.ensureDeferred
    async def test_static_files_have_ranges_and_conditions(self, client: Client) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        path = f"/static/originals/{name}"
        part = await client.get(path, headers={"Range": "bytes=1-2"})
        assert (part.status, part.body) == (206, _CONTENT[1:3])
        assert (await client.get(path, headers={"If-None-Match": part.headers["ETag"]})).status == 304

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "originals",
            "originals/",
            "thumbnails/",
            "/originals/{}",
            "originals//{}",
            "originals/./{}",
            "./originals/{}",
            "thumbnails/../originals/{}",
            "originals/../../was.toml",
            "../was.toml",
            "%2e%2e/was.toml",
            "..%2fwas.toml",
            "originals/..%2f..%2fwas.toml",
            "originals%2f{}",
            "originals\\{}",
            "originals/{}%00",
            "originals/{}/",
            "thumbnails/{}",
            "originals/../thumbnails/{}",
            "Originals/{}",
            "x/originals/{}",
            ".staging/x",
            "originals/.staging/x",
            ".key",
            "{}",
            "/etc/passwd",
            "//etc/passwd",
            "%2fetc%2fpasswd",
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_nothing_else_of_the_store_can_be_reached(self, client: Client, path: str) -> None:
        name = new_name()
        await client.store(name, _CONTENT)
        answer = client.raw(get("/static/" + path.format(name)))
        assert answer.status in (400, 404)
        check_refused(answer, answer.status, client.key)


class NamesContract:
    """Section 4."""

    @pytest.mark.parametrize("pattern", slow_after(4, _GOOD_NAMES.values()), ids=_GOOD_NAMES.keys())
    @pytest_twisted.ensureDeferred
    async def test_a_good_name_works_everywhere(self, client: Client, pattern: str) -> None:
        await self._check_name_works_everywhere(client, pattern.format(uuid4().hex))

    @pytest.mark.parametrize("letter", ["a", "ä", "甲"])
    @pytest_twisted.ensureDeferred
    async def test_a_name_of_255_bytes_works_everywhere(self, client: Client, letter: str) -> None:
        start = uuid4().hex
        name = start + letter * ((251 - len(start)) // len(letter.encode()))
        await self._check_name_works_everywhere(client, name + "b" * (251 - len(name.encode())) + ".jpg")

    async def _check_name_works_everywhere(self, client: Client, name: str) -> None:
        content = photograph()
        await client.store(name, content)
        assert (await client.original(name)).body == content
        assert (await client.head("/fileget", filename=name)).status == 200
        assert (await client.thumbnail(name, 60)).image().size == (60, 40)
        assert (await client.metadata(name, dt="date")).text == images.TAKEN
        for params in ({"type": "O"}, {"type": "T", "scale": 60}):
            reference = (await client.reference(name, **params)).text
            assert reference.startswith(f"{client.base_url}/static/")
            assert (await client.get(reference.removeprefix(client.base_url))).status == 200
        await client.store(name, plain_picture(RED))
        assert shows(await client.thumbnail(name, 60), RED)
        assert (await client.delete(name)).body == b"Ok."
        assert (await client.original(name)).status == 404

    @pytest_twisted.ensureDeferred
    async def test_composed_and_decomposed_letters_are_two_names(self, client: Client) -> None:
        start = uuid4().hex
        composed, decomposed = (start + unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
        await client.store(composed, b"composed")
        assert (await client.original(decomposed)).status == 404
        await client.store(decomposed, b"decomposed")
        assert (await client.original(composed)).body == b"composed"
        assert (await client.delete(decomposed)).body == b"Ok."
        assert (await client.original(composed)).body == b"composed"

    @pytest_twisted.ensureDeferred
    async def test_long_names_that_differ_at_their_end_have_their_own_thumbnails(self, client: Client) -> None:
        start = uuid4().hex + "a" * 218
        for end, colour in (("0", RED), ("1", BLUE)):
            await client.store(f"{start}{end}.jpg", plain_picture(colour))
        for end, colour in (("0", RED), ("1", BLUE)):
            assert shows(await client.thumbnail(f"{start}{end}.jpg", 50), colour)
        assert (await client.delete(f"{start}0.jpg")).body == b"Ok."
        assert shows(await client.thumbnail(f"{start}1.jpg", 50), BLUE)

    @pytest.mark.parametrize("name", _BAD_NAMES.values(), ids=_BAD_NAMES.keys())
    @pytest_twisted.ensureDeferred
    async def test_a_bad_name_is_refused_everywhere(self, client: Client, name: str) -> None:
        for answer in (
            await client.upload_like_specify7(name, _CONTENT),
            await client.upload_like_specify6(name, _CONTENT),
            await client.upload_like_specify6(name, _CONTENT, kind="T"),
            await client.original(name),
            await client.thumbnail(name, 50),
            await client.metadata(name),
            await client.reference(name),
            await client.delete(name),
        ):
            check_refused(answer, 400, client.key)

    @pytest_twisted.ensureDeferred
    async def test_a_name_that_is_not_utf_8_is_refused(self, client: Client) -> None:
        for target in ("/fileget?filename=%ff", "/getmetadata?filename=a%e9.jpg", "/getfileref?filename=%c3"):
            check_refused(await client.get(target), 400, client.key)
        form = Form.of(
            ('Content-Disposition: form-data; name="store"', b"a\xe9.jpg"),
            text_part("token", client.token("aé.jpg")),
            file_part(),
        )
        check_refused(await client.upload(form, _CONTENT), 400, client.key)

    @pytest_twisted.ensureDeferred
    async def test_without_collections_any_collection_will_do(self, client: Client) -> None:
        name = new_name()
        await client.store(name, photograph(), coll="one")
        for coll in ("two", "", "../x", "é", None):
            assert (await client.original(name, coll=coll)).body == photograph()
            assert (await client.thumbnail(name, 50, coll=coll)).status == 200
            assert (await client.metadata(name, coll=coll)).status == 200
        assert (await client.delete(name, coll="three")).body == b"Ok."


class HTTPContract(
    ClientsContract,
    TokensContract,
    EveryResponseContract,
    DiscoveryContract,
    UploadContract,
    DownloadContract,
    ThumbnailContract,
    DeleteContract,
    MetadataContract,
    StaticContract,
    NamesContract,
):
    """All of it."""


def _comparable(answer: Answer) -> list[tuple[str, str]]:
    """The headers that are alike in two answers of one kind."""
    passing = ("date", "x-timestamp", "x-request-id", "server", "connection")
    return sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in passing)


async def _dated(client: Client, **params: str | int) -> Message:
    """Return the headers of an asset once its date tells it from other versions, when the second it is of is over."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        headers = (await client.get("/fileget", **params)).headers
        condition = {"If-Modified-Since": headers["Last-Modified"]}
        if (await client.get("/fileget", headers=condition, **params)).status == 304:
            return headers
        await deferLater(reactor, 0.05)
    raise AssertionError("the date never validates")


def _pages(number: int) -> bytes:
    """A TIFF whose first page is the chart and whose other pages are black."""
    others = [Image.new("RGB", images.CHART_SIZE)] * (number - 1)
    return images.encode(images.chart(), "TIFF", save_all=True, append_images=others)


def _picture_with_exif(extension: str) -> bytes:
    exif = Image.open(io.BytesIO(photograph())).getexif()
    if extension == ".heic":
        return images.heic(exif=exif.tobytes())
    formats = {".tif": "TIFF", ".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG"}
    return images.encode(images.chart(), formats[extension], exif=exif)
