"""The line about a file or directory that the user of a command may not use."""

import os


def refusal(error: PermissionError) -> str:
    """Return what is wrong, and what to do."""
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else "a file"
    return (
        f"Error: {place}: permission denied. Run the command as root or as the daemon's user, from a directory that "
        "this user may enter."
    )
