"""Limits on the size of pictures that clients may ask for."""

import math
from decimal import Decimal

import attrs

_QUARTER_TURN = 90
"""Degrees."""


@attrs.frozen
class Limits:
    """The largest width and height in pixels of a picture that is rendered, and its largest area.

    A picture turned by `angle` degrees, which makes it larger unless its sides stay straight, is within them, too.
    """

    width: int
    height: int
    area: int
    angle: Decimal = Decimal(0)

    def are_told_of(self, picture: tuple[int, int]) -> bool:
        """Return whether the description of a picture has the limits: if it is larger than they allow."""
        return not attrs.evolve(self, angle=Decimal(0)).allow(picture)

    def allow(self, size: tuple[int, int]) -> bool:
        """Return whether a picture of `size` is rendered."""
        width, height = self._turned(size)
        return width <= self.width and height <= self.height and width * height <= self.area

    def largest(self, size: tuple[int, int], up: bool = False) -> tuple[int, int]:
        """Return the largest size with the aspect of `size` that is rendered, not larger than that unless `up`."""
        factor = self.factor(size)
        return self.scaled(size, factor if up else min(1.0, factor))

    def factor(self, size: tuple[int, int]) -> float:
        """Return by how much a picture of `size` may be enlarged, or has to be reduced."""
        width, height = self._turned(size)
        return min(self.width / width, self.height / height, math.sqrt(self.area / (width * height)))

    def scaled(self, size: tuple[int, int], factor: float) -> tuple[int, int]:
        """Return `size` scaled by a factor that is within the limits, rounded."""
        width, height = (max(1, round(side * factor)) for side in size)
        if self.allow((width, height)):
            return width, height
        return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))

    def _turned(self, size: tuple[int, int]) -> tuple[float, float]:
        """Return the size of the box around a turned picture."""
        width, height = size
        if not self.angle % _QUARTER_TURN:
            return width, height
        angle = math.radians(self.angle)
        sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
        return width * cosine + height * sine, width * sine + height * cosine
