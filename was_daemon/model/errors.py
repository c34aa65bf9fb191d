"""What can go wrong, in the field's words.

`assets` and the stores raise these; `web.errors` turns each into the contract's status (section 3). The message of an
error reaches the client: one line, no path, no key. What only an operator may know goes to the log.
"""


class AssetError(Exception):
    """Base of everything the daemon says no with."""


class BadRequest(AssetError):
    """A field is missing or malformed."""


class BadName(BadRequest):
    """A name that is not one safe path segment."""


class Forbidden(AssetError):
    """The token is missing, wrong or too old."""


class AssetNotFound(AssetError):
    """The store holds no such asset."""


class UnknownCollection(AssetError):
    """The collection is missing or not configured."""


class AssetExists(AssetError):
    """The name is taken and the settings forbid replacing."""


class OtherVersion(AssetError):
    """The client asks for a version of the asset that is not the current one."""


class UploadTooLarge(AssetError):
    """The upload is larger than `max_upload`."""


class UploadWithdrawn(AssetError):
    """The client of an upload has left before it was stored: nobody's fault, and no store's."""


class NoThumbnail(AssetError):
    """No thumbnails can be made of this kind of file."""


class BrokenImage(AssetError):
    """The file is an image, or its name says so, but it cannot be read or is beyond a limit."""


class Overloaded(AssetError):
    """Too much work is waiting; try again later."""


class StoreUnavailable(AssetError):
    """The store cannot be reached or used at the moment."""


class StoreFailed(AssetError):
    """The remote store answered with something that is no use."""


class VersionGone(StoreFailed):
    """What was opened was replaced or deleted before its bytes came: there may be another to open."""


class StoreTimeout(AssetError):
    """The remote store made no progress in time."""


class NoSpace(AssetError):
    """The store, or the spool, is full."""


class QuotaExceeded(NoSpace):
    """The collection has as much as it may have."""
