"""The official validator of the Image API, and the picture that it knows."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit
from urllib.request import urlopen

from PIL import Image

try:
    import magic  # noqa: F401
except ImportError:
    # Without the library of `file`, the validator cannot be imported. Only tests in BROKEN use it.
    sys.modules["magic"] = ModuleType("magic")
from iiif_validator import validator
from iiif_validator.validator import ImageAPI, TestSuite, ValidationInfo

_SQUARE = 100
_PATIENCE = 120

# On a busy machine five seconds, which the validator waits, may be too few.
validator.urlopen = lambda request, timeout: urlopen(request, timeout=_PATIENCE)

BROKEN = {
    "format_webp": "calls urllib.urlopen, which Python 3 does not have",
    "format_pdf": "calls urllib.urlopen, which Python 3 does not have; PDF is no feature of ours",
    "format_jp2": "calls urllib.urlopen, which Python 3 does not have; JPEG 2000 is no feature of ours",
    "size_noup": "expects 400 for !w,h larger than the picture, where the specification (section 4.2) says that the "
    "picture is to be sent in its own size",
}
"""Tests of the validator that no server passes, or none that follows the specification, with the reason."""


DAM_PLUGIN = """
import attrs
from zope.interface import implementer
from was_daemon.plugins import AssetNotFound, IAssetStore, IAssetStorePlugin, IImageService

@implementer(IAssetStore, IImageService)
class Store:
    async def image_service(self, key, page, version):
        if key.name == "missing.jpg":
            raise AssetNotFound("no such asset")
        return f"https://dam.example/iiif/{key.name}-{page}" if version == 3 else None
    async def stat(self, key): raise AssetNotFound("no such asset")
    async def list(self, collection, kind, prefix=""):
        return
        yield
    async def check(self): pass
    async def close(self): pass

@attrs.frozen
class Options: pass

@implementer(IAssetStorePlugin)
class Plugin:
    name, options = "iiif-dam", Options
    def create(self, options): return Store()

plugin = Plugin()
"""
"""A plugin for a DAM that speaks the Image API itself."""


def known_picture() -> bytes:
    """A PNG of 10 x 10 squares, whose colours the validator knows."""
    colours = ValidationInfo().colorInfo
    image = Image.new("RGB", (10 * _SQUARE, 10 * _SQUARE))
    for x, column in enumerate(colours):
        for y, colour in enumerate(column):
            image.paste(colour, (x * _SQUARE, y * _SQUARE, (x + 1) * _SQUARE, (y + 1) * _SQUARE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def put(store: Path, name: str, content: bytes) -> None:
    """Put an original into the directory of a filesystem store, as a copied directory of another server has it."""
    (store / "originals").mkdir(parents=True, exist_ok=True)
    (store / "originals" / name).write_bytes(content)


def names_of_tests(version: str) -> Iterator[str]:
    """The names of the validator's tests of a version, level 3 of which is what is optional."""
    return (name for name in sorted(TestSuite(ValidationInfo()).list_tests(version)) if name not in BROKEN)


def failure(url: str, identifier: str, version: str, test: str) -> str | None:
    """What the validator's test finds wrong with the picture `identifier` below `url`, or None. Blocks."""
    parts = urlsplit(url)
    result = ImageAPI(identifier, parts.netloc, f"iiif/{version[0]}", parts.scheme, version=version, debug=False)
    try:
        TestSuite(ValidationInfo()).run_test(test, result)
    except Exception as error:  # the validator's own, of any kind
        return f"{error!r} at {result.urls}"
    return f"{result.exception} at {result.urls}" if result.exception else None
