"""`was-daemon check-store`: what it prints, and what it exits with."""

import os
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support.cli import run, write_config
from tests.support.daemon import BIN, clean_environment
from tests.support.ports import free_port
from tests.support.slow import slow_after

pytestmark = pytest.mark.slow


def files(directory: Path) -> list[str]:
    """The files that are no daemon's own."""
    return sorted(path.name for path in directory.rglob("*") if path.is_file() and "/." not in str(path))


def test_the_promises_are_told_as_json(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    config = write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    ran = run("check-store", "main", "--json", "--config", config)
    assert (ran.code, ran.err) == (0, "")
    assert (ran.report["ok"], ran.report["store"]) == (True, "main")
    assert len(ran.report["promises"]) > 10
    assert {(each["state"], each["problem"]) for each in ran.report["promises"]} == {("ok", None)}
    assert files(tmp_path / "store") == []


def test_nothing_is_left_that_was_not_there_before(tmp_path: Path) -> None:
    (tmp_path / "store/fish/originals").mkdir(parents=True)
    (tmp_path / "store/fish/originals/felis.jpg").write_bytes(b"felis")
    before = sorted(tmp_path.joinpath("store").rglob("*"))
    collections = {"mode": "map", "map": {"Fish": {"directory": "fish"}, "Birds": {"directory": "birds/all"}}}
    for layout in ("flat", "sharded"):
        main = {"plugin": "filesystem", "path": tmp_path / "store", "layout": layout}
        for sections in ({}, {"collections": collections}, {"collections": {"mode": "auto"}}):
            config = write_config(tmp_path, {"main": main}, **sections)
            ran = run("check-store", "main", "--config", config)
            assert (ran.code, "FAILED" in ran.out) == (0, False), ran
            assert sorted(tmp_path.joinpath("store").rglob("*")) == before


def test_every_collection_of_the_store_is_tried(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "fish").mkdir(parents=True)
    (store / "birds").write_text("a file")
    (store / "plants/thumbnails").mkdir(parents=True)
    (store / "plants/thumbnails/.staging").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    directories = {name.title(): {"directory": name} for name in ("fish", "birds", "plants")}
    config = write_config(
        tmp_path,
        {name: {"plugin": "filesystem", "path": tmp_path / name} for name in ("store", "other")},
        collections={
            "mode": "map",
            "store": "store",
            "map": {**directories, "Shells": {"directory": "shells", "store": "other"}},
        },
    )
    ran = run("check-store", "store", "--config", config)
    failed = [line for line in ran.out.splitlines() if line.startswith("FAILED")]
    assert (ran.code, len(failed)) == (1, 2), ran
    assert "the collection in birds can be written to" in failed[0]
    assert failed[0].endswith(f"({store}/birds)")
    assert failed[1].endswith(f"({store}/plants/thumbnails/.staging)")
    assert "ok      the collection in fish can be written to: originals, thumbnails, deep zoom" in ran.out
    assert "shells" not in ran.out
    assert "the collection in shells" in run("check-store", "other", "--config", config).out
    only = run("check-store", "store", "--collection", "fish", "--config", config)
    assert (only.code, "birds" in only.out) == (0, False)


def test_a_forgotten_chown_is_one_line_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "store/birds").mkdir(parents=True)
    (tmp_path / "store/fish").write_text("a file")
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": tmp_path / "store"}},
        collections={"mode": "map", "map": {name.title(): {"directory": name} for name in ("fish", "birds")}},
    )
    ran = run("check-store", "main", "--config", config)
    first, *others, last = ran.out.splitlines()
    assert ran.code == 1
    assert first.startswith("FAILED  the store is reachable, readable and writable: ")
    assert first.endswith(f"({tmp_path}/store/fish)")
    assert {line.split()[0] for line in others} == {"skipped"}
    assert last.startswith("ok      the collection in birds can be written to")


def test_what_failed_and_what_was_not_tried_is_told_as_json(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    config = write_config(tmp_path, {"main": {"plugin": "webdav", "url": url}})
    ran = run("check-store", "main", "--json", "--config", config)
    assert (ran.code, ran.report["ok"]) == (1, False)
    first, *others = ran.report["promises"]
    assert first["state"] == "failed"
    assert "cannot be reached" in first["problem"]
    told = {(each["state"], each["problem"], each["remark"]) for each in others}
    assert told == {("skipped", None, "the store cannot be used")}


@pytest.mark.parametrize(
    "command",
    slow_after(
        2,
        [
            ("check-store", "main"),
            ("status", "--json"),
            ("check-store", "main", "--json"),
            ("status",),
            ("verify", "--store", "main"),
            ("verify", "--store", "main", "--json"),
            ("copy", "--from", "main", "--to", "other"),
            ("copy", "--from", "main", "--to", "other", "--json"),
            ("thumbnails", "prune"),
        ],
    ),
)
def test_a_command_whose_output_nobody_reads_any_more_ends_quietly(tmp_path: Path, command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        ran = run_into(output, tmp_path, *command)
    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize(
    "command",
    slow_after(
        1,
        [
            ("config", "check"),
            ("check-store", "main"),
            ("copy", "--from", "main", "--to", "other"),
            ("token", "--help"),
        ],
    ),
)
def test_a_command_whose_output_is_on_a_full_disk_says_so_in_a_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as output:
        ran = run_into(output, tmp_path, *command)
    assert (ran.returncode, ran.stderr) == (1, "Error: No space left on device\n")


def run_into(output: BinaryIO, tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a store with three files, with `output` as its standard output."""
    store, other = ({"plugin": "filesystem", "path": tmp_path / name} for name in ("store", "other"))
    config = write_config(
        tmp_path,
        {"main": store, "other": other},
        checksums={"path": tmp_path / "sums"},
        server={"listen": [f"tcp:{free_port()}:interface=127.0.0.1"]},
    )
    (tmp_path / "store" / "originals").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "store" / "originals" / f"{number}.jpg").write_bytes(b"bytes")
    return subprocess.run(
        [BIN / "was-daemon", *command, "--config", config],
        stdout=output,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        timeout=60,
        text=True,
    )
