"""Times as people read them."""

from datetime import datetime


def shown(seconds: float) -> str:
    """Return a Unix time as people read it, in the zone of this machine."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
