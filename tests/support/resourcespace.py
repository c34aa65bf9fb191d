"""A ResourceSpace in a thread of this process, which behaves as its documentation says, and as the program was seen to.

Signed calls with POST, answers as PHP gives them, searches by words, files at addresses of its own. It keeps files in
a directory, and forms while they arrive.
"""

import hashlib
import hmac
import io
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image, UnidentifiedImageError

from tests.support.ports import free_port
from tests.support.resourcespace_search import has_phrase
from tests.support.resourcespace_server import Server, serve

USERS = {"specify": 7, "curator": 8}
FIELDS = {"originalfilename": 51, "title": 8, "catalognumber": 90}
SIZES = {"col": (140, 140), "thm": (200, 200), "pre": (900, 540), "scr": (1400, 800)}
DELETED = 3


def key_of(user: str) -> str:
    """The private key of a user."""
    return hashlib.sha256(f"{user}'s".encode()).hexdigest()


class FakeResourceSpace:
    """The program, its database and its web server; what tests change is public."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.keys = {user: key_of(user) for user in USERS}
        self.resources: dict[int, dict[str, Any]] = {}
        self.values: dict[int, dict[str, str]] = {}
        self.collections: list[tuple[int, int]] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.address = self.url
        """Where it says its files are (`$baseurl`)."""
        self.hides_paths = True
        """As `$hide_real_filepath`."""
        self.joined = ["originalfilename"]
        """The fields that a search's result tells (`$data_joins`)."""
        self.told = 200
        """How many bytes of them it tells (`$resource_field_column_limit`)."""
        self.wants_content = False
        """Whether it takes no empty files, and none that are not what their extension says, as since 10.6."""
        self.writes_metadata: tuple[str, ...] = ()
        """Extensions of files that are altered when they are sent (`$exiftool_write`)."""
        self.most = 1 << 40
        """As PHP's `upload_max_filesize`."""
        self.is_full = False
        """Whether its disk is full, of which PHP shows a page."""
        self.most_of_form = 1 << 40
        """As PHP's `post_max_size`."""
        self.types = {1, 2, 3, 4}
        self.forbidden: set[str] = set()
        """Functions that answer false, as where a permission lacks."""
        self.answers: dict[str, Callable[[dict[str, str]], Any]] = {}
        """Functions that answer otherwise."""
        self.before: Callable[[str], None] = lambda _function: None
        self.clock: Callable[[], float] = time.time
        self._last = 0
        self._secret = secrets.token_bytes()
        self._lock = threading.RLock()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The address for the configuration."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "FakeResourceSpace":
        """Listen on the same port as ever."""
        self._server = serve(self, self.port)
        return self

    def stop(self) -> None:
        """Listen no more, and cut all connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def add(self, field: str, value: str, content: bytes, extension: str, user: str = "curator") -> int:
        """Put a resource there as a person does; return its number."""
        with self._lock:
            ref = self._create(USERS[user], 1, 0)
            self.values[ref][field] = value
            self.path(ref).write_bytes(content)
            self._note_file(ref, extension)
            return ref

    def active(self) -> list[int]:
        """The numbers of the resources that are not deleted."""
        return [ref for ref, row in self.resources.items() if row["archive"] != DELETED]

    def path(self, ref: int) -> Path:
        """Where the file of a resource is."""
        return self.directory / str(ref)

    # -- the API -------------------------------------------------------------------------------------------------------

    def call(self, name: str, arguments: dict[str, str]) -> Any:
        """The result of a call."""
        function = arguments["function"]
        self.calls.append((function, arguments))
        self.before(function)
        if function in self.answers:
            return self.answers[function](arguments)
        if function in self.forbidden:
            return False
        with self._lock:
            return getattr(self, f"_{function}", lambda _user, _arguments: False)(USERS[name], arguments)

    def _get_users(self, _user: int, arguments: dict[str, str]) -> Any:
        name = arguments["find"].lower()
        return [{"ref": ref, "username": each} for each, ref in USERS.items() if name in each]

    def _create_resource(self, user: int, arguments: dict[str, str]) -> Any:
        kind = int(arguments["resource_type"])
        return self._create(user, kind, int(arguments.get("archive", 0))) if kind in self.types else False

    def _create(self, user: int, kind: int, archive: int) -> int:
        self._last += 1
        ref = self._last
        self.resources[ref] = {
            "ref": ref,
            "resource_type": kind,
            "archive": archive,
            "created_by": user,
            "creation_date": self._now(),
            "file_extension": "",
            "file_modified": None,
            "file_size": None,
            "file_checksum": None,
        }
        self.values[ref] = {}
        return ref

    def _update_field(self, _user: int, arguments: dict[str, str]) -> Any:
        ref, field = int(arguments["resource"]), arguments["field"]
        if ref not in self.resources or field not in FIELDS:
            return False
        self._set(ref, field, arguments["value"])
        return True

    def _set(self, ref: int, field: str, value: str) -> None:
        value = value.strip(" \t\n\r\0\x0b")
        used = [other for other, values in self.values.items() if values.get(field) == value and other != ref]
        # A value that only this resource has is renamed, and not to one that another has. That is told as success.
        if value and not (used and self.values[ref].get(field)):
            self.values[ref][field] = value

    def _add_resource_to_collection(self, _user: int, arguments: dict[str, str]) -> Any:
        self.collections.append((int(arguments["collection"]), int(arguments["resource"])))
        return True

    def _get_resource_data(self, _user: int, arguments: dict[str, str]) -> Any:
        ref = int(arguments["resource"])
        return self._row(ref) if ref in self.resources else False

    def _row(self, ref: int) -> dict[str, Any]:
        values = {name: self.values[ref].get(name, "").encode()[: self.told] for name in self.joined}
        told = {f"field{FIELDS[name]}": value.decode(errors="ignore") or None for name, value in values.items()}
        return self.resources[ref] | told

    def _get_resource_field_data(self, _user: int, arguments: dict[str, str]) -> Any:
        values = self.values[int(arguments["resource"])]
        return [
            {
                "ref": number,
                "fref": number,
                "name": name,
                "value": _translated(values[name]) if name in values else None,
            }
            for name, number in FIELDS.items()
        ]

    def _do_search(self, user: int, arguments: dict[str, str]) -> Any:
        offset, rows = (int(number) for number in arguments["fetchrows"].split(","))
        states = {int(state) for state in arguments.get("archive", "0").split(",")}
        found = [ref for ref in self._found(arguments["search"]) if self.resources[ref]["archive"] in states]
        found.sort(reverse=arguments.get("sort", "desc") == "desc")
        return {"total": len(found), "data": [self._row(ref) for ref in found[offset : offset + rows]]}

    def _found(self, search: str) -> Iterator[int]:
        by = re.fullmatch(r"!contributions(\d+)", search)
        phrase = re.fullmatch(r'"([a-z]+):(.*)"', search)
        for ref, row in self.resources.items():
            if by and row["created_by"] != int(by[1]):
                continue
            if phrase and not has_phrase(self.values[ref].get(phrase[1], ""), phrase[2]):
                continue
            yield ref

    def _delete_resource(self, _user: int, arguments: dict[str, str]) -> Any:
        ref = int(arguments["resource"])
        if ref not in self.resources:
            return False
        if self.resources[ref]["archive"] != DELETED:
            self.resources[ref]["archive"] = DELETED
        else:
            del self.resources[ref], self.values[ref]
            self.path(ref).unlink(missing_ok=True)
        return True

    def _get_resource_path(self, _user: int, arguments: dict[str, str]) -> Any:
        ref = int(arguments["ref"])
        return self._address(ref, arguments.get("size", ""), arguments["extension"]) if ref in self.resources else ""

    def _address(self, ref: int, size: str, extension: str) -> str:
        if not self.hides_paths:
            return f"{self.address}/filestore/{ref}{size}_{self._access_key(ref, '')[:15]}.{extension}?v=1"
        query = {"ref": ref, "size": size, "ext": extension, "noattach": "true", "v": ""}
        return f"{self.address}/pages/download.php?{urlencode(query)}&access_key={self._access_key(ref, size)}"

    def _access_key(self, ref: int, size: str) -> str:
        return hmac.new(self._secret, f"{ref}:{size}".encode(), "sha256").hexdigest()

    def _get_resource_all_image_sizes(self, _user: int, arguments: dict[str, str]) -> Any:
        ref = int(arguments["resource"])
        told = []
        for size in SIZES:
            if (content := self.preview(ref, size)) is not None:
                with Image.open(io.BytesIO(content)) as image:
                    row = {"size_code": size, "extension": "jpg", "width": image.width, "height": image.height}
                told.append(row | {"url": self._address(ref, size, "jpg"), "filesize": "1 KB"})
        original = {
            "size_code": "original",
            "extension": "jpg",
            "width": "?",
            "height": "?",
            "url": "",
            "filesize": "?",
        }
        return [original, *told]

    def preview(self, ref: int, size: str) -> bytes | None:
        """The JPEG of that size, None if the file is no picture, or a smaller one."""
        with suppress(UnidentifiedImageError, OSError), Image.open(self.path(ref)) as image:
            if max(image.size) >= max(SIZES[size]) or size in ("col", "thm"):
                picture = image.convert("RGB")
                picture.thumbnail(SIZES[size])
                out = io.BytesIO()
                picture.save(out, "JPEG")
                return out.getvalue()
        return None

    # -- files ---------------------------------------------------------------------------------------------------------

    def take(self, arguments: dict[str, str], name: str, content: Path, size: int) -> tuple[int, Any]:
        """Take an upload; returns the status and the result."""
        self.calls.append(("upload_multipart", arguments))
        self.before("upload_multipart")
        if self.is_full:
            return 500, None
        ref, extension = int(arguments["ref"]), name.rpartition(".")[2].lower()
        if size > self.most:
            return 413, _fail("The maximum allowed upload file size is 5M.")
        with self._lock:
            refused = self.wants_content and (not size or (extension == "jpg" and not _is_jpeg(content)))
            if refused or extension == "php" or len(extension) > 10 or ref not in self.resources:
                return 500, _fail("An error occurred while uploading the file.")
            content.rename(self.path(ref))
            self._note_file(ref, extension)
            self._set(ref, "originalfilename", name if "." in name else f"{name}.jpg")
            return 204, {"status": "success", "data": None}

    def _note_file(self, ref: int, extension: str) -> None:
        size = self.path(ref).stat().st_size
        with self.path(ref).open("rb") as file:
            checksum = hashlib.md5(f"{size}_".encode() + file.read(50_000), usedforsecurity=False).hexdigest()
        told = {"file_extension": extension, "file_size": size, "file_checksum": checksum}
        self.resources[ref] |= told | {"file_modified": self._now()}

    def _now(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.clock()))

    def file_at(self, path: str, query: dict[str, str]) -> tuple[int, bytes | Path] | None:
        """The resource and the file at an address, None where a page for logging in is shown instead."""
        if path.startswith("/filestore/"):
            found = re.fullmatch(r"/filestore/(\d+)([a-z]*)_([0-9a-f]{15})\.[a-z0-9]+", path)
            if not found or found[3] != self._access_key(int(found[1]), "")[:15]:
                return None
            ref, size = int(found[1]), found[2]
        else:
            ref, size = int(query["ref"]), query["size"]
            if query.get("access_key") != self._access_key(ref, size):
                return None
        if size:
            return ref, self.preview(ref, size) or b""
        row = self.resources.get(ref)
        if row and row["file_extension"] in self.writes_metadata and self.hides_paths:
            return ref, self.path(ref).read_bytes() + b"metadata"
        return ref, self.path(ref)


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\xff\xd8"


def _fail(message: str) -> dict[str, Any]:
    return {"status": "fail", "data": {"message": message}}


def _translated(value: str) -> str:
    """What ResourceSpace shows of a value such as `~en:one~fr:une`."""
    found = re.match(r"[^~]*~[a-z]{2}:([^~]*)", value)
    return found[1] if found else value
