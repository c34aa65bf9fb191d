"""Decoding of WebP at reduced size, by the libwebp that Pillow brings: Pillow itself decodes whole pictures only."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from typing import BinaryIO, ClassVar

from PIL import Image

from was_daemon.imaging.containers.chunks import webp_profile
from was_daemon.imaging.orientation import stated_orientation
from was_daemon.imaging.picture import Picture, check_pixels, reduction

_ABI = 0x0209
"""Version of the structures below; libwebp compares its upper byte, and has promised to keep what has that one."""

_MODE_RGB, _MODE_RGBA = 0, 1
_OUT_OF_MEMORY = 1

_MARGIN = 2
"""Factor per side by which WebP is decoded larger than other kinds, as libwebp only averages neighbouring pixels."""


class _Features(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", c_uint32 * 5),
    ]


class _Pixels(ctypes.Structure):
    _fields_: ClassVar = [("rgba", c_void_p), ("stride", c_int), ("size", c_size_t)]


class _Planes(ctypes.Structure):
    """Member of a union with `_Pixels`, which has its size from it."""

    _fields_: ClassVar = [("planes", c_void_p * 4), ("strides", c_int * 4), ("sizes", c_size_t * 4)]


class _Memory(ctypes.Union):
    _fields_: ClassVar = [("pixels", _Pixels), ("planes", _Planes)]


class _Output(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_int) for name in ("mode", "width", "height", "is_external")),
        ("memory", _Memory),
        ("pad", c_uint32 * 4),
        ("private_memory", c_void_p),
    ]


class _Options(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_int) for name in ("bypass_filtering", "no_fancy_upsampling", "use_cropping")),
        *((name, c_int) for name in ("crop_left", "crop_top", "crop_width", "crop_height")),
        *((name, c_int) for name in ("use_scaling", "scaled_width", "scaled_height", "use_threads")),
        *((name, c_int) for name in ("dithering_strength", "flip", "alpha_dithering_strength")),
        ("pad", c_uint32 * 5),
    ]


class _Config(ctypes.Structure):
    _fields_: ClassVar = [("input", _Features), ("output", _Output), ("options", _Options)]


class NotReduced(OSError):
    """The picture is too small to be reduced, an animation or damaged, or libwebp cannot be called."""


def read_webp(source: BinaryIO, box: int, max_pixels: int, tolerant: bool) -> Picture:
    """Read a WebP whose sides are at least eight times as long as the box.

    Raises `NotReduced` for others, `BrokenImage` for too many pixels, and MemoryError.
    """
    source.seek(0)
    data = source.read()
    config = _Config()
    if tolerant or not _library().WebPInitDecoderConfigInternal(byref(config), _ABI):
        raise NotReduced
    if _library().WebPGetFeaturesInternal(data, len(data), byref(config.input), _ABI):
        raise NotReduced
    size = (config.input.width, config.input.height)
    check_pixels(size, max_pixels)
    factor = reduction(size, _MARGIN * box)
    if factor < 2 or config.input.has_animation:
        raise NotReduced
    # libwebp holds a lossless picture whole. The limit should not depend on how a file is compressed.
    bytes(4 * size[0] * size[1])
    reduced = (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))
    image = _decode(data, config, reduced, "RGBA" if config.input.has_alpha else "RGB")
    return Picture(image, webp_profile(source), stated_orientation(source) or 1, size)


def _decode(data: bytes, config: _Config, size: tuple[int, int], mode: str) -> Image.Image:
    stride = size[0] * len(mode)
    pixels = ctypes.create_string_buffer(stride * size[1])
    config.options.use_scaling, config.options.scaled_width, config.options.scaled_height = 1, *size
    config.output.mode = _MODE_RGBA if mode == "RGBA" else _MODE_RGB
    config.output.is_external = 1
    config.output.memory.pixels = _Pixels(ctypes.addressof(pixels), stride, len(pixels))
    status = _library().WebPDecode(data, len(data), byref(config))
    if status == _OUT_OF_MEMORY:
        raise MemoryError
    if status:
        raise NotReduced
    return Image.frombytes(mode, size, pixels.raw)


@cache
def _library() -> ctypes.CDLL:
    """Return the library that Pillow's module is linked with, wherever it lies: its functions are found through it."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        library.WebPInitDecoderConfigInternal.argtypes = [POINTER(_Config), c_int]
        library.WebPGetFeaturesInternal.argtypes = [c_char_p, c_size_t, POINTER(_Features), c_int]
        library.WebPDecode.argtypes = [c_char_p, c_size_t, POINTER(_Config)]
    except (ImportError, OSError, AttributeError):
        raise NotReduced from None
    return library
