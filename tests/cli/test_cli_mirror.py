"""`was-daemon mirror` and `status`, as an operator runs them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run, write_config


def mirror_config(directory: Path, **options: Any) -> Path:
    stores = {
        "main": {
            "plugin": "mirror",
            "primary": "disk",
            "copies": ["nas"],
            "journal": directory / "journal",
            **options,
        },
        "disk": {"plugin": "filesystem", "path": directory / "disk"},
        "nas": {"plugin": "filesystem", "path": directory / "nas"},
    }
    for name in ("disk", "nas"):
        (directory / name / "originals").mkdir(parents=True)
    return write_config(directory, stores, collections={"store": "main"})


def fill(directory: Path, number: int) -> dict[str, bytes]:
    contents = {f"{each}.jpg": b"bytes %d" % each for each in range(number)}
    for name, content in contents.items():
        (directory / "originals" / name).write_bytes(content)
    return contents


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "originals").iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_lost_disk_is_filled_again_without_a_daemon(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    expected = fill(tmp_path / "disk", 20)
    first = run("mirror", "repair", "--config", config, "--json")
    assert (first.code, first.report["copied"]) == (0, 20)
    # No daemon runs: the command has had the copy follow.
    assert content(tmp_path / "nas") == expected
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    lost = run("mirror", "verify", "--config", config, "--json")
    assert (lost.code, lost.report["lost"]) == (1, 20)
    again = run("mirror", "repair", "--config", config)
    assert again.code == 0
    assert "20 to the primary" in again.out
    assert content(tmp_path / "disk") == expected


@pytest.mark.slow
def test_status_tells_how_far_the_copies_follow(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    before = run("status", "--config", config, "--json").report
    assert "mirrors" not in before
    assert not (tmp_path / "journal").exists()
    fill(tmp_path / "disk", 3)
    assert run("mirror", "verify", "--deep", "--config", config).code == 1
    report = run("status", "--config", config, "--json").report
    assert report["stores"]["main"]["ok"]
    assert report["mirrors"]["main"]["copies"]["nas"]["files"] == 0
    assert "copy of main in nas: up to date" in run("status", "--config", config).out


@pytest.mark.slow
def test_a_directory_that_is_not_there_is_not_filled(tmp_path: Path) -> None:
    config = mirror_config(tmp_path)
    fill(tmp_path / "nas", 3)
    shutil.rmtree(tmp_path / "disk")
    ran = run("mirror", "repair", "--config", config)
    assert ran.code == 1
    assert "there is no such directory" in ran.err
    assert not (tmp_path / "disk").exists()


def test_without_a_mirror_there_is_nothing_to_compare(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"disk": {"plugin": "filesystem", "path": tmp_path / "disk"}})
    ran = run("mirror", "verify", "--config", config)
    assert ran.code == 1
    assert 'no store has plugin = "mirror"' in ran.err
