"""normalise.py ARCHIVE: leave out of an image's archive what differs from build to build: numbers of containers.

What stays is the description of the image, its layers, and the manifest, by which docker and podman load it.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def main(path: str) -> None:
    """Replace the archive at `path`."""
    with tarfile.open(path) as archive, tarfile.open(f"{path}.new", "w") as out:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(manifest["Config"]))
        for name in ("container", "container_config", "parent"):
            config.pop(name, None)
        for name in ("Hostname", "Image"):
            config["config"].pop(name, None)
        for step in config["history"]:
            step.pop("comment", None)
        text = json.dumps(config, sort_keys=True).encode()
        manifest["Config"] = f"{hashlib.sha256(text).hexdigest()}.json"
        for layer in manifest["Layers"]:
            out.addfile(archive.getmember(layer), archive.extractfile(layer))
        _add(out, manifest["Config"], text)
        _add(out, "manifest.json", json.dumps([manifest], sort_keys=True).encode())
    Path(f"{path}.new").replace(path)


def _add(out: tarfile.TarFile, name: str, text: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    out.addfile(entry, io.BytesIO(text))


main(sys.argv[1])
