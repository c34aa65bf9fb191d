"""Camera RAW and DNG: the preview that the camera embedded, else the sensor's data developed. Needs rawpy."""

from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image

from was_daemon.imaging.picture import Picture, check_pixels
from was_daemon.model.errors import BrokenImage, NoThumbnail

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF's number for LibRaw's."""


def read_raw(source: BinaryIO, box: int, max_pixels: int) -> Picture:
    """The picture in a RAW file, as large as the box wants where the file allows it.

    Raises `BrokenImage`, MemoryError, and `NoThumbnail` when rawpy is not installed.
    """
    try:
        import rawpy
    except ImportError:
        raise NoThumbnail('camera RAW files need the optional extra "raw"') from None
    source.seek(0)
    try:
        with rawpy.imread(source) as raw:
            size = (raw.sizes.width, raw.sizes.height)
            check_pixels(size, max_pixels)
            preview = _preview(raw, box, max_pixels)
            if preview is None or max(preview.image.size) < min(box, max(size)):
                return _developed(raw, box) or _found(preview)
            return preview
    except rawpy.LibRawError:
        raise BrokenImage("the camera RAW data cannot be read") from None


def _preview(raw: Any, box: int, max_pixels: int) -> Picture | None:
    """The largest preview, which LibRaw hands out with the orientation it finds for it."""
    import rawpy

    from was_daemon.imaging.kinds import Kind
    from was_daemon.imaging.pillow import decode

    try:
        preview = raw.extract_thumb()
        if preview.format == rawpy.ThumbFormat.JPEG:
            return decode(BytesIO(preview.data), Kind.JPEG, box, max_pixels, tolerant=True)
    except Exception:  # no preview, or a damaged one
        return None
    return Picture(Image.fromarray(preview.data), orientation=_ORIENTATIONS.get(raw.sizes.flip, 1))


def _developed(raw: Any, box: int) -> Picture | None:
    """The sensor's data in sRGB, upright, at half the resolution when that is enough; None when LibRaw cannot."""
    import rawpy

    half = max(raw.sizes.width, raw.sizes.height) >= 2 * box
    try:
        return Picture(Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half)))
    except rawpy.LibRawError:
        return None


def _found(preview: Picture | None) -> Picture:
    if preview is None:
        raise BrokenImage("the camera RAW data cannot be read")
    return preview
