"""The official validator of the Image API, and the picture that it knows."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from PIL import Image

from tests.support.needs import require
from tests.support.paths import ROOT

try:
    import magic  # noqa: F401
except ImportError:
    # Without the library of `file`, the validator cannot be imported. Only tests in NOT_OURS use it.
    sys.modules["magic"] = ModuleType("magic")
from iiif_validator import validator
from iiif_validator.tests import format_webp, size_noup
from iiif_validator.validator import ImageAPI, TestSuite, ValidationInfo

_SQUARE = 100
_PATIENCE = 120

# On a busy machine five seconds, which the validator waits, may be too few.
validator.urlopen = lambda request, timeout: urlopen(request, timeout=_PATIENCE)

NOT_OURS = {"format_pdf": "PDF is no format of ours", "format_jp2": "JPEG 2000 is no format of ours"}
"""Tests of the validator that are for optional features which the server does not claim to have."""


class _Python2Answer:
    """What `urllib.urlopen` gave: the bytes as a text."""

    def __init__(self, url: str) -> None:
        with urlopen(url, timeout=_PATIENCE) as answer:
            self._text = answer.read().decode("latin-1")

    def read(self) -> str:
        """The whole answer."""
        return self._text

    def close(self) -> None:
        """Do nothing."""


def _check_size(test: Any, result: Any, size: str) -> None:
    """Check that a size larger than the picture is refused, but for one that confines the picture to a box.

    The validator expects 400 for such a box, too, where the specification (section 4.2) says that the picture is to be
    sent, as large as it is.
    """
    _CHECK_SIZE(test, result, size) if not size.startswith("!") else result.get_image({"size": size})


# Its test of WebP is written for Python 2.
format_webp.urllib = SimpleNamespace(urlopen=_Python2Answer)
_CHECK_SIZE = size_noup.Test_No_Size_Up.checkSize
size_noup.Test_No_Size_Up.checkSize = _check_size


DAM_PLUGIN = """
import attrs
from zope.interface import implementer
from was_daemon.plugins import AssetNotFound, AssetStat, IAssetStore, IAssetStorePlugin, IImageService, Kind

@implementer(IAssetStore, IImageService)
class Store:
    async def image_service(self, key, page, version):
        if key.name == "missing.jpg":
            raise AssetNotFound("no such asset")
        return f"https://dam.example/iiif/{key.name}-{page}" if version == 3 else None
    async def stat(self, key):
        if key.name != "a.jpg" or key.kind is not Kind.ORIGINAL:
            raise AssetNotFound("no such asset")
        return AssetStat(1, 1.0, "a")
    async def open(self, key): raise AssetNotFound("no such asset")
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
    return (name for name in sorted(TestSuite(ValidationInfo()).list_tests(version)) if name not in NOT_OURS)


def failure(url: str, identifier: str, version: str, test: str) -> str | None:
    """What the validator's test finds wrong with the picture `identifier` below `url`, or None. Blocks."""
    parts = urlsplit(url)
    result = ImageAPI(identifier, parts.netloc, f"iiif/{version[0]}", parts.scheme, version=version, debug=False)
    try:
        TestSuite(ValidationInfo()).run_test(test, result)
    except Exception as error:  # the validator's own, of any kind
        return f"{error!r} at {result.urls}"
    return f"{result.exception} at {result.urls}" if result.exception else None


_PREZI = ROOT / ".venv" / "iiif-prezi3"
"""Where `install-tools.sh` puts it, without what it depends on: it asks for an older Pillow than there is."""


def valid_manifest(content: Any) -> Any:
    """The manifest in a JSON document, as an object of iiif-prezi3; raises when that finds it invalid."""
    require(_PREZI.is_dir(), "iiif-prezi3")
    if str(_PREZI) not in sys.path:
        sys.path.append(str(_PREZI))
    from iiif_prezi3 import Manifest

    return Manifest.model_validate(content)
