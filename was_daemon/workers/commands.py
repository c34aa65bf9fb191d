"""What the daemon and its worker processes tell each other.

A worker has two sockets: one for AMP, and one that brings the open files of each command, as one message.
"""

from typing import ClassVar

from twisted.protocols import amp

from was_daemon.model.errors import BrokenImage, NoSpace, NoThumbnail

COMMANDS, FILES = 3, 4
"""The descriptors of a worker's sockets."""

_FAILURE: dict[type[Exception], bytes] = {NoSpace: b"NO_SPACE", Exception: b"FAILED"}
"""After an error that a command does not declare, AMP closes the connection: the next job would find no worker."""

_SIZE: list[tuple[bytes, amp.Argument]] = [
    (b"width", amp.Integer(optional=True)),
    (b"height", amp.Integer(optional=True)),
]


class Render(amp.Command):
    """Fill each output with a thumbnail of the source, whose asset is called `name`.

    `width` and `height` are those of the original, upright: told to the worker where the source is a thumbnail of it,
    and by the worker where it is the original itself and smaller thumbnails can be made of these.

    Files: the source, then those of the outputs.
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
    errors: ClassVar = {NoThumbnail: b"NO_THUMBNAIL", BrokenImage: b"BROKEN_IMAGE", **_FAILURE}


class ReadMetadata(amp.Command):
    """Write the metadata of the source to the target as JSON: an AMP value holds 64 KiB at most.

    Files: the source, the target.
    """

    arguments: ClassVar = []
    response: ClassVar = []
    errors: ClassVar = _FAILURE


class Ready(amp.Command):
    """From a worker: it has given up what it does not need, and waits for commands."""

    arguments: ClassVar = []
    response: ClassVar = []
    requiresAnswer = False
