"""`was-daemon check-store`: what it prints, and what it exits with."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import run, write_config
from tests.support.daemon import BIN, clean_environment
from tests.support.ports import free_port


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


def test_what_failed_and_what_was_not_tried_is_told_as_json(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    config = write_config(tmp_path, {"main": {"plugin": "webdav", "url": url}})
    ran = run("check-store", "main", "--json", "--config", config)
    assert (ran.code, ran.report["ok"]) == (1, False)
    first, *others = ran.report["promises"]
    assert first["state"] == "failed"
    assert "cannot be reached" in first["problem"]
    assert {(each["state"], each["problem"]) for each in others} == {("skipped", None)}


@pytest.mark.parametrize(
    "command",
    [
        ("check-store", "main"),
        ("check-store", "main", "--json"),
        ("status",),
        ("status", "--json"),
        ("verify", "--store", "main"),
        ("verify", "--store", "main", "--json"),
        ("copy", "--from", "main", "--to", "other"),
        ("copy", "--from", "main", "--to", "other", "--json"),
        ("thumbnails", "prune"),
    ],
)
def test_a_command_whose_output_nobody_reads_any_more_ends_quietly(tmp_path: Path, command: tuple[str, ...]) -> None:
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
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            [BIN / "was-daemon", *command, "--config", config],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            timeout=60,
            text=True,
        )
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert files(tmp_path / "store") == ["0.jpg", "1.jpg", "2.jpg"]
