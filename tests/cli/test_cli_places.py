"""Commands that are started in a directory which their user may not enter, or whose output nobody reads."""

import os
from pathlib import Path

import click.testing
import pytest
from twisted.logger import PredicateResult

from tests.support.capabilities import in_closed_directory
from tests.support.cli import write_config
from tests.support.daemon import BIN, clean_environment
from tests.support.prepared import Prepared, written
from was_daemon.cli.main import main
from was_daemon.cli.reactor import _while_it_is_read


def config_of(place: Path) -> Path:
    (place / "store").mkdir()
    return write_config(place, {"main": {"plugin": "filesystem", "path": place / "store"}})


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would run in the reactor."""
    found: list[object] = []
    monkeypatch.setattr("was_daemon.cli.reactor.run", lambda work, *_, **__: found.append(work))
    monkeypatch.setattr("was_daemon.cli.identity.go_on_as", lambda *_: None)
    monkeypatch.delenv("ATTACHMENT_KEY", raising=False)
    return found


def called_from_closed_directory(tmp_path: Path, *arguments: str) -> click.testing.Result:
    with in_closed_directory(tmp_path / "closed"):
        return click.testing.CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", [["doctor"], ["status"], ["trash", "list"], ["config", "check"]])
def test_a_command_works_from_a_directory_that_may_not_be_entered(
    tmp_path: Path, runs: list[object], command: list[str]
) -> None:
    config = config_of(tmp_path)
    ran = called_from_closed_directory(tmp_path, *command, "--config", str(config))
    assert (ran.exit_code, ran.exception) == (0, None), ran.output
    assert runs or "stores" in ran.output or "store" in ran.output


@pytest.mark.parametrize("command", [["doctor"], ["status"], ["init", "--yes"], ["serve"]])
def test_a_command_without_a_configuration_says_a_sentence_there(
    tmp_path: Path, runs: list[object], command: list[str]
) -> None:
    ran = called_from_closed_directory(tmp_path, *command)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    if command != ["doctor"]:
        assert ran.exit_code in (1, 2)
        assert "permission denied" in f"{ran.output}{ran.exception}" or "there is no configuration" in ran.output


def test_the_daemon_is_started_elsewhere_if_the_directory_may_not_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, started = config_of(tmp_path), []
    monkeypatch.setattr("twisted.scripts.twistd.runApp", started.append)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    ran = called_from_closed_directory(tmp_path, "serve", "--config", str(config))
    assert (ran.exit_code, [each["rundir"] for each in started]) == (0, ["/"]), ran.output


@pytest.mark.slow
@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--json"], ["status"], ["trash", "list"]])
@pytest.mark.parametrize("both", [False, True])
def test_a_command_whose_reader_has_gone_ends_silently(tmp_path: Path, command: list[str], both: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [BIN / "was-daemon", *command, "--config", config_of(tmp_path)]
    with os.fdopen(writer, "w") as out, (tmp_path / "err").open("w+") as err:
        process = Prepared(arguments, Path.cwd(), clean_environment(), out, out if both else err, False)
        assert process.wait(timeout=60) == 1
        assert written(err) == ""


def test_nothing_is_logged_once_the_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert _while_it_is_read({}) is PredicateResult.maybe
        os.close(reader)
        assert _while_it_is_read({}) is PredicateResult.no
        monkeypatch.undo()
