"""Stores that have the same files keep them in places of their own, however these are spelled."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import write_config
from was_daemon.config.load import ConfigError, load
from was_daemon.model.places import Place
from was_daemon.stores.http.urls import place_at
from was_daemon.stores.local.mounts import parse_mounts, place_of


def disk(path: Path | str) -> dict[str, Any]:
    return {"plugin": "filesystem", "path": path}


def mirror(primary: str, *copies: str, journal: Path) -> dict[str, Any]:
    return {"plugin": "mirror", "primary": primary, "copies": list(copies), "journal": journal}


def mistakes_in(directory: Path, stores: dict[str, Any], **sections: Any) -> list[str]:
    try:
        load(write_config(directory, stores, **sections), {})
    except ConfigError as error:
        return list(error.mistakes)
    return []


def mistakes_of_two(directory: Path, disk: dict[str, Any], nas: dict[str, Any]) -> list[str]:
    """Return the mistakes in a mirror of a disk with one copy."""
    stores = {"main": mirror("disk", "nas", journal=directory / "journal"), "disk": disk, "nas": nas}
    return mistakes_in(directory, stores, collections={"store": "main"})


WHY = ": what is deleted from one would be gone from the other"
SAME = 'stores.main.copies: "nas" is the same place as "disk"' + WHY
INSIDE = 'stores.main.copies: "nas" is inside of "disk"' + WHY
AROUND = 'stores.main.copies: "disk" is inside of "nas"' + WHY


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("disk", [SAME]),
        ("disk/../disk/", [SAME]),
        ("link", [SAME]),
        ("link/../disk", [SAME]),
        ("disk/copy", [INSIDE]),
        ("link/copy/deeper", [INSIDE]),
        (".", [AROUND]),
        ("disk2", []),
        ("other", []),
    ],
)
def test_a_mirror_s_copy_is_in_another_directory(tmp_path: Path, path: str, expected: list[str]) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert mistakes_of_two(tmp_path, disk("disk"), disk(path)) == expected
    # Links that lead nowhere, or to themselves, are of no harm.
    (tmp_path / "disk").rmdir()
    (tmp_path / "disk").symlink_to("disk")
    mistakes_of_two(tmp_path, disk("disk"), disk(path))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://nas.example.org/dav", [SAME]),
        ("HTTPS://NAS.Example.org:443/dav/", [SAME]),
        ("https://nas.example.org/d%61v/", [SAME]),
        ("https://nas.example.org/x/../dav/", [SAME]),
        ("https://nas.example.org/dav/copy/", [INSIDE]),
        ("https://nas.example.org/dav2/", []),
        ("https://nas.example.org:8443/dav/", []),
        ("https://nas2.example.org/dav/", []),
    ],
)
def test_an_address_is_the_same_in_all_its_spellings(tmp_path: Path, url: str, expected: list[str]) -> None:
    one, other = ({"plugin": "webdav", "url": each} for each in ("https://nas.example.org/dav/", url))
    assert mistakes_of_two(tmp_path, one, {**other, "timeout": 7.0}) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"prefix": "a/b"}, {"prefix": "/a/b/"}, [SAME]),
        ({"prefix": "a"}, {"prefix": "a/b"}, [INSIDE]),
        ({"prefix": "a"}, {"prefix": "ab"}, []),
        ({"endpoint": "https://s3.example.org"}, {"endpoint": "https://S3.example.org:443/"}, [SAME]),
        ({"endpoint": "https://s3.example.org"}, {}, []),
    ],
)
def test_a_bucket_has_prefixes(tmp_path: Path, one: dict[str, str], other: dict[str, str], expected: list[str]) -> None:
    found = mistakes_of_two(tmp_path, *({"plugin": "s3", "bucket": "museum", **each} for each in (one, other)))
    assert found == expected


@pytest.mark.parametrize(
    ("host", "path", "user", "expected"),
    [
        ("NAS", "/srv//files/", "other", [SAME]),
        ("nas", "files", "museum", []),
        ("nas", "/srv/files/copy", "museum", [INSIDE]),
    ],
)
def test_a_path_at_an_ssh_server_has_users(
    tmp_path: Path, host: str, path: str, user: str, expected: list[str]
) -> None:
    one = {"plugin": "sftp", "host": "nas", "user": "museum", "path": "/srv/files", "agent": True}
    assert mistakes_of_two(tmp_path, one, {**one, "host": host, "path": path, "user": user}) == expected


def test_asset_servers_have_collections(tmp_path: Path) -> None:
    one = {"plugin": "asset-server", "url": "http://old.example.org/", "key": "k", "collection": "Fish"}
    spelled = {**one, "url": "http://OLD.example.org:80/web_asset_store.xml"}
    assert mistakes_of_two(tmp_path, one, spelled) == [SAME]
    assert mistakes_of_two(tmp_path, one, {**spelled, "collection": "Birds"}) == []


def test_two_mirrors_share_no_place(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    stores = {
        "one": mirror("disk", "nas", journal=journal),
        "two": mirror("other", "again", journal=journal),
        "disk": disk("disk"),
        "other": disk("other"),
        "nas": disk("nas"),
        "again": disk("nas/birds"),
    }
    assert mistakes_in(tmp_path, stores, collections={"store": "one"}) == [
        'stores.two: "again" is inside of "nas", and stores.one has files there, too' + WHY
    ]
    stores["two"] = mirror("other", "nas", journal=journal)
    assert mistakes_in(tmp_path, stores, collections={"store": "one"}) == [
        'stores.two: "nas" is used twice, and stores.one has files there, too' + WHY
    ]


def test_a_mirror_of_a_mirror_shares_its_parts(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    stores = {
        "outer": mirror("inner", "far", journal=journal),
        "inner": mirror("disk", "nas", journal=journal),
        "disk": disk("disk"),
        "nas": disk("nas"),
        "far": disk("far"),
    }
    assert mistakes_in(tmp_path, stores, collections={"store": "outer"}) == []
    stores["far"] = disk("nas")
    assert mistakes_in(tmp_path, stores, collections={"store": "outer"}) == [
        'stores.outer.copies: "far" is the same place as "nas"' + WHY
    ]


def test_layers_may_be_one_in_the_other_but_not_the_same(tmp_path: Path) -> None:
    stores = {"main": {"plugin": "layered", "layers": ["new", "old"]}, "new": disk("files/new"), "old": disk("files")}
    assert mistakes_in(tmp_path, stores, collections={"store": "main"}) == []
    stores["old"] = disk("files/./new")
    assert mistakes_in(tmp_path, stores, collections={"store": "main"}) == [
        'stores.main.layers: "old" is the same place as "new"'
    ]


@pytest.mark.parametrize("part", ["nas", "spelled"])
def test_a_collection_in_a_part_of_a_mirror_is_warned_of(tmp_path: Path, part: str) -> None:
    stores = {
        "main": mirror("disk", "nas", journal=tmp_path / "journal"),
        "disk": disk("disk"),
        "nas": disk("nas"),
        "spelled": disk("x/../nas"),
        "apart": disk("apart"),
    }
    collections = {"mode": "map", "store": "main"}
    maps = {name: {"directory": name.lower(), "store": store} for name, store in (("Fish", part), ("Birds", "apart"))}
    maps["Shells"] = {"directory": "shells"}
    settings = load(
        write_config(
            tmp_path,
            stores,
            collections=collections,
            **{f"collections.map.{name}": table for name, table in maps.items()},
        ),
        {},
    )
    assert [each for each in settings.warnings if "mirror" in each] == [
        f"collections.map.Fish.store is {part}, where files of the mirror main are: what is uploaded there does not "
        "reach its copies, nor does what is deleted"
    ]


MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /srv rw - ext4 /dev/sdb1 rw
3 1 8:2 /files/copies /mnt/bound rw - ext4 /dev/sdb1 rw
4 1 0:50 / /mnt/nas rw - nfs4 nas:/export rw
5 1 0:50 /deep /mnt/deep rw - nfs4 nas:/export/deep rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/files", Place(("disk", "8:2"), ("files",))),
        ("/mnt/bound", Place(("disk", "8:2"), ("files", "copies"))),
        ("/mnt/bound/x", Place(("disk", "8:2"), ("files", "copies", "x"))),
        ("/mnt/nas/deep/x", Place(("disk", "0:50"), ("deep", "x"))),
        ("/mnt/deep/x", Place(("disk", "0:50"), ("deep", "x"))),
        ("/mnt/deep/x/..", Place(("disk", "0:50"), ("deep",))),
        ("/home/x", Place(("disk", "8:1"), ("home", "x"))),
    ],
)
def test_a_bind_mount_is_the_directory_that_is_seen_there(path: str, expected: Place) -> None:
    assert place_of(Path(path), parse_mounts(MOUNTS)) == expected


def test_nothing_is_looked_at_on_a_network_drive(tmp_path: Path) -> None:
    # Its server may not answer, and the daemon reads its configuration anew while it serves.
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "link").symlink_to("elsewhere")
    text = f"{MOUNTS}6 1 0:60 / {tmp_path}/nas rw - nfs4 nas:/export rw\n"
    assert place_of(tmp_path / "nas" / "link", parse_mounts(text)) == Place(("disk", "0:60"), ("link",))
    assert place_of(tmp_path / "nas", []) == Place(("disk",), (tmp_path / "nas").parts[1:])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_bind_mount_is_recognised_by_the_kernel_s_own_words(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "disk").mkdir()
    (tmp_path / "bound").mkdir()
    if subprocess.run(["mount", "--bind", tmp_path / "disk", tmp_path / "bound"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        assert mistakes_of_two(tmp_path, disk("disk"), disk("bound")) == [SAME]
        assert mistakes_of_two(tmp_path, disk("disk"), disk("bound/copy")) == [INSIDE]
    finally:
        subprocess.run(["umount", tmp_path / "bound"], check=True)


def test_further_words_tell_apart_what_is_at_one_address() -> None:
    assert place_at("https://example.org/a", "x") != place_at("https://example.org/a", "y")
    assert not Place(("disk",), ("a",)).overlaps(Place(("disk",), ("ab",)))
