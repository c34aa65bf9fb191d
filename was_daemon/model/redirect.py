"""The ways by which clients get an asset without its bytes passing through the daemon."""

import enum


class Redirect(enum.Enum):
    """A sender other than the daemon: the store from a URL of its own, or nginx; the value is the config's word."""

    PRESIGNED = "presigned"
    NGINX = "nginx"
