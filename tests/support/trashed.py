"""Files in the trash of a store, as a daemon puts them there."""

import os
import time
from pathlib import Path

from was_daemon.model.interfaces import AssetStat
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.model.trash import Reason, TrashedVersion, TrashId


def put_into_trash(store: Path, name: str, owner: int | None = None) -> TrashedVersion:
    """Put a deleted original of five bytes into the trash of a store; it belongs to `owner`."""
    key, stat = AssetKey("", Kind.ORIGINAL, name), AssetStat(5, 0.0, "etag")
    version = TrashedVersion(TrashId.new(name, time.time(), 5), key, Reason.DELETED, stat)
    trash = store / ".trash"
    trash.mkdir(parents=True, exist_ok=True)
    (trash / version.file.name).write_bytes(b"bytes")
    (trash / version.record.name).write_bytes(version.encoded())
    if owner is not None:
        for path in (trash, *trash.iterdir()):
            os.chown(path, owner, owner)
    return version
