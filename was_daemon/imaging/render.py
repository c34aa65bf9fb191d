"""Thumbnails: a pure function of a file. It runs in a worker process that may be killed at any moment."""

import resource
from collections.abc import Sequence
from typing import BinaryIO

import attrs
from PIL import Image

from was_daemon.imaging.colour import to_srgb
from was_daemon.imaging.picture import Picture, fit
from was_daemon.imaging.readers import read
from was_daemon.imaging.writers import write
from was_daemon.model.errors import BrokenImage

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_NOISY = frozenset({"WEBP", "AVIF"})
"""Formats of which a thumbnail made of a thumbnail is more than 3 levels from one made of the original."""

_LYING = (5, 6, 7, 8)
"""Orientations of which width and height change places."""


@attrs.frozen
class Output:
    """One thumbnail to make.

    `scale` is the side of the box in pixels; `format` is what `output_format` says for the thumbnail's name; `target`
    is a file that is overwritten; `owner` is the original's name, which a PNG records (see `png_owner`).
    """

    scale: int
    format: str
    target: BinaryIO
    owner: str


def render(
    source: BinaryIO, name: str, outputs: Sequence[Output], max_pixels: int, size: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Make `outputs` of the file `source`, decoding it once; `name` says what it claims to be.

    `size` is that of the original, upright, where the source is a thumbnail of it. What a call with the original
    returns is that size; None when no other thumbnails are to be made of these.

    Raises `NoThumbnail` or `BrokenImage`, also for a picture of more than `max_pixels` and for one that does not fit
    into the memory this process may use. The outputs' files are then of no use.
    """
    try:
        picture = read(source, name, max(output.scale for output in outputs), max_pixels)
        if size:
            picture = attrs.evolve(picture, size=size)
        for output in outputs:
            write(_finish(picture, output.scale), output.target, output.format, output.owner)
        return None if any(output.format in _NOISY for output in outputs) else _upright(picture)
    except MemoryError:
        raise BrokenImage(f"the picture needs more memory than {_memory_limit()}") from None


def _finish(picture: Picture, scale: int) -> Image.Image:
    """Scale first: turning and colouring then cost next to nothing."""
    image = picture.image
    # A picture that was decoded smaller has other proportions, by a part of a pixel.
    size = fit(picture.size or image.size, scale)
    if size != image.size:
        shown = (0, 0, *(picture.extent or image.size))
        image = image.resize(size, Image.Resampling.LANCZOS, shown, reducing_gap=3.0)
    image = to_srgb(image, picture.profile)
    turn = _TURNS.get(picture.orientation)
    return image.copy() if turn is None else image.transpose(turn)


def _upright(picture: Picture) -> tuple[int, int] | None:
    """The whole picture's size as it is seen."""
    if picture.size and picture.orientation in _LYING:
        return picture.size[1], picture.size[0]
    return picture.size


def _memory_limit() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "there is" if limit == resource.RLIM_INFINITY else f"the limit of {limit >> 20} MiB"
