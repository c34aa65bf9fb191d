"""Commands on a store that cannot list what it has take the names of the originals from elsewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.bottled import KEY, BottledServer
from tests.support.cli import Ran, run, write_config
from tests.support.daemon import Daemon, eventually
from tests.support.ports import free_port

NAMES = [f"sp6{number}.att.jpg" for number in range(5)]


class Museum:
    """The official server with five originals, and a configuration with it, a disk and a catalogue."""

    def __init__(self, directory: Path, old: BottledServer) -> None:
        self.directory = directory
        self.old = old
        stores: dict[str, dict[str, Any]] = {
            "old": {"plugin": "asset-server", "url": old.url, "key": KEY},
            "disk": {"plugin": "filesystem", "path": directory / "disk"},
        }
        self.config = write_config(
            directory,
            stores,
            catalogue={"path": directory / "catalogue.sqlite"},
            collections={"store": "old"},
            **{"specify.fish": {"coll": "Fish"}},
        )
        for name in NAMES:
            path = old.root / "originals" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    def run(self, *command: str | Path) -> Ran:
        return run(*command, "--config", self.config)

    def copy(self, *options: str | Path) -> Ran:
        return self.run("copy", "--from", "old", "--to", "disk", *options)

    def copied(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "disk" / "originals").glob("[!.]*"))

    def file(self, content: str) -> Path:
        path = self.directory / "names.csv"
        path.write_text(content, "utf-8")
        return path


@pytest.fixture
def museum(tmp_path: Path) -> Iterator[Museum]:
    with BottledServer(tmp_path / "official").running() as old:
        yield Museum(tmp_path, old)


def test_a_copy_without_names_says_where_they_may_come_from(museum: Museum) -> None:
    for ran in (museum.copy(), museum.run("catalogue", "rebuild")):
        assert (ran.code, ran.out) == (2, "")
        assert (
            "the store old cannot list what it has: give the names with --names catalogue, --names specify" in ran.err
        )


def test_a_table_among_the_options_is_described_as_one(museum: Museum) -> None:
    checked = museum.run("config", "check", "--plugins")
    assert re.search(r"^    collections +table$", checked.out, re.MULTILINE), checked


def test_a_file_has_a_name_in_each_line(museum: Museum) -> None:
    names = museum.file("\ufeff" + "\r\n".join([*NAMES[:3], "", "  \t", "gone.jpg", "originals/a.jpg", NAMES[0]]))
    ran = museum.copy("--names", names, "--json")
    wanted = {"copied": 3, "missing": 1, "failed": 1, "there": 0}
    assert (ran.code, {word: ran.report[word] for word in wanted}) == (1, wanted), ran
    assert {(each["state"], each["file"]) for each in ran.report["files"]} == {
        ("missing", "originals/gone.jpg"),
        ("failed", "originals/a.jpg"),
    }
    assert museum.copied() == NAMES[:3]
    names = museum.file("\n".join(NAMES))
    again = museum.copy("--names", names, "--json")
    assert (again.code, again.report["copied"], again.report["there"]) == (0, 2, 3), again


def test_an_export_of_specify_has_the_names_too(museum: Museum) -> None:
    rows = [f"{number},{name}" for number, name in enumerate([*NAMES, NAMES[0]], 1)]
    export = museum.file("\n".join(["AttachmentID,AttachmentLocation", *rows, "8,  ", "9,https://example.org/a.jpg"]))
    ran = museum.copy("--names", export, "--json")
    assert (ran.report["copied"], ran.report["failed"]) == (5, 1), ran
    assert museum.copied() == NAMES


@pytest.mark.parametrize("content", ["", "  \n\n", "AttachmentID,AttachmentLocation\n"])
def test_a_list_without_names_is_refused(museum: Museum, content: str) -> None:
    names = museum.file(content)
    for ran in (museum.copy("--names", names), museum.run("catalogue", "rebuild", "--names", names)):
        assert (ran.code, ran.err) == (1, f"Error: {names} has no names\n"), ran


@pytest.mark.slow
def test_the_catalogue_and_specify_have_names(museum: Museum) -> None:
    export = museum.file("\n".join(["AttachmentID,AttachmentLocation", *(f"{i},{n}" for i, n in enumerate(NAMES, 1))]))
    empty = museum.copy("--names", "catalogue")
    assert (empty.code, empty.out, empty.err) == (
        1,
        "",
        "Error: --names catalogue: no names of these collections are known there\n",
    )
    unread = museum.copy("--names", "specify")
    assert (unread.code, unread.err) == (
        1,
        "Error: specify.fish was never read: was-daemon specify read fish --records FILE\n",
    )
    read = museum.run("specify", "read", "fish", "--records", export)
    assert read.code == 0, read
    ran = museum.copy("--names", "specify", "--dry-run", "--json")
    assert (ran.code, ran.report["copied"], museum.copied()) == (0, 5, [])
    rebuilt = museum.run("catalogue", "rebuild", "--names", "specify", "--json")
    assert (rebuilt.code, rebuilt.report["recorded"]) == (0, 5), rebuilt
    ran = museum.copy("--names", "catalogue", "--json")
    assert (ran.code, ran.report["copied"], museum.copied()) == (0, 5, NAMES)
    verified = museum.run("verify", "--store", "old")
    assert (verified.code, verified.out.partition(",")[0]) == (0, "5 as recorded"), verified
    assert "The store old cannot list what it has" in verified.err


@pytest.mark.slow
def test_reconcile_looks_for_each_name_that_is_known(museum: Museum) -> None:
    rebuilt = museum.run("catalogue", "rebuild", "--names", museum.file("\n".join(NAMES)))
    assert rebuilt.code == 0, rebuilt
    listed = ["AttachmentID,AttachmentLocation", *(f"{i},{name}" for i, name in enumerate([*NAMES[1:], "none.jpg"], 1))]
    assert museum.run("specify", "read", "fish", "--records", museum.file("\n".join(listed))).code == 0
    (museum.old.root / "originals" / NAMES[4]).unlink()
    found = museum.run("reconcile", "--min-age", "0", "--json").report
    # The contents are no photographs.
    findings = [each for each in found["findings"] if each["kind"] != "type"]
    assert sorted((each["kind"], each["file"], each["record"]) for each in findings) == [
        ("missing", "originals/none.jpg", 5),
        ("missing", f"originals/{NAMES[4]}", 4),
        ("orphaned", f"originals/{NAMES[0]}", None),
    ], found
    assert found["originals"] == 4
    export = museum.file("\n".join(listed))
    from_export = museum.run("reconcile", "--records", export, "--json").report
    assert {(each["kind"], each["file"]) for each in from_export["findings"] if each["kind"] == "missing"} == {
        ("missing", f"originals/{NAMES[4]}"),
        ("missing", "originals/none.jpg"),
    }


@pytest.mark.slow
def test_mistakes_with_names_are_told(museum: Museum) -> None:
    damaged = museum.copy("--names", museum.file("AttachmentID,AttachmentLocation\n0,a.jpg"))
    assert (damaged.code, damaged.err) == (1, "Error: row 2: '0' cannot be the AttachmentID\n")
    for given, said in {"nowhere.txt": "there is no file nowhere.txt", "": "there is no file"}.items():
        ran = museum.copy("--names", given)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
    text = museum.config.read_text("utf-8")
    museum.config.write_text(text.replace('[specify.fish]\n"coll" = "Fish"\n', ""), "utf-8")
    assert "there is no [specify.NAME]" in museum.copy("--names", "specify").err
    assert "what is there needs not be entered" in museum.run("catalogue", "rebuild", "--names", "catalogue").err


@pytest.mark.slow
def test_a_quota_counts_what_the_catalogue_has_names_of(museum: Museum, tmp_path: Path) -> None:
    admin = free_port()
    daemon = Daemon(
        tmp_path / "daemon",
        {
            "server": {"admin_listen": [f"tcp:{admin}:interface=127.0.0.1"]},
            "catalogue": {"path": tmp_path / "daemon" / "catalogue.sqlite"},
            "stores": {"old": {"plugin": "asset-server", "url": museum.old.url, "key": KEY}},
            "collections": {"mode": "map", "store": "old", "map": {"Fish": {"directory": "fish", "quota": "1 MiB"}}},
        },
    )
    names = museum.file("\n".join([*NAMES, "gone.jpg"]))
    rebuilt = run("catalogue", "rebuild", "--names", names, "--config", daemon.config_file)
    assert "5 recorded now" in rebuilt.out, rebuilt
    daemon.start()
    try:

        def used() -> int | None:
            with urlopen(f"http://127.0.0.1:{admin}/healthz") as answer:
                return json.load(answer)["collections"]["Fish"]["used_bytes"]  # type: ignore[no-any-return]

        assert eventually(used, "for a count") == sum(map(len, NAMES))
    finally:
        daemon.stop()
