"""Why a file gives no thumbnail. The messages reach clients: one line of plain words, no paths."""


class NotAnImage(Exception):
    """Nothing here reads this kind of content, and the file's name does not claim that it is an image."""


class DiskFull(Exception):
    """There is no space for the thumbnail; the file has no fault in it."""


class BrokenImage(Exception):
    """The file is an image, or its name says so, but it cannot be read or is beyond a limit."""
