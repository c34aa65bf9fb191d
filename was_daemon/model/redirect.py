"""The ways by which clients get an asset without its bytes passing through the daemon."""

import enum


class Redirect(enum.Enum):
    """A sender of assets other than the daemon: their store, from a URL of its own, or nginx.

    The value is the word in the configuration.
    """

    PRESIGNED = "presigned"
    NGINX = "nginx"
