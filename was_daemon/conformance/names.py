"""Names of assets, and deleting them."""

from collections.abc import Callable
from uuid import uuid4

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check
from was_daemon.conformance.discovery import refusal
from was_daemon.conformance.results import CheckSkipped, differences, expect
from was_daemon.conformance.server import Server

_CONTENT = b"content"


def _works(*endings: str) -> Callable[[Server], str | None]:
    """The check that names which end like this are stored, read, shown and deleted."""

    def attempt(server: Server) -> str | None:
        content = pictures.photograph()
        for ending in endings:
            name = server.new_name(ending)
            server.upload(name, content).expect(200, to=f"an upload called {name}")
            answer = server.original(name).expect(200, to=f"fileget of {name}")
            expect(answer.body == content, f"the bytes of {name}", answer)
            if "." in ending:
                server.thumbnail(name).expect(200, to=f"a thumbnail of {name}").image()
            server.delete(name).expect(200, to=f"filedelete of {name}")
            expect(server.original(name).status != 200, f"{name} to be gone", "the file")
        return None

    return attempt


def _traversal(server: Server) -> str | None:
    name = f"../{uuid4()}.jpg"
    answer = server.upload(name, _CONTENT)
    expect(answer.status >= 400, f"400 to an upload called {name}", f"{answer}: it may lie outside of the store")
    expect(server.original(name).status != 200, "nothing to be stored", f"a file called {name}")
    return refusal(answer, 400, "an upload called ../NAME")


def _read_traversal(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    around = f"../originals/{name}"
    return refusal(server.original(around), 400, "fileget of ../originals/NAME")


def _delete(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    answer = server.delete(name).expect(200, to="filedelete")
    gone = server.original(name)
    return differences(
        refusal(gone, 404, "fileget of what was deleted"),
        None if answer.text.strip() == "Ok." else f"the answer to filedelete is {answer}, not Ok.",
    )


def _delete_thumbnails(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    for scale in ("50", "123"):
        server.thumbnail(name, scale).expect(200, to="a thumbnail")
    server.delete(name).expect(200, to="filedelete")
    left = [scale for scale in ("50", "123") if server.thumbnail(name, scale).status == 200]
    expect(not left, "no thumbnails of what was deleted", f"those of scale {' and '.join(left)}")
    return None


def _delete_again(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    server.delete(name)
    answer = server.delete(name).expect(404, 200, to="filedelete of what is not there, which Specify 7 takes for done")
    return None if answer.status == 404 else "200 instead of 404 to filedelete of what is not there"


def _delete_wrong_token(server: Server) -> str | None:
    server.require_key()
    name = server.store(server.new_name(), _CONTENT)
    answer = server.delete(name, token=server.token("other.jpg"))
    expect(server.original(name).status == 200, "what may not be deleted to stay", f"nothing, after {answer}")
    return refusal(answer, 403, "filedelete with another name's token")


def _siblings(server: Server) -> str | None:
    root = server.new_specify6_name().removesuffix(".att.jpg")
    name, sibling = f"{root}.att.jpg", f"{root}4.att.jpg"
    for each, colour in ((name, pictures.RED), (sibling, pictures.BLUE)):
        server.store(each, pictures.plain(colour))
        server.thumbnail(each).expect(200, to="a thumbnail")
    static = _thumbnail_address(server, sibling)
    server.delete(name).expect(200, to="filedelete")
    # Before anybody asks for the thumbnail, who would have it made anew.
    is_kept = static is None or server.request("GET", static).status == 200
    server.original(sibling).expect(200, to=f"fileget of {sibling} after {name} was deleted")
    thumbnail = server.thumbnail(sibling).expect(200, to=f"a thumbnail of {sibling}").image()
    expect(pictures.shows(thumbnail, pictures.BLUE), f"the thumbnail of {sibling}", "another picture")
    return None if is_kept else f"with {name} the thumbnails of {sibling} are deleted, and have to be made again"


def _thumbnail_address(server: Server, name: str) -> str | None:
    try:
        return server.reference(name, type="T", scale="123").text.strip()
    except CheckSkipped:
        return None


CHECKS = (
    Check("names-extension", "capital letters in the extension, or none at all", _works(".JPG", "")),
    Check("names-signs", "spaces and signs in names", _works(" a picture.jpg", " a+b&c=d%20(1).jpg")),
    Check("names-letters", "any letters in names", _works(" Käfer é.jpg", " 甲虫.jpg")),
    Check("names-traversal", "a name that leads out of the store is not written", _traversal),
    Check("names-outside", "a name that leads elsewhere is not read", _read_traversal),
    Check("delete", "what was deleted is gone", _delete),
    Check("delete-thumbnails", "thumbnails go with their original", _delete_thumbnails),
    Check("delete-missing", "deleting what is not there counts as done", _delete_again),
    Check("delete-token", "deleting with a wrong token is refused", _delete_wrong_token),
    Check("delete-siblings", "deleting leaves assets of similar names alone", _siblings),
)
