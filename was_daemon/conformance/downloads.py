"""Checks of downloads: originals, metadata, and files below `/static/`."""

import json
from typing import Any
from urllib.parse import unquote

from was_daemon.conformance import pictures
from was_daemon.conformance.check import Check, refusal
from was_daemon.conformance.client import Answer
from was_daemon.conformance.results import CheckFailed, CheckSkipped, differences, expect
from was_daemon.conformance.server import ORIGIN, Server

_CONTENT = bytes(range(256)) * 40


def _download(server: Server) -> str | None:
    name, content = server.new_name(), pictures.photograph()
    server.store(name, content)
    answer = server.original(name).expect(200, to="fileget of an original")
    expect(answer.body == content, f"the {len(content)} bytes that were uploaded", answer)
    expect(bool(answer.media_type), "a Content-Type, which Specify 7 hands on", "none")
    return None if answer.media_type == "image/jpeg" else f"Content-Type is {answer.media_type}, not image/jpeg"


def _scale_null(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    answer = server.original(name, scale="null", disp="Ichthyology", div="Fishes", inst="Université")
    answer.expect(200, to="fileget of an original with scale=null, disp, div and inst")
    expect(answer.body == _CONTENT, "the original", answer)
    return None


def _without_token(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    fields = {"coll": server.collection, "type": "O", "filename": name}
    answer = server.get("read", fields)
    if answer.status in (401, 403):
        return "reading takes a token, which web portals do not have"
    answer.expect(200, to="fileget without a token")
    return None


def _missing_type(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    fields = {"coll": server.collection, "filename": name, "token": server.token(name) or None}
    answer = server.get("read", fields)
    return None if answer.body == _CONTENT else f"{answer.status} instead of the original to fileget without type"


def _download_name(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    answer = server.original(name, downloadname="Käfer 1.jpg").expect(200, to="fileget with a downloadname")
    expect(answer.body == _CONTENT, "the original", answer)
    disposition = unquote(str(answer.headers.get("Content-Disposition", "none")))
    return None if "Käfer 1.jpg" in disposition else f"the file of the name Käfer 1.jpg is announced as {disposition}"


def _ranges(server: Server) -> str | None:
    name = server.store(server.new_name(".bin"), _CONTENT)
    answer = server.original(name, headers={"Range": "bytes=100-299"}).expect(200, 206, to="a range")
    expect(
        answer.body == (_CONTENT[100:300] if answer.status == 206 else _CONTENT),
        "200 and the whole file, or 206 and the 200 bytes asked for",
        f"{answer.status} and {len(answer.body)} bytes",
    )
    return None if answer.status == 206 else "ranges are not supported: films cannot be wound forward"


def _head(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    answer = server.original(name, method="HEAD")
    if answer.status != 200:
        return f"{answer.status} to HEAD, which no client of Specify's uses"
    length = answer.headers.get("Content-Length")
    return None if length == str(len(_CONTENT)) else f"HEAD says that the {len(_CONTENT)} bytes are {length}"


def _cached(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    etag = server.original(name).headers.get("ETag")
    if etag is None:
        return "no ETag: browsers fetch what they have again"
    answer = server.original(name, headers={"If-None-Match": str(etag)}).expect(200, 304, to="If-None-Match")
    return None if answer.status == 304 else "If-None-Match is not looked at: browsers fetch what they have again"


def _missing(server: Server) -> str | None:
    missing = server.new_name()
    return differences(
        refusal(server.original(missing), 404, "fileget of an unknown name"),
        refusal(server.thumbnail(missing), 404, "fileget of a thumbnail of an unknown name"),
        refusal(server.metadata(missing, "date"), 404, "getmetadata of an unknown name"),
    )


def _cross_origin(server: Server) -> str | None:
    name = server.store(server.new_name(), _CONTENT)
    answers = {"fileget": server.original(name, headers={"Origin": ORIGIN}), "an error": server.original("missing.jpg")}
    hidden = [what for what, answer in answers.items() if answer.allowed_origin not in ("*", ORIGIN)]
    return f"no Access-Control-Allow-Origin with {' and '.join(hidden)}" if hidden else None


def _metadata(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    answer = server.metadata(name, "json").expect(200, to="getmetadata")
    groups = _parsed(answer)
    try:
        fields = {key: value for group in groups for key, value in group["Fields"].items()}
    except (TypeError, KeyError, AttributeError):
        expect(pictures.TAKEN in answer.text, f"EXIF data with {pictures.TAKEN}", answer)
        return "the JSON is no list of groups with Name and Fields"
    expect(fields.get("DateTimeOriginal") == pictures.TAKEN, f"DateTimeOriginal, {pictures.TAKEN}", answer)
    return None


def _parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        raise CheckFailed("JSON", answer) from None


def _date(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.photograph())
    answer = server.metadata(name, "date").expect(200, to="getmetadata with dt=date")
    expect(answer.text.strip() == pictures.TAKEN, pictures.TAKEN, answer)
    return None


def _no_metadata(server: Server) -> str | None:
    name = server.store(server.new_name(), pictures.plain(pictures.RED))
    answer = server.metadata(name, "json")
    if answer.status == 404:
        return "404 instead of [] for a file without EXIF"
    _parsed(answer.expect(200, to="getmetadata of a file without EXIF"))
    return differences(
        None if answer.text.strip() == "[]" else f"{answer} instead of [] for a file without EXIF",
        refusal(server.metadata(name, "date"), 404, "dt=date of a file without a date"),
    )


def _static(server: Server) -> str | None:
    content = pictures.photograph()
    name = server.store(server.new_name(), content)
    reference = server.reference(name).expect(200, to="getfileref")
    answer = server.request("GET", _url(reference)).expect(200, to=f"the address that getfileref tells, {reference}")
    expect(answer.body == content, "the original", answer)
    reference = server.reference(name, "123").expect(200, to="getfileref of a thumbnail")
    thumbnail = server.request("GET", _url(reference)).expect(200, to="the thumbnail's address").image()
    expect(max(thumbnail.size) <= 123, "a thumbnail of at most 123 pixels", thumbnail.size)
    return None


def _url(reference: Answer) -> str:
    url = reference.text.strip()
    if not url.startswith(("http://", "https://")):
        raise CheckFailed("an absolute address", reference)
    return url


def _unknown_collection(server: Server) -> str | None:
    if server.collection is None:
        raise CheckSkipped("no collection was named with --coll")
    name = server.store(server.new_name(), _CONTENT)
    fields = {"filename": name, "type": "O", "token": server.token(name) or None}
    answer = server.get("read", {**fields, "coll": server.new_name("")})
    if answer.status == 200:
        return "collections are not told apart: all assets are in all of them"
    # Where each collection has its own key, there is none that fits.
    return None if answer.status == 403 else refusal(answer, 404, "an unknown collection")


CHECKS = (
    Check("download", "an original comes back byte for byte, with its type", _download),
    Check("download-specify6", "Specify 6 gets originals with scale=null", _scale_null),
    Check("download-portal", "the web portal reads without a token", _without_token),
    Check("download-type", "without a type, it is the original", _missing_type),
    Check("download-name", "a download has the name that it was given", _download_name),
    Check("download-ranges", "part of a file can be had", _ranges),
    Check("download-head", "HEAD answers like GET", _head),
    Check("download-cache", "what a browser has is not sent again", _cached),
    Check("download-missing", "what is not there is not found", _missing),
    Check("download-cors", "a browser of another origin may read files", _cross_origin),
    Check("collection-unknown", "another collection does not have the asset", _unknown_collection),
    Check("metadata-json", "metadata come as JSON", _metadata),
    Check("metadata-date", "the date comes as a line of text", _date),
    Check("metadata-none", "a file without metadata has none", _no_metadata),
    Check("static", "older web portals read below /static/", _static),
)
