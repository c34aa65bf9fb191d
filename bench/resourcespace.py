"""The ResourceSpace store beside curl, on what the tests have in place of the program, in a process of its own."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from bench.report import Figure
from bench.transfers import Rival, compare, run
from storage_plugins.resourcespace import ResourceSpaceStore
from tests.support.resourcespace import FakeResourceSpace, key_of
from was_daemon.config.secret_files import SecretFile
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions

_USER = "specify"


async def resourcespace(directory: Path) -> list[Figure]:
    """Megabytes per second. curl is told the resource; the store searches for it, makes it, and deletes the old one."""
    home = directory.with_suffix(".dam")
    home.mkdir()
    command = [sys.executable, "-m", "bench.resourcespace", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            url = program.stdout.readline().strip()
            key_file = SecretFile(directory.with_suffix(".key"))
            key_file.write_text(key_of(_USER))
            store = ResourceSpaceStore(ResourceSpaceOptions(url=url, user=_USER, key_file=key_file, allow_http=True))
            return await compare(store, _curl(url), directory, "ResourceSpace", "at least 0.7")
        finally:
            program.kill()


def _curl(url: str) -> Rival:
    resource = _call(url, "create_resource", resource_type=1, archive=0)

    async def upload(source: Path) -> float:
        fields = _fields("upload_multipart", ref=resource, no_exif=1, revert=0)
        texts = [word for name, value in fields.items() for word in ("--form-string", f"{name}={value}")]
        form = [*texts, "--form", f"file=@{source};filename=theirs.bin"]
        return run("curl", *form, f"{url}/api/?function=upload_multipart")

    async def download(target: Path) -> float:
        address = _call(url, "get_resource_path", ref=resource, size="", extension="bin")
        return run("curl", "--output", str(target), address)

    return Rival("curl", upload, download)


def _fields(function: str, **arguments: Any) -> dict[str, str]:
    query = urlencode({"user": _USER, "function": function, **arguments})
    signature = hashlib.sha256(f"{key_of(_USER)}{query}".encode()).hexdigest()
    return {"query": query, "sign": signature, "user": _USER}


def _call(url: str, function: str, **arguments: Any) -> Any:
    body = urlencode(_fields(function, **arguments)).encode()
    with urlopen(f"{url}/api/?function={function}", body, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    print(FakeResourceSpace(Path(sys.argv[1])).start().url, flush=True)
    Event().wait()
