"""Checks of names that a server must keep or refuse."""

from collections.abc import Callable
from uuid import uuid4

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.results import expect
from was_daemon.conformance.server import Server

_CONTENT = b"content"


def _accepts(*endings: str) -> Callable[[Server], str | None]:
    """Return a check that names with these endings can be uploaded, read, shown and deleted."""

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


def _write_traversal(server: Server) -> str | None:
    name = f"../{uuid4()}.jpg"
    answer = server.upload(name, _CONTENT)
    expect(answer.status >= 400, f"400 to an upload called {name}", f"{answer}: it may lie outside of the store")
    expect(server.original(name).status != 200, "nothing to be stored", f"a file called {name}")
    return refusal(answer, 400, "an upload called ../NAME")


def _read_traversal(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    around = f"../originals/{name}"
    return refusal(server.original(around), 400, "fileget of ../originals/NAME")


CHECKS = (
    Check("names-extension", "capital letters in the extension, or none at all", _accepts(".JPG", "")),
    Check("names-signs", "spaces and signs in names", _accepts(" a picture.jpg", " a+b&c=d%20(1).jpg")),
    Check("names-letters", "any letters in names", _accepts(" Käfer é.jpg", " 甲虫.jpg")),
    Check("names-traversal", "a name that leads out of the store is not written", _write_traversal),
    Check("names-outside", "a name that leads elsewhere is not read", _read_traversal),
)
