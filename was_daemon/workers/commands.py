"""AMP commands between the daemon and its worker processes.

A worker has two sockets: one for AMP, and one on which the open files of each command arrive as one message.
"""

from typing import ClassVar

from twisted.protocols import amp

from was_daemon.model.errors import AssetNotFound, BrokenImage, DamagedDerivative, NoSpace, NoThumbnail, UnreadableImage

COMMANDS, FILES = 3, 4
"""Descriptors of a worker's sockets."""

_COMMON_ERRORS: dict[type[Exception], bytes] = {NoSpace: b"NO_SPACE", Exception: b"FAILED"}
"""Errors of all commands. After an error that a command does not declare, AMP closes the connection."""

_SIZE: list[tuple[bytes, amp.Argument]] = [
    (b"width", amp.Integer(optional=True)),
    (b"height", amp.Integer(optional=True)),
]


class Render(amp.Command):
    """Command to fill each output with a thumbnail of the source, whose asset is called `name`.

    `width` and `height` are the size of the original, upright. The daemon sends them when the source is itself a
    thumbnail. The worker answers with them when the source is the original and smaller thumbnails can be made from
    these outputs.

    Files: the source, then the outputs.
    """

    arguments: ClassVar = [
        (b"name", amp.Unicode()),
        (
            b"outputs",
            amp.AmpList([(b"scale", amp.Integer()), (b"format", amp.Unicode()), (b"owner", amp.Unicode())]),
        ),
        (b"max_pixels", amp.Integer()),
        *_SIZE,
    ]
    response: ClassVar = _SIZE
    # AMP sends the first class that fits an error.
    errors: ClassVar = {
        NoThumbnail: b"NO_THUMBNAIL",
        UnreadableImage: b"UNREADABLE_IMAGE",
        BrokenImage: b"BROKEN_IMAGE",
        **_COMMON_ERRORS,
    }


_LENGTH: list[tuple[bytes, amp.Argument]] = [(b"length", amp.Integer())]


class MakePyramid(amp.Command):
    """Command to fill the target with the zoom pyramid of a page of the source, whose asset is called `name`.

    The first page is 1. Files: the source, the target.
    """

    arguments: ClassVar = [(b"name", amp.Unicode()), (b"page", amp.Integer()), (b"max_pixels", amp.Integer())]
    response: ClassVar = []
    errors: ClassVar = {
        AssetNotFound: b"NO_PAGE",
        NoThumbnail: b"NO_THUMBNAIL",
        UnreadableImage: b"UNREADABLE_IMAGE",
        BrokenImage: b"BROKEN_IMAGE",
        **_COMMON_ERRORS,
    }


_TILES = amp.AmpList([(name, amp.Integer()) for name in (b"offset", b"length", b"checksum", b"x", b"y")])


class RenderRegion(amp.Command):
    """Command to write a part of a picture, made of the tiles that show it, to a target, and answer with its length.

    `tiles` has the place of each tile in the source, in bytes, their CRC-32, and the place in pixels of its level;
    `alpha` that of each tile of the alpha channel, if it is wanted. `region` is the part to show (x, y, width, height
    in such pixels, with fractions), `width` and `height` the size to scale it to. Then it is mirrored, turned by
    `rotation` degrees, and written in `quality` and `format`.

    Files: the source, a target of a fixed size in memory, and maybe one on a disk for what does not fit into it.
    """

    arguments: ClassVar = [
        (b"tiles", _TILES),
        (b"alpha", _TILES),
        (b"region", amp.ListOf(amp.Float())),
        (b"width", amp.Integer()),
        (b"height", amp.Integer()),
        (b"mirrored", amp.Boolean()),
        (b"rotation", amp.Float()),
        (b"quality", amp.Unicode()),
        (b"format", amp.Unicode()),
    ]
    response: ClassVar = _LENGTH
    errors: ClassVar = {
        DamagedDerivative: b"DAMAGED_DERIVATIVE",
        UnreadableImage: b"UNREADABLE_IMAGE",
        BrokenImage: b"BROKEN_IMAGE",
        **_COMMON_ERRORS,
    }


class ReadMetadata(amp.Command):
    """Command to write the metadata of the source to the target as JSON, and answer with the length.

    An AMP value would hold 64 KiB at most. Files: the source, the target, whose size may be fixed.
    """

    arguments: ClassVar = []
    response: ClassVar = _LENGTH
    errors: ClassVar = {BrokenImage: b"BROKEN_IMAGE", **_COMMON_ERRORS}


class Describe(amp.Command):
    """Command to write the `Description` of the source, whose asset is called `name`, to the target as JSON.

    Otherwise like `ReadMetadata`.
    """

    arguments: ClassVar = [(b"name", amp.Unicode())]
    response: ClassVar = _LENGTH
    errors: ClassVar = {BrokenImage: b"BROKEN_IMAGE", **_COMMON_ERRORS}


class Ready(amp.Command):
    """Message from a worker that is confined to its sandbox and waits for commands.

    `size` is its address space in bytes, 0 if unknown: by the time that the message is read, a job may have begun.
    """

    arguments: ClassVar = [(b"size", amp.Integer())]
    response: ClassVar = []
    requiresAnswer = False


OF_OWN_FILES: frozenset[type[amp.Command]] = frozenset({RenderRegion})
"""Commands whose source the daemon has made itself, so that no original is to blame when a worker dies of it."""

METRIC_NAMES: dict[type[amp.Command], str] = {
    Render: "thumbnail",
    ReadMetadata: "metadata",
    Describe: "description",
    MakePyramid: "pyramid",
    RenderRegion: "region",
}
"""Names of the commands in the metrics."""
