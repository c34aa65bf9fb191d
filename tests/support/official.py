"""A model of the official asset server: a server with the faults that were measured on it, and no others.

Written from the table of measurements; nothing here is its code.
"""

import io
import threading
from posixpath import splitext

from PIL import Image

from tests.support.model_server import ModelServer, Refused, Reply, Request

_PATIENCE = 0.3
"""Seconds at most that something is left half done until somebody reads it."""

_HUGE = 1 << 20
"""Bytes of a file that is read again and again while it is replaced; several readers may take a while to come round."""

_MORE_PATIENCE = 3
_ORIENTATION = 0x0112

_LARGE = 50_000
"""Bytes of a photograph that takes so long to convert that another request comes in between."""


class OfficialServer(ModelServer):
    """The official server."""

    def __init__(self) -> None:
        super().__init__()
        self._half_read = threading.Event()
        self._converting: set[str] = set()
        self._second_reader = threading.Event()

    def field(self, request: Request, name: str) -> str:
        if name not in request.fields and name in ("random", "scale"):
            raise Refused(500)
        return super().field(request, name)

    def check_name(self, name: str) -> str:
        return name

    def check_token(self, name: str, request: Request) -> None:
        if request.fields.get("token", "").count(":") > 1:
            raise Refused(500)
        if not name.isascii():
            raise Refused(403)
        super().check_token(name, request)

    def fileupload(self, request: Request) -> Reply:
        if request.file is None:
            raise Refused(500)
        return super().fileupload(request)

    def fileget(self, request: Request) -> Reply:
        if "type" not in request.fields:
            raise Refused(500)
        reply = super().fileget(request)
        disposition = reply.headers.get("Content-Disposition")
        return reply.having(Content_Disposition=disposition.replace("%C3%A4", "?")) if disposition else reply

    def getfileref(self, request: Request) -> Reply:
        if "type" not in request.fields:
            raise Refused(500)
        return super().getfileref(request)

    def make_thumbnail(self, name: str, original: bytes, scale: int) -> bytes:
        made = super().make_thumbnail(name, original, scale)
        exif = self.picture(name, original).getexif()
        # It turns the picture here, which it does not need: this is about the position.
        exif.pop(_ORIENTATION, None)
        out = io.BytesIO()
        with Image.open(io.BytesIO(made)) as image:
            image.save(out, "PNG", exif=exif)
        return out.getvalue()

    def original(self, name: str) -> bytes:
        content = super().original(name.removeprefix("../originals/"))
        self._half_read.set()
        return content

    def store(self, name: str, content: bytes) -> None:
        self.written.append(name)
        if name in self.originals:
            self._half_read.clear()
            self.originals[name] = content[: len(content) // 2]
            self._half_read.wait(_PATIENCE if len(content) < _HUGE else _MORE_PATIENCE)
        self.originals[name] = content

    def drop_thumbnails(self, name: str) -> None:
        root = splitext(name)[0]
        if name.startswith("sp6"):
            # By the start of the name up to the first dot, and so those of others too.
            root = name.partition(".")[0]
            self.thumbnails = {each: made for each, made in self.thumbnails.items() if not each.startswith(root)}

    def thumbnail(self, name: str, scale: int) -> bytes:
        path = self.thumbnail_name(name, scale)
        if path in self.thumbnails:
            return self.thumbnails[path]
        original = self.original(name)
        if path in self._converting:
            # Reads what the other conversion has written so far.
            self._second_reader.set()
            return self.make_thumbnail(name, original, scale)[:100]
        self._converting.add(path)
        made = self.make_thumbnail(name, original, scale)
        if len(original) > _LARGE:
            self._second_reader.wait(_PATIENCE)
        self.thumbnails[path] = made
        self._converting.remove(path)
        return made

    def picture(self, name: str, original: bytes) -> Image.Image:
        if splitext(name)[1] == ".pdf":
            raise Refused(500)
        image = super().picture(name, original)
        if getattr(image, "n_frames", 1) > 1:
            raise Refused(404)
        return image

    def getmetadata(self, request: Request) -> Reply:
        if request.fields.get("dt") != "date":
            raise Refused(500)
        return super().getmetadata(request)
