"""Camera RAW and DNG: the embedded preview, or else the developed sensor data. Needs rawpy."""

from io import BytesIO
from typing import Any, BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging.picture import Picture, check_pixels
from was_daemon.imaging.raw_preview import preview_orientation, read_preview
from was_daemon.model.errors import NoThumbnail, UnreadableImage

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF orientation by LibRaw's number."""


_FULL_SIZE = 0.95
"""Part of the sensor's pixels per side that a preview of full size has: cameras crop what they develop a little."""


def read_raw(source: BinaryIO, box: int, max_pixels: int) -> Picture:
    """Read the picture in a RAW file, large enough for a box of `box` pixels where the file allows that.

    Raises `BrokenImage`, MemoryError, and `NoThumbnail` when rawpy is not installed.
    """
    picture = read_by_libraw(source, box, max_pixels) or read_preview(source, box, max_pixels)
    if picture is None:
        raise UnreadableImage("the camera RAW data cannot be read")
    return picture


def read_by_libraw(source: BinaryIO, box: int, max_pixels: int) -> Picture | None:
    """Read the picture in a file that LibRaw takes for a RAW file, or return None; raises the errors of `read_raw`."""
    try:
        import rawpy
    except ModuleNotFoundError:
        raise NoThumbnail('camera RAW files need the optional extra "raw"') from None
    source.seek(0)
    try:
        with rawpy.imread(source) as raw:
            return _by_libraw(raw, box, max_pixels)
    except rawpy.LibRawUnsufficientMemoryError:
        raise MemoryError from None
    except rawpy.LibRawError:
        return None


def _by_libraw(raw: Any, box: int, max_pixels: int) -> Picture | None:
    """Return the preview that LibRaw finds, or the developed picture when that is too small; None without either."""
    size = (raw.sizes.width, raw.sizes.height)
    check_pixels(size, max_pixels)
    preview = _preview(raw, box, max_pixels)
    if preview is None or max(preview.image.size) < min(box, _FULL_SIZE * max(size)):
        return _developed(raw, box) or preview
    return preview


def _preview(raw: Any, box: int, max_pixels: int) -> Picture | None:
    """Return the largest preview, with the orientation that LibRaw finds for it; None without one."""
    import rawpy

    from was_daemon.imaging.file_types import FileType
    from was_daemon.imaging.pillow import decode

    try:
        preview = raw.extract_thumb()
        stated = _ORIENTATIONS.get(raw.sizes.flip, 1)
        if preview.format != rawpy.ThumbFormat.JPEG:
            return Picture(Image.fromarray(preview.data), orientation=stated)
        picture = decode(BytesIO(preview.data), FileType.JPEG, box, max_pixels, tolerant=True)
    except MemoryError:
        raise
    except Exception:  # no preview, or a damaged one
        return None
    orientation = preview_orientation(picture.orientation, stated, picture.image.size)
    return attrs.evolve(picture, orientation=orientation)


def _developed(raw: Any, box: int) -> Picture | None:
    """Develop the sensor data: sRGB, upright, at half the resolution if that is enough; None when LibRaw fails."""
    import rawpy

    half = max(raw.sizes.width, raw.sizes.height) >= 2 * box
    try:
        return Picture(Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half)))
    except rawpy.LibRawError:
        return None
