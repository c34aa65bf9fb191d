"""`was-daemon visibility`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Ran, run, write_config
from tests.support.specify_records import SpecifyRecords

REASON = ("--reason", "nest of a falcon")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One with two collections, of which one has a file."""
    originals = tmp_path / "store" / "fishes" / "originals"
    originals.mkdir(parents=True)
    (originals / "a.jpg").write_bytes(b"a")
    return write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": tmp_path / "store"}},
        server={"require_token_for_get": "private"},
        catalogue={"path": tmp_path / "catalogue.sqlite"},
        collections={"mode": "map", "map": {"Fish": {"directory": "fishes"}, "Birds": {"directory": "birds"}}},
    )


def visibility(config: Path, *arguments: str) -> Ran:
    return run("visibility", *arguments, "--config", config)


def shown(config: Path, *arguments: str) -> list[dict[str, Any]]:
    ran = visibility(config, *arguments, "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


@pytest.mark.slow
def test_it_tells_who_may_see_a_file_and_why(config: Path, tmp_path: Path) -> None:
    (found,) = shown(config, "a.jpg", "--collection", "Fish")
    assert (found["visibility"], found["decision"], found["records"], found["is_stored"]) == ("private", None, [], True)
    records = SpecifyRecords(tmp_path / "catalogue.sqlite")
    records.put("a.jpg", True, coll="fishes", number=7)
    records.put("a.jpg", None, coll="fishes", number=8)
    ran = visibility(config, "a.jpg", "b.jpg", "--collection", "Fish")
    assert ran.out == (
        "private   fishes/a.jpg: record 7 of specify says public, record 8 of specify says undecided\n"
        "private   fishes/b.jpg: no record says anything; no such file is stored\n"
    )
    records.put("a.jpg", True, coll="fishes", number=8)
    assert [each["visibility"] for each in shown(config, "a.jpg", "--collection", "Fish")] == ["public"]
    assert [each["visibility"] for each in shown(config, "a.jpg", "--collection", "Birds")] == ["private"]


def test_decisions_are_made_listed_and_taken_back(config: Path) -> None:
    assert visibility(config).out == "Nothing was decided by hand.\n"
    fish = ("--collection", "Fish")
    decided = shown(config, "a.jpg", "b ü.jpg", "--private", *REASON, *fish)
    assert [(each["visibility"], each["is_stored"]) for each in decided] == [("private", True), ("private", False)]
    visibility(config, "a.jpg", "--public", "--reason", "two\nlines", *fish)
    listed = visibility(config).out.splitlines()
    since = datetime.fromtimestamp(shown(config)[0]["since"])
    assert listed[0] == f"public    fishes/a.jpg: decided by hand on {since:%Y-%m-%d %H:%M:%S}: two\ufffdlines"
    assert [line.split(":")[0] for line in listed] == ["public    fishes/a.jpg", "private   fishes/b ü.jpg"]
    assert shown(config, "a.jpg", "--by-record", *fish)[0]["decision"] is None
    assert [each["name"] for each in shown(config)] == ["b ü.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jpg", "--private", "--collection", "Fish"], "give the --reason"),
        (["a.jpg", "--public", "--reason", " ", "--collection", "Fish"], "give the --reason"),
        (["--private", *REASON], "name the files"),
        (["a.jpg", "--private", "--public", *REASON, "--collection", "Fish"], "give one of them"),
        (["a.jpg"], "--collection names it"),
        (["a.jpg", "--collection", "Worms"], "no such collection"),
        (["x/a.jpg", "--collection", "Fish"], "path separator"),
    ],
)
def test_what_is_used_wrongly_decides_nothing(config: Path, arguments: list[str], message: str) -> None:
    ran = visibility(config, *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran
    assert visibility(config).out == "Nothing was decided by hand.\n"


def test_it_says_when_decisions_have_no_effect(config: Path) -> None:
    config.write_text(config.read_text().replace('"private"', "true"))
    ran = visibility(config, "a.jpg", "--private", *REASON, "--collection", "Fish")
    assert (ran.code, "decisions have no effect" in ran.err) == (0, True)
    text = config.read_text()
    config.write_text(text[: text.index("[catalogue]")] + text[text.index("[collections]") :])
    ran = visibility(config, "a.jpg")
    assert (ran.code, "there is no catalogue" in ran.err) == (1, True)
