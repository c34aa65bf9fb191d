"""The guide to trouble: each message that it shows is provoked, and its commands are there."""

import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import click
import pytest
import pytest_twisted

from tests.support import images
from tests.support.daemon import Daemon
from tests.support.guides import Machine, is_said, messages, page, tried
from tests.support.paths import ROOT
from tests.support.slow import slow_but
from tests.support.trouble import SOON_IN_TROUBLE, Trouble, running
from was_daemon.cli.main import main

GUIDE = page("troubleshooting.md")
MESSAGES = dict(messages(GUIDE))
FIRST, *COMMANDS = tried(GUIDE, "tests/docs/test_troubleshooting.py")
QUICK = ("wrong key", "wrong clock", "own limit", "no thumbnail", "large picture", "wrong collection", "wrong level")
QUICK += ("bad name", "redirect", "token missing", "not mounted", "mistakes", "sandbox")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose limits are soon reached."""
    with running(Daemon(tmp_path_factory.mktemp("troubled"), SOON_IN_TROUBLE)) as daemon:
        yield daemon


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="was-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("what", slow_but(QUICK, MESSAGES))
@pytest_twisted.ensureDeferred
async def test_the_message_is_really_said(daemon: Daemon, tmp_path: Path, place: Path, what: str) -> None:
    provoke: Callable[[], Awaitable[str]] = getattr(Trouble(daemon, tmp_path, place), what.replace(" ", "_"))
    said = await provoke()
    assert is_said(MESSAGES[what], said), said


def test_messages_in_the_text_are_in_the_sources() -> None:
    """Of messages that are hard to provoke, the words."""
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "was_daemon").rglob("*.py"))
    for words in ("the upload does not fit into the collection's quota of", "too many thumbnails are being made"):
        assert words in GUIDE
        assert words in sources


def test_every_symptom_has_a_cause_and_a_remedy() -> None:
    symptoms = re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(symptoms) >= 25
    for title, text in symptoms:
        assert text.count("\n**Cause.** ") == text.count("\n**Remedy.** ") == 1, title
        assert text.index("**Cause.**") < text.index("**Remedy.**"), title


@pytest.mark.slow
def test_the_commands_that_are_tried_work(tmp_path: Path) -> None:
    machine = Machine.made(tmp_path)
    originals = machine.store / "originals"
    originals.mkdir(parents=True)
    (originals / "a.jpg").write_bytes(images.jpeg())
    shutil.copy(originals / "a.jpg", tmp_path / "IMG_8032.jpg")
    machine.run("was-daemon catalogue rebuild --config /etc/was-daemon/was.toml")
    with running(machine.daemon):
        machine.run(FIRST)
        said = [machine.run(commands) for commands in COMMANDS]
    assert said[0].lower().count("access-control-allow-origin: *") == 1
    assert said[1].startswith("2 made")
    assert "a.jpg" in said[2]


@pytest.mark.parametrize("name", ["troubleshooting.md", "backup.md", "upgrade.md"])
def test_the_commands_that_a_page_names_are_there(name: str) -> None:
    for words in re.findall(r"(?:^|`|\$\()was-daemon ([^`\n)]*)", page(name), re.MULTILINE):
        _check_command(words)


def _check_command(words: str) -> None:
    command: click.Command = main
    for word in words.split():
        if isinstance(command, click.Group):
            assert word in command.commands, words
            command = command.commands[word]
        elif word.startswith("--"):
            assert any(word in parameter.opts for parameter in command.params), words
