"""Every check of `was-daemon check` notices the fault it is there for."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlencode

import attrs
import pytest
from PIL import Image

from tests.support.model_server import KEY, Answering, ModelServer, Reply, Request
from tests.support.slow import slow_after
from was_daemon.conformance import discovery, pictures
from was_daemon.conformance.client import HttpClient
from was_daemon.conformance.results import CheckFailed, CheckState
from was_daemon.conformance.server import Server
from was_daemon.conformance.suite import CHECKS, run_check

pytestmark = pytest.mark.slow

Tamper = Callable[[Request, Answering], Reply]
When = Callable[[Request], bool]

BY_ID = {check.id: check for check in (*CHECKS, *discovery.FINAL_CHECKS)}
PASSED, FAILED, DIFFERS, SKIPPED = CheckState.PASSED, CheckState.FAILED, CheckState.DIFFERS, CheckState.SKIPPED


def at(path: str, method: str | None = None, **fields: str) -> When:
    """Requests to an endpoint, by method and fields."""

    def applies(request: Request) -> bool:
        matches = all(request.fields.get(name) == value for name, value in fields.items())
        return request.path.startswith(path) and method in (None, request.method) and matches

    return applies


def named(path: str, part: str) -> When:
    """Requests to an endpoint about a name with something in it."""
    return lambda request: (
        request.path == path and part in request.fields.get("filename", request.fields.get("store", ""))
    )


def reply(when: When, status: int, body: bytes = b"no") -> Tamper:
    """Answers this instead."""
    return lambda request, answer: Reply(status, body) if when(request) else answer(request)


def change(when: When, changed: Callable[[Reply], Reply]) -> Tamper:
    """Changes the answer."""
    return lambda request, answer: changed(answer(request)) if when(request) else answer(request)


def ask(when: When, changed: Callable[[Request], Request]) -> Tamper:
    """Changes the request."""
    return lambda request, answer: answer(changed(request) if when(request) else request)


def body(changed: Callable[[bytes], bytes]) -> Callable[[Reply], Reply]:
    return lambda got: attrs.evolve(got, body=changed(got.body))


def header(name: str, value: str = "") -> Callable[[Reply], Reply]:
    """With another value of a header; without one, there is no such header."""
    return lambda got: attrs.evolve(got, headers=got.headers | {name: value})


def lacking(field: str) -> When:
    return lambda request: field not in request.fields


def both(first: When, second: When) -> When:
    return lambda request: first(request) and second(request)


def is_error(got: Reply) -> bool:
    return got.status >= 400


def on_errors(changed: Callable[[Reply], Reply]) -> Callable[[Reply], Reply]:
    return lambda got: changed(got) if is_error(got) else got


def with_fields(**fields: str) -> Callable[[Request], Request]:
    return lambda request: attrs.evolve(request, fields=request.fields | fields)


def picture(size: tuple[int, int]) -> bytes:
    return pictures.plain(pictures.RED, size)


def with_position(exif: bool) -> bytes:
    """A photograph with its position in its EXIF data, or in its XMP data."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(pictures.photograph())) as image:
        kept = {"exif": image.getexif()} if exif else {"xmp": image.info["xmp"]}
        Image.new("RGB", (120, 80)).save(out, "JPEG", **kept)
    return out.getvalue()


anything: When = lambda request: True  # noqa: E731
DISCOVERY = at("/web_asset_store.xml")
TESTKEY = at("/testkey")
UPLOAD = at("/fileupload", "POST")
THUMBNAIL = at("/fileget", type="T")
ORIGINAL = at("/fileget", type="O")
DELETE = at("/filedelete")
METADATA = at("/getmetadata", dt="json")
DATE = at("/getmetadata", dt="date")


def send_to_an_address_for_get(request: Request, answer: Answering) -> Reply:
    if "signature" in request.fields:
        return Reply(403) if request.method == "HEAD" else answer(request)
    if not ORIGINAL(request):
        return answer(request)
    return Reply(302, headers={"Location": f"{request.path}?{urlencode(request.fields | {'signature': 'GET'})}"})


TAMPERED: list[tuple[str, str, CheckState, Tamper]] = [
    ("discovery", "missing", FAILED, reply(DISCOVERY, 404)),
    ("discovery", "no XML", FAILED, reply(DISCOVERY, 200, b"<html><br></html>")),
    ("discovery", "entities", FAILED, reply(DISCOVERY, 200, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')),
    ("discovery", "a type missing", FAILED, change(DISCOVERY, body(lambda b: b.replace(b"testkey", b"test")))),
    ("discovery", "relative", FAILED, change(DISCOVERY, body(lambda b: b.replace(b"http://", b"/")))),
    ("discovery", "as text", DIFFERS, change(DISCOVERY, header("Content-Type", "text/plain"))),
    ("endpoints-key", "another key to read", FAILED, reply(ORIGINAL, 403)),
    ("endpoints-key", "another key to delete", FAILED, reply(DELETE, 403)),
    ("endpoints-key", "a login of its own for metadata", FAILED, reply(METADATA, 401)),
    ("endpoints-key", "an hour ahead", DIFFERS, change(ORIGINAL, header("X-Timestamp", "9999999999"))),
    ("clock", "no time", FAILED, change(DISCOVERY, header("X-Timestamp"))),
    ("clock", "a date", FAILED, change(DISCOVERY, header("X-Timestamp", "2026-01-01"))),
    ("clock", "an hour ahead", DIFFERS, change(DISCOVERY, header("X-Timestamp", "9999999999"))),
    ("endpoints", "elsewhere", DIFFERS, change(DISCOVERY, body(lambda b: b.replace(b"127.0.0.1", b"museum.org")))),
    ("key", "refused", FAILED, reply(TESTKEY, 403)),
    ("key", "in other words", DIFFERS, change(TESTKEY, body(lambda b: b"fine"))),
    ("key-wrong", "every token is good", FAILED, reply(TESTKEY, 200, b"Ok.")),
    ("key-wrong", "401", DIFFERS, change(TESTKEY, on_errors(lambda got: Reply(401)))),
    ("key-malformed", "500", DIFFERS, change(TESTKEY, on_errors(lambda got: Reply(500)))),
    ("key-malformed", "good", FAILED, reply(TESTKEY, 200)),
    ("key-old", "good for ever", DIFFERS, reply(TESTKEY, 200)),
    ("key-letters", "refused", FAILED, reply(TESTKEY, 403)),
    ("upload-preflight", "no OPTIONS", FAILED, reply(at("/fileupload", "OPTIONS"), 405)),
    (
        "upload-preflight",
        "no header",
        FAILED,
        change(UPLOAD_OPTIONS := at("/fileupload", "OPTIONS"), header("Access-Control-Allow-Origin")),
    ),
    (
        "upload-preflight",
        "another origin",
        FAILED,
        change(UPLOAD_OPTIONS, header("Access-Control-Allow-Origin", "https://museum.org")),
    ),
    ("upload-specify7", "500", FAILED, reply(UPLOAD, 500)),
    ("upload-specify7", "half", FAILED, ask(UPLOAD, lambda r: attrs.evolve(r, file=(r.file or b"")[:100]))),
    ("upload-specify7", "in other words", DIFFERS, change(UPLOAD, body(lambda b: b"stored"))),
    (
        "upload-specify6",
        "only a field called file",
        FAILED,
        lambda request, answer: answer(request) if request.file_field in (None, "file") else Reply(400),
    ),
    ("upload-specify6-thumbnail", "refused", FAILED, reply(at("/fileupload", type="T"), 400)),
    ("upload-specify6-thumbnail", "stored", FAILED, ask(UPLOAD, with_fields(type="O"))),
    ("upload-cors", "none", FAILED, change(UPLOAD, header("Access-Control-Allow-Origin"))),
    ("upload-cors", "none with errors", FAILED, change(UPLOAD, on_errors(header("Access-Control-Allow-Origin")))),
    ("upload-fields", "500", DIFFERS, change(UPLOAD, on_errors(lambda got: Reply(500)))),
    ("upload-fields", "good", FAILED, change(UPLOAD, on_errors(lambda got: Reply(200)))),
    (
        "upload-replaces",
        "forbidden",
        DIFFERS,
        lambda request, answer: Reply(409) if UPLOAD(request) and _is_red_replaced(request) else answer(request),
    ),
    ("download", "no type", FAILED, change(ORIGINAL, header("Content-Type"))),
    ("download", "no type of its own", DIFFERS, change(ORIGINAL, header("Content-Type", "application/octet-stream"))),
    ("download", "other bytes", FAILED, change(ORIGINAL, body(lambda b: b + b"\n"))),
    ("download-specify6", "500", FAILED, reply(at("/fileget", scale="null"), 500)),
    ("download-specify6", "a thumbnail", FAILED, change(at("/fileget", scale="null"), body(lambda b: b[:10]))),
    ("download-portal", "with a token only", DIFFERS, reply(both(ORIGINAL, lacking("token")), 403)),
    ("download-portal", "500", FAILED, reply(both(ORIGINAL, lacking("token")), 500)),
    ("download-type", "500", DIFFERS, reply(both(at("/fileget"), lacking("type")), 500)),
    ("download-name", "no letters", DIFFERS, change(ORIGINAL, header("Content-Disposition", "inline"))),
    ("download-name", "500", FAILED, reply(ORIGINAL, 500)),
    ("download-ranges", "none", DIFFERS, lambda request, answer: answer(attrs.evolve(request, headers={}))),
    ("download-ranges", "wrong", FAILED, change(ORIGINAL, body(lambda b: b[:-1]))),
    ("download-head", "405", DIFFERS, reply(at("/fileget", "HEAD"), 405)),
    ("download-head", "sent to an address for GET", DIFFERS, send_to_an_address_for_get),
    ("download-head", "another length", DIFFERS, change(at("/fileget", "HEAD"), header("Content-Length", "7"))),
    ("download-cache", "no ETag", DIFFERS, change(ORIGINAL, header("ETag"))),
    ("download-cache", "not looked at", DIFFERS, lambda request, answer: answer(attrs.evolve(request, headers={}))),
    ("download-missing", "500", DIFFERS, change(ORIGINAL, on_errors(lambda got: Reply(500)))),
    ("download-missing", "an empty file", FAILED, change(ORIGINAL, on_errors(lambda got: Reply(200)))),
    ("download-cors", "none", DIFFERS, change(ORIGINAL, header("Access-Control-Allow-Origin"))),
    ("metadata-json", "500", FAILED, reply(METADATA, 500)),
    ("metadata-json", "no JSON", FAILED, change(METADATA, body(lambda b: b"DateTimeOriginal"))),
    ("metadata-json", "no date", FAILED, change(METADATA, body(lambda b: b"[]"))),
    (
        "metadata-json",
        "flat",
        DIFFERS,
        change(METADATA, body(lambda b: b'{"DateTimeOriginal": "2012:02:02 13:48:41"}')),
    ),
    ("metadata-date", "missing", FAILED, reply(DATE, 404)),
    ("metadata-date", "another form", FAILED, change(DATE, body(lambda b: b"2 February 2012"))),
    ("metadata-none", "500", FAILED, reply(METADATA, 500)),
    ("metadata-none", "not found", DIFFERS, reply(METADATA, 404)),
    ("metadata-none", "an empty object", DIFFERS, change(METADATA, body(lambda b: b"{}"))),
    ("static", "no original without a type", PASSED, reply(both(at("/getfileref"), lacking("type")), 500)),
    ("static", "off", SKIPPED, reply(at("/getfileref"), 404)),
    ("static", "relative", FAILED, change(at("/getfileref"), body(lambda b: b"/static/a.jpg"))),
    ("static", "leads nowhere", FAILED, reply(at("/static"), 404)),
    ("static", "other bytes", FAILED, change(at("/static/originals"), body(lambda b: b[1:]))),
    ("static", "no thumbnail", FAILED, reply(at("/static/thumbnails"), 404)),
    ("thumbnail", "missing", FAILED, reply(THUMBNAIL, 404)),
    ("thumbnail", "too large", FAILED, ask(THUMBNAIL, with_fields(scale="200"))),
    ("thumbnail", "small", DIFFERS, ask(THUMBNAIL, with_fields(scale="60"))),
    ("thumbnail", "square", FAILED, change(THUMBNAIL, body(lambda b: picture((123, 123))))),
    ("thumbnail", "cut off", FAILED, change(THUMBNAIL, body(lambda b: b[: len(b) // 2]))),
    ("thumbnail", "no type", FAILED, change(THUMBNAIL, header("Content-Type"))),
    ("thumbnail-small", "enlarged", DIFFERS, change(THUMBNAIL, body(lambda b: picture((200, 133))))),
    ("thumbnail-upright", "the photograph itself", DIFFERS, change(THUMBNAIL, body(lambda b: pictures.photograph()))),
    ("thumbnail-position", "the photograph itself", FAILED, change(THUMBNAIL, body(lambda b: pictures.photograph()))),
    ("thumbnail-position", "only in EXIF", FAILED, change(THUMBNAIL, body(lambda b: with_position(exif=True)))),
    ("thumbnail-position", "only in XMP", FAILED, change(THUMBNAIL, body(lambda b: with_position(exif=False)))),
    ("thumbnail-gif", "none", FAILED, reply(THUMBNAIL, 404)),
    ("thumbnail-png", "none", FAILED, reply(THUMBNAIL, 415)),
    ("thumbnail-tiff", "none", FAILED, reply(THUMBNAIL, 404)),
    (
        "thumbnail-tiff",
        "another picture",
        FAILED,
        change(THUMBNAIL, body(lambda b: pictures.plain(pictures.BLUE, (120, 80)))),
    ),
    ("thumbnail-pages", "none", FAILED, reply(THUMBNAIL, 404)),
    ("thumbnail-pages", "500", FAILED, reply(THUMBNAIL, 500)),
    ("thumbnail-pdf", "500", FAILED, reply(THUMBNAIL, 500)),
    ("thumbnail-pdf", "none", FAILED, reply(THUMBNAIL, 415)),
    ("thumbnail-scale", "500", DIFFERS, reply(both(THUMBNAIL, lacking("scale")), 500)),
    ("thumbnail-broken", "500", DIFFERS, change(THUMBNAIL, on_errors(lambda got: Reply(500)))),
    ("thumbnail-broken", "an icon", DIFFERS, reply(THUMBNAIL, 200, picture((20, 20)))),
    ("thumbnail-broken", "the file itself", FAILED, reply(THUMBNAIL, 200, b"This is no JPEG.")),
    ("thumbnail-text", "500", DIFFERS, change(THUMBNAIL, on_errors(lambda got: Reply(500)))),
    ("thumbnail-text", "the text", FAILED, reply(THUMBNAIL, 200, b"This is a text.")),
    (
        "names-extension",
        "none allowed",
        FAILED,
        lambda request, answer: answer(request) if "." in request.fields.get("store", ".") else Reply(400),
    ),
    ("names-signs", "spaces refused", FAILED, reply(named("/fileupload", " "), 400)),
    (
        "names-signs",
        "plus is a space",
        FAILED,
        ask(
            named("/fileget", "+"),
            lambda r: attrs.evolve(r, fields=r.fields | {"filename": r.fields["filename"].replace("+", " ")}),
        ),
    ),
    ("names-letters", "not deleted", FAILED, reply(named("/filedelete", "甲"), 403)),
    (
        "names-outside",
        "read",
        FAILED,
        ask(
            named("/fileget", "../originals/"),
            lambda r: attrs.evolve(r, fields=r.fields | {"filename": r.fields["filename"].rpartition("/")[2]}),
        ),
    ),
    ("names-traversal", "500", DIFFERS, reply(named("/fileupload", "../"), 500)),
    ("delete", "refused", FAILED, reply(DELETE, 403)),
    ("delete", "not done", FAILED, reply(DELETE, 200, b"Ok.")),
    ("delete", "in other words", DIFFERS, change(DELETE, body(lambda b: b"done"))),
    ("delete-missing", "500", FAILED, change(DELETE, on_errors(lambda got: Reply(500)))),
    ("delete-missing", "200", DIFFERS, change(DELETE, on_errors(lambda got: Reply(200)))),
    ("delete-siblings", "no thumbnail", FAILED, reply(THUMBNAIL, 404)),
    ("timestamps", "none with errors", DIFFERS, change(anything, on_errors(header("X-Timestamp")))),
    ("timestamps", "a date", FAILED, change(anything, on_errors(header("X-Timestamp", "2026-01-01")))),
]


def _is_red_replaced(request: Request) -> bool:
    with Image.open(io.BytesIO(request.file or b"")) as image:
        return pictures.shows(image, pictures.BLUE)


class NoTokens(ModelServer):
    def check_token(self, name: str, request: Request) -> None:
        return


class KeepsThumbnails(ModelServer):
    def drop_thumbnails(self, name: str) -> None:
        return

    def thumbnail(self, name: str, scale: int) -> bytes:
        return self.thumbnails.get(self.thumbnail_name(name, scale)) or super().thumbnail(name, scale)


class WritesInTwoSteps(ModelServer):
    """Waits, between the steps, until somebody has read what is there."""

    half_read = threading.Event()

    def store(self, name: str, content: bytes) -> None:
        if name not in self.originals:
            return super().store(name, content)
        self.originals[name] = content[:100]
        self.half_read.clear()
        self.half_read.wait(3)
        return super().store(name, content)

    def original(self, name: str) -> bytes:
        content = super().original(name)
        self.half_read.set()
        return content


class SendsUnfinishedThumbnails(ModelServer):
    """Sends the seventh cut off."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def thumbnail(self, name: str, scale: int) -> bytes:
        number = next(self._numbers)
        made = super().thumbnail(name, scale)
        return made[:100] if number == 7 else made


class WritesAnywhere(ModelServer):
    def check_name(self, name: str) -> str:
        return name


class DeletesByPrefix(ModelServer):
    def filedelete(self, request: Request) -> Reply:
        done = super().filedelete(request)
        root = request.fields["filename"].partition(".")[0]
        self.originals = {name: content for name, content in self.originals.items() if not name.startswith(root)}
        return done


BROKEN: list[tuple[str, CheckState, type[ModelServer]]] = [
    ("key-wrong", FAILED, NoTokens),
    ("upload-token", FAILED, NoTokens),
    ("delete-token", FAILED, NoTokens),
    ("upload-replaces", FAILED, KeepsThumbnails),
    ("delete-thumbnails", FAILED, KeepsThumbnails),
    ("upload-whole", FAILED, WritesInTwoSteps),
    ("thumbnail-simultaneous", FAILED, SendsUnfinishedThumbnails),
    ("names-traversal", FAILED, WritesAnywhere),
    ("delete-siblings", FAILED, DeletesByPrefix),
]


def made(id_: str, model: ModelServer, collection: str | None = None, timeout: float = 30) -> CheckState:
    """What comes of one check on this server."""
    with model.running():
        # The endpoints have another address than the document then.
        address = model.url.replace("127.0.0.1", "localhost") if id_ == "endpoints-key" else model.url
        server = Server(f"{address}/web_asset_store.xml", KEY, collection, HttpClient(timeout))
        if id_ != "discovery":
            urls = {kind: f"{model.url}/{path}" for kind, path in PATHS.items()}
            server.endpoints.update(urls)
        if id_ == "endpoints":
            run_check(BY_ID["discovery"], server, {})
        if id_ == "timestamps":
            run_check(BY_ID["download-missing"], server, {})
        return run_check(BY_ID[id_], server, {}).state


PATHS = {
    "read": "fileget",
    "write": "fileupload",
    "delete": "filedelete",
    "getmetadata": "getmetadata",
    "testkey": "testkey",
}


@pytest.mark.parametrize(
    ("id_", "state", "tamper"),
    [
        pytest.param(id_, state, tamper, id=f"{id_}: {what}", marks=[pytest.mark.slow] if number % 3 else [])
        for number, (id_, what, state, tamper) in enumerate(TAMPERED)
    ],
)
def test_a_broken_answer_is_noticed(id_: str, state: CheckState, tamper: Tamper) -> None:
    assert made(id_, ModelServer(tamper)) is state


@pytest.mark.parametrize(("id_", "state", "model"), BROKEN)
def test_a_broken_server_is_noticed(id_: str, state: CheckState, model: type[ModelServer]) -> None:
    assert made(id_, model()) is state


@pytest.mark.parametrize("id_", [check.id for check in (*CHECKS, *discovery.FINAL_CHECKS)])
def test_a_server_without_a_fault_passes(id_: str) -> None:
    model = ModelServer()
    model.collections = {"KUFish"}
    assert made(id_, model, "KUFish") is CheckState.PASSED


def test_collections_that_are_not_told_apart_differ() -> None:
    assert made("collection-unknown", ModelServer(), "KUFish") is DIFFERS


def test_a_document_that_came_by_https_has_no_http_addresses() -> None:
    server = Server("https://museum.org/web_asset_store.xml", KEY, None, HttpClient(30))
    server.endpoints.update({kind: f"http://museum.org/{path}" for kind, path in PATHS.items()})
    with pytest.raises(CheckFailed, match="https addresses"):
        BY_ID["endpoints"].attempt(server)


def test_it_is_said_what_is_on_which_server() -> None:
    server = Server("https://museum.org/web_asset_store.xml", KEY, None, HttpClient(30))
    hosts = {"read": "dam.museum.org", "getmetadata": "dam.museum.org", "testkey": "keys.museum.org"}
    server.endpoints.update({kind: f"https://{hosts.get(kind, 'museum.org')}/{path}" for kind, path in PATHS.items()})
    assert BY_ID["endpoints"].attempt(server) == (
        "read and getmetadata are at dam.museum.org, not at museum.org; "
        "testkey is at keys.museum.org, not at museum.org"
    )


def test_every_check_is_seen_to_notice_something() -> None:
    noticed = {id_ for id_, *_ in TAMPERED} | {id_ for id_, *_ in BROKEN}
    assert BY_ID.keys() - noticed == {"collection-unknown"}


@pytest.mark.parametrize("id_", slow_after(15, sorted(BY_ID.keys() - {"endpoints", "timestamps"})))
def test_a_server_that_hangs_up_fails(id_: str) -> None:
    def hang_up(request: Request, answer: Answering) -> Reply:
        raise ConnectionAbortedError

    model = ModelServer(hang_up)
    assert made(id_, model, "KUFish") in (FAILED, SKIPPED)


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    finished = threading.Event()

    def never(request: Request, answer: Answering) -> Reply:
        finished.wait(60)
        return answer(request)

    class Hanging(ModelServer):
        @contextmanager
        def running(self) -> Iterator[ModelServer]:
            with super().running():
                yield self
                finished.set()

    assert made("discovery", Hanging(never), timeout=0.1) is FAILED
