"""How much a thumbnail looks like what it should show."""

from PIL import Image, ImageChops, ImageStat

from tests.support import images


def difference(image: Image.Image, reference: Image.Image) -> float:
    """The mean absolute difference, in levels of 255; transparent parts count as white."""
    return max(ImageStat.Stat(ImageChops.difference(on_white(image), on_white(reference))).mean)


def on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def same_corners(image: Image.Image, within: int = 12) -> bool:
    """Whether the chart is the right way up, and in its colours."""
    seen = images.corners(image)
    return all(
        abs(value - wanted) <= within
        for corner, colour in images.CORNERS.items()
        for value, wanted in zip(seen[corner], colour, strict=True)
    )
