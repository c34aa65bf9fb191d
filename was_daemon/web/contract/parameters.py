"""The parameters of requests, parsed: fields of the query, names, scales, and paths below `/static/`."""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from was_daemon.httpd.request import AssetRequest
from was_daemon.model.errors import AssetNotFound, BadName, BadRequest
from was_daemon.model.keys import AssetKey, Kind, Layout, ThumbnailAddress, check_name
from was_daemon.web.contract.forms import parse_fields

_MAX_SCALE_DIGITS = 9


def query(request: AssetRequest) -> dict[str, str]:
    """Return the fields of the query; raises `BadRequest`."""
    return parse_fields(request.uri.partition(b"?")[2])


def filename(fields: Mapping[str, str]) -> str:
    """Return the name of the original that a request is about; raises `BadRequest` or `BadName`."""
    if "filename" not in fields:
        raise BadRequest("the field filename is missing")
    return check_name(fields["filename"])


def scale(fields: Mapping[str, str], max_scale: int) -> int | None:
    """Return the scale of the thumbnail that is asked for, None for the original; raises `BadRequest`."""
    if fields.get("type") != "T":
        return None
    text = fields.get("scale", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_SCALE_DIGITS
    if not (is_number and 1 <= int(text) <= max_scale):
        raise BadRequest(f"scale is not a number from 1 to {max_scale}")
    return int(text)


def static_asset(path: bytes) -> AssetKey | ThumbnailAddress:
    """Return the original or the thumbnail at a percent-encoded path below `/static/`.

    Raises `AssetNotFound` when the flat layout has no such path, and `BadName`.
    """
    decoded = _static_path(path)
    kind = decoded.rpartition("/")[0].rpartition("/")[2]
    if kind == Kind.THUMBNAIL.value:
        return ThumbnailAddress.parse(decoded)
    key = Layout.FLAT.parse(decoded)
    if key.kind is not Kind.ORIGINAL:
        raise AssetNotFound("no such asset")
    return key


def _static_path(path: bytes) -> str:
    """Return the part of a path that follows `/static/`, decoded."""
    segments = [unquote_to_bytes(segment) for segment in path.lstrip(b"/").split(b"/")[1:]]
    if any(b"/" in segment for segment in segments):
        raise BadName("the name contains a path separator")
    try:
        return b"/".join(segments).decode()
    except UnicodeDecodeError:
        raise BadName("the name is not valid UTF-8") from None
