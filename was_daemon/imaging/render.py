"""Rendering of thumbnails, as a pure function of a file, in a worker process that may be killed at any moment."""

import resource
from collections.abc import Sequence
from typing import BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging.colour import to_srgb
from was_daemon.imaging.picture import Picture, upright
from was_daemon.imaging.readers import read_picture
from was_daemon.imaging.writers import write_thumbnail
from was_daemon.model.errors import UnreadableImage

_UNSUITED_AS_SOURCE = frozenset({"WEBP", "AVIF"})
"""Formats whose thumbnails are no source of smaller ones: these would be more than 3 levels off."""

_ROTATED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


@attrs.frozen
class Output:
    """Order for one thumbnail.

    `scale` is the side of the box in pixels; `format` is the `output_format` of the thumbnail's name; `target` is the
    file to overwrite; `owner` is the original's name, which a PNG records (see `png_owner`).
    """

    scale: int
    format: str
    target: BinaryIO
    owner: str


def render(
    source: BinaryIO, name: str, outputs: Sequence[Output], max_pixels: int, size: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Render `outputs` from the file `source`, whose asset is called `name`; decode it once.

    When the source is itself a thumbnail, `size` is the upright size of its original. Returns the upright size of the
    original, or None when the outputs are no good source of smaller thumbnails.

    Raises `NoThumbnail` or `BrokenImage`, also for a picture of more than `max_pixels` and for one that does not fit
    into the memory this process may use. The outputs' files are useless then.
    """
    try:
        picture = read_picture(source, name, max(output.scale for output in outputs), max_pixels)
        if size:
            picture = attrs.evolve(picture, size=size)
        for output in outputs:
            write_thumbnail(_finish(picture, output.scale), output.target, output.format, output.owner)
        return None if any(output.format in _UNSUITED_AS_SOURCE for output in outputs) else _upright_size(picture)
    except MemoryError:
        raise UnreadableImage(f"the picture needs more memory than {_memory_limit()}") from None


def _finish(picture: Picture, scale: int) -> Image.Image:
    """Scale, convert to sRGB, and rotate; scaling first makes the other steps cheap."""
    image = picture.image
    size = picture.fitted(scale)
    if size != image.size:
        shown = (0, 0, *(picture.extent or image.size))
        image = image.resize(size, Image.Resampling.LANCZOS, shown, reducing_gap=3.0)
    image = to_srgb(image, picture.profile)
    turned = upright(image, picture.orientation)
    return turned.copy() if turned is image else turned


def _upright_size(picture: Picture) -> tuple[int, int] | None:
    """Return the size of the whole picture after rotation."""
    if picture.size and picture.orientation in _ROTATED:
        return picture.size[1], picture.size[0]
    return picture.size


def _memory_limit() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "there is" if limit == resource.RLIM_INFINITY else f"the limit of {limit >> 20} MiB"
