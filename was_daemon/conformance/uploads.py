"""Checks of uploads by Specify 6 and Specify 7."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.client import Answer
from was_daemon.conformance.results import CheckFailed, CheckSkipped, differences, expect
from was_daemon.conformance.server import ORIGIN, Server

_LARGE = 4 << 20
_REPLACEMENTS = 4
_READERS = 4


def _stored(server: Server, answer: Answer, name: str, content: bytes) -> str | None:
    if answer.status == 404 and server.collection is None:
        raise CheckFailed("200 to an upload", f"{answer}; does the server want a collection? Name one with --coll")
    answer.expect(200, to="an upload")
    back = server.original(name).expect(200, to="fileget of what was uploaded")
    expect(back.body == content, f"the {len(content)} bytes that were uploaded", back)
    return None if answer.text.strip() == "Ok." else f"the answer is {answer}, not Ok."


def _specify7(server: Server) -> str | None:
    name, content = server.new_name(), pictures.photograph()
    return _stored(server, server.upload(name, content), name, content)


def _specify6(server: Server) -> str | None:
    name, content = server.new_specify6_name(), pictures.photograph()
    return _stored(server, server.upload_like_specify6(name, content), name, content)


def _specify6_thumbnail(server: Server) -> str | None:
    name, content = server.new_specify6_name(), pictures.photograph()
    server.upload_like_specify6(name, content).expect(200, to="an upload")
    thumbnail = pictures.plain(pictures.RED, (90, 60))
    server.upload_like_specify6(name, thumbnail, kind="T").expect(200, to="the upload of a thumbnail")
    back = server.original(name).expect(200, to="fileget of the original")
    expect(back.body == content, "the original, untouched by the upload of its thumbnail", back)
    return None


def _may_read(answer: Answer) -> bool:
    return answer.allowed_origin in ("*", ORIGIN)


def _preflight(server: Server) -> str | None:
    answer = server.preflight(server.endpoints["write"]).expect(200, 204, to="the browser's OPTIONS before an upload")
    expect(_may_read(answer), "Access-Control-Allow-Origin: * with the answer to OPTIONS", answer.allowed_origin)
    return None


def _cross_origin(server: Server) -> str | None:
    name = server.new_name()
    uploaded = server.upload(name, b"content")
    expect(_may_read(uploaded), "Access-Control-Allow-Origin: * with the answer to an upload", uploaded.allowed_origin)
    refused = server.upload(name, b"content", token="0:0", store=None)  # noqa: S106  # it is to be refused
    expect(
        _may_read(refused), f"Access-Control-Allow-Origin: * with an error ({refused.status})", refused.allowed_origin
    )
    return None


def _wrong_token(server: Server) -> str | None:
    server.require_key()
    name = server.new_name()
    other = server.token(server.new_name())
    remarks = [
        refusal(server.upload(name, b"content", token=other), 403, "an upload with another name's token"),
        refusal(server.upload(name, b"content", token="no token"), 403, "an upload with a malformed token"),  # noqa: S106
    ]
    expect(server.original(name).status != 200, "nothing to be stored", "the refused upload")
    return differences(*remarks)


def _missing_fields(server: Server) -> str | None:
    name = server.new_name()
    return differences(
        refusal(server.upload(name, None), 400, "an upload without a file"),
        refusal(server.upload(name, b"content", store=None), 400, "an upload without the field store"),
    )


def _replaced(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.plain(pictures.RED))
    server.thumbnail(name).expect(200, to="a thumbnail")
    again = server.upload(name, pictures.plain(pictures.BLUE))
    if again.status == 409:
        return "the server does not let an upload replace an asset"
    again.expect(200, to="an upload over an existing name")
    expect(pictures.shows(server.original(name).image(), pictures.BLUE), "the new original", "the old one")
    thumbnail = server.thumbnail(name).expect(200, to="a thumbnail of the new original").image()
    expect(pictures.shows(thumbnail, pictures.BLUE), "a thumbnail of the new original", "the old one's")
    return None


def _being_replaced(server: Server) -> str | None:
    versions = [bytes([version]) * _LARGE for version in range(2)]
    name = server.store(server.new_name(".bin"), versions[0])

    stop = Event()

    def replace() -> None:
        for version in range(_REPLACEMENTS):
            if stop.is_set():
                return
            answer = server.upload(name, versions[version % 2])
            if answer.status == 409:
                raise CheckSkipped("the server does not let an upload replace an asset")
            answer.expect(200, to="an upload over an existing name")

    with ThreadPoolExecutor(_READERS + 1) as threads:
        replacing = threads.submit(replace)
        try:
            while not replacing.done():
                answers = list(threads.map(lambda _: server.original(name), range(_READERS)))
                torn = [each for each in answers if each.status != 200 or each.body not in versions]
                expect(not torn, "all of the old or all of the new file while it is replaced", torn and torn[0])
        finally:
            stop.set()
        replacing.result()
    return None


CHECKS = (
    Check("upload-preflight", "a browser of another origin may upload", _preflight, "key"),
    Check("upload-specify7", "Specify 7 uploads: the file, then the fields", _specify7, "key"),
    Check("upload-specify6", "Specify 6 uploads: the fields, then the file under its own name", _specify6, "key"),
    Check("upload-specify6-thumbnail", "Specify 6 uploads a thumbnail after the original", _specify6_thumbnail),
    Check("upload-cors", "a browser sees the answer to an upload, errors too", _cross_origin),
    Check("upload-token", "an upload with a wrong token is refused and not stored", _wrong_token),
    Check("upload-fields", "an upload that lacks something is refused", _missing_fields),
    Check("upload-replaces", "an upload replaces the original and its thumbnails", _replaced),
    Check("upload-whole", "a file that is replaced is read as the old or as the new one", _being_replaced),
)
