"""Every kind of store beside a public tool for its protocol; those made of other stores beside their first one."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bench import sftp, started, webdav
from bench.composed import layered, mirror, upload_fields
from bench.report import Figure
from bench.resourcespace import resourcespace
from bench.s3 import s3
from bench.transfers import Rival, compare, run
from storage_plugins.filesystem import FilesystemStore
from storage_plugins.rest import RestOptions, RestStore
from tests.support.daemon import KEY
from tests.support.example_dams import running_dam
from was_daemon.config.plugins import find_plugins
from was_daemon.model.interfaces import IAssetStorePlugin
from was_daemon.model.keys import Layout


async def stores(directory: Path) -> list[Figure]:
    """Megabytes per second."""
    directory.mkdir()
    benches: Mapping[str, Callable[[Path], Awaitable[list[Figure]]]] = {
        "disk": disk,
        "sftp": sftp.near,
        "webdav": webdav.apache,
        "s3": s3,
        "rest": rest,
        "asset-server": asset_server,
        "resourcespace": resourcespace,
        "layered": layered,
        "mirror": mirror,
    }
    return [figure for name, bench in benches.items() for figure in await bench(directory / name)]


async def disk(directory: Path) -> list[Figure]:
    """A directory beside dd, which writes as durably."""
    target = directory.with_suffix(".theirs")

    async def upload(source: Path) -> float:
        return run("dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync")

    async def download(copy: Path) -> float:
        return run("dd", f"if={target}", f"of={copy}", "bs=1M")

    root = directory.with_suffix(".store")
    root.mkdir()
    store = FilesystemStore(root, Layout.FLAT)
    return await compare(store, Rival("dd", upload, download), directory, "files on a disk", "at least 0.7")


async def rest(directory: Path) -> list[Figure]:
    """The DAM of docs/examples whose addresses are made of names, beside curl."""
    with running_dam("fake_dam.py", directory.with_suffix(".log")) as port:
        url = f"http://127.0.0.1:{port}/bench"
        login = ("--header", "Authorization: Bearer sesame")

        async def upload(source: Path) -> float:
            return run("curl", *login, "--upload-file", str(source), f"{url}/assets/originals/theirs")

        async def download(target: Path) -> float:
            return run("curl", *login, "--output", str(target), f"{url}/assets/originals/theirs")

        addresses = dict.fromkeys(("get", "put", "delete"), "/assets/{path}")
        options = RestOptions(
            url=url,
            allow_http=True,
            headers={"Authorization": "Bearer sesame"},
            list="/assets?prefix={folder}/{prefix}&after={after}",
            match={"": "{path}"},
            **addresses,
        )
        rival = Rival("curl", upload, download)
        return await compare(RestStore(options), rival, directory, "a DAM by REST", "at least 0.8")


async def asset_server(directory: Path) -> list[Figure]:
    """A daemon with its files on a disk, beside curl that uploads to it and downloads from it as clients do."""
    daemon = started.daemon(directory.with_suffix(".daemon")).start()
    try:

        async def upload(source: Path) -> float:
            fields = [word for field in upload_fields("theirs.bin") for word in ("--form", "=".join(field))]
            return run("curl", "--form", f"file=@{source}", *fields, f"{daemon.url}/fileupload")

        async def download(target: Path) -> float:
            return run("curl", "--output", str(target), f"{daemon.url}/fileget?filename=theirs.bin")

        plugin = IAssetStorePlugin(find_plugins()["asset-server"])
        store = plugin.create(plugin.options(url=daemon.url, key=KEY))
        rival = Rival("curl", upload, download)
        return await compare(store, rival, directory, "another asset server", "at least 0.8")
    finally:
        daemon.stop()
