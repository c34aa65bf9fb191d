"""Errors of the domain.

`assets` and the stores raise these; `web.errors` turns each into the contract's status (section 3). The message of an
error reaches the client: one line, no path, no key. Details for operators go to the log.
"""


class AssetError(Exception):
    """Base of all errors that a request may be answered with.

    `reason` tells an operator more than the message tells clients, without a key; "" if nothing more is known.
    """

    def __init__(self, message: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class BadRequest(AssetError):
    """A request with a missing or malformed field."""


class BadName(BadRequest):
    """A name that is not one safe path segment."""


class Forbidden(AssetError):
    """A token that is missing, wrong or too old."""


class AssetNotFound(AssetError):
    """An asset that its store does not hold."""


class UnknownCollection(AssetError):
    """A collection that is not named or not configured."""


class AssetExists(AssetError):
    """A name that is taken, where the settings forbid replacing."""


class NotImplementedHere(AssetError):
    """A request that a standard allows, but that this server does not know how to answer."""


class OtherVersion(AssetError):
    """A request for a version of an asset that is not the current one."""


class UploadTooLarge(AssetError):
    """An upload larger than `max_upload`."""


class UploadWithdrawn(AssetError):
    """An upload whose client left before it was stored, which is no failure of the store."""


class NoThumbnail(AssetError):
    """A kind of file of which no thumbnails can be made."""


class BrokenImage(AssetError):
    """The file is an image, or its name says so, but it cannot be read or is beyond a limit."""


class UnreadableImage(BrokenImage):
    """A picture at which a decoder failed. Either it is damaged, or its worker had too little memory left."""


class DamagedDerivative(BrokenImage):
    """A stored derivative whose bytes have changed since it was made; the next that is made may be whole."""


class Interrupted(AssetError):
    """Work on a file that was ended, most likely not because of the file; a later attempt may succeed."""


class Overloaded(AssetError):
    """A queue that is full; a later attempt may succeed."""


class StoreUnavailable(AssetError):
    """A store that cannot be reached or used at the moment."""


class CannotList(StoreUnavailable):
    """A list of originals that their store cannot make."""


class StoreFailed(AssetError):
    """An answer of a remote store that cannot be used."""


class CannotMove(StoreFailed):
    """A move or a copy of an asset that its store cannot make by itself; nothing has changed."""


class CannotCreate(StoreFailed):
    """A creation of an asset that its store cannot make depend on there being none; nothing has changed."""


class VersionGone(StoreFailed):
    """An opened version that was replaced or deleted before its bytes were read; opening again may succeed."""


class StoreTimeout(AssetError):
    """A remote store that made no progress in time."""


class NoSpace(AssetError):
    """A store or a spool that is full."""


class QuotaExceeded(NoSpace):
    """A collection that has reached its quota."""
