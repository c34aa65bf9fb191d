"""Capture date of a photograph, from its metadata."""

from datetime import datetime
from typing import Any


def capture_date(metadata: list[dict[str, Any]]) -> str | None:
    """Return EXIF DateTimeOriginal (`YYYY:MM:DD HH:MM:SS`) from what `read_metadata` returned; None without a date."""
    for group in metadata:
        if group["Name"] == "EXIF":
            value = str(group["Fields"].get("DateTimeOriginal", "")).strip()
            return value if _is_date(value) else None
    return None


def _is_date(value: str) -> bool:
    try:
        return datetime.strptime(value, "%Y:%m:%d %H:%M:%S").strftime("%Y:%m:%d %H:%M:%S") == value
    except ValueError:
        return False
