"""Places in which stores keep their files, however the configuration spells them. Pure values."""

import attrs


@attrs.frozen
class Place:
    """The directory with these `parts`, from the top, of `root`: a file system, or a folder or account of a server."""

    root: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def overlaps(self, other: "Place") -> bool:
        """Return whether both are the same, or one of them is in the other."""
        common = min(len(self.parts), len(other.parts))
        return self.root == other.root and self.parts[:common] == other.parts[:common]
