"""Photographs like those of a 24-megapixel camera: 8 to 10 MB of JPEG each, every one different."""

from pathlib import Path

from PIL import Image, ImageChops

SIZE = (6000, 4000)
_QUALITY = 90


def make_photographs(directory: Path, count: int) -> list[Path]:
    """Write `count` photographs into `directory`; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    grain = Image.effect_noise(SIZE, 23).convert("L")
    return [_photograph(directory / f"photograph-{number:02}.jpg", grain, number) for number in range(count)]


def _photograph(path: Path, grain: Image.Image, number: int) -> Path:
    """Soft shapes of many colours, as behind a specimen, under the grain of a sensor."""
    shapes = Image.effect_noise((12, 8), 120 + number).resize(SIZE, Image.Resampling.BICUBIC)
    other = shapes.transpose(Image.Transpose.ROTATE_180)
    picture = Image.merge("RGB", (shapes, other, ImageChops.invert(shapes)))
    shifted = ImageChops.offset(grain, number * 97, number * 61)
    picture = ImageChops.overlay(picture, Image.merge("RGB", (shifted, shifted, shifted)))
    picture.save(path, quality=_QUALITY)
    return path
