"""Who sends the bytes of an asset instead of the daemon."""

import enum


class Redirect(enum.Enum):
    """Who sends them; the value is the config's word."""

    PRESIGNED = "presigned"
    NGINX = "nginx"
