"""Checks of deletions."""

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.results import CheckSkipped, differences, expect
from was_daemon.conformance.server import Server

_CONTENT = b"content"


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


def _similar_names(server: Server) -> str | None:
    root = server.new_specify6_name().removesuffix(".att.jpg")
    name, sibling = f"{root}.att.jpg", f"{root}4.att.jpg"
    for each, colour in ((name, pictures.RED), (sibling, pictures.BLUE)):
        server.store(each, pictures.plain(colour))
        server.thumbnail(each).expect(200, to="a thumbnail")
    static = _thumbnail_address(server, sibling)
    server.delete(name).expect(200, to="filedelete")
    # Asked for before the thumbnail itself: that request would have it made again.
    is_kept = static is None or server.request("GET", static).status == 200
    server.original(sibling).expect(200, to=f"fileget of {sibling} after {name} was deleted")
    thumbnail = server.thumbnail(sibling).expect(200, to=f"a thumbnail of {sibling}").image()
    expect(pictures.shows(thumbnail, pictures.BLUE), f"the thumbnail of {sibling}", "another picture")
    return None if is_kept else f"with {name} the thumbnails of {sibling} are deleted, and have to be made again"


def _thumbnail_address(server: Server, name: str) -> str | None:
    try:
        return server.reference(name, "123").text.strip()
    except CheckSkipped:
        return None


CHECKS = (
    Check("delete", "what was deleted is gone", _delete),
    Check("delete-thumbnails", "thumbnails go with their original", _delete_thumbnails),
    Check("delete-missing", "deleting what is not there counts as done", _delete_again),
    Check("delete-token", "deleting with a wrong token is refused", _delete_wrong_token),
    Check("delete-siblings", "deleting leaves assets of similar names alone", _similar_names),
)
