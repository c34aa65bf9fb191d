"""What the daemon asks its worker processes for."""

from typing import ClassVar

from twisted.protocols import amp

from was_daemon.thumbnails.failures import BrokenImage, DiskFull, NotAnImage

_FAILURE: dict[type[Exception], bytes] = {DiskFull: b"DISK_FULL", Exception: b"FAILED"}
"""After an error that a command does not declare, AMP closes the connection: the next job would find no worker."""


class Render(amp.Command):
    """Fill each output with a thumbnail of `source`, whose asset is called `name`."""

    arguments: ClassVar = [
        (b"source", amp.Unicode()),
        (b"name", amp.Unicode()),
        (
            b"outputs",
            amp.AmpList(
                [
                    (b"scale", amp.Integer()),
                    (b"format", amp.Unicode()),
                    (b"path", amp.Unicode()),
                    (b"owner", amp.Unicode()),
                ]
            ),
        ),
        (b"max_pixels", amp.Integer()),
    ]
    response: ClassVar = []
    errors: ClassVar = {NotAnImage: b"NOT_AN_IMAGE", BrokenImage: b"BROKEN_IMAGE", **_FAILURE}


class ReadMetadata(amp.Command):
    """Write the metadata of `source` to `target` as JSON: an AMP value holds 64 KiB at most."""

    arguments: ClassVar = [(b"source", amp.Unicode()), (b"target", amp.Unicode())]
    response: ClassVar = []
    errors: ClassVar = _FAILURE
