"""What can be read of a configuration that is no TOML."""

from pathlib import Path

import pytest

from was_daemon.config.broken import rest_of
from was_daemon.config.load import ConfigSource

RIGHT = '[server]\nkey = "a key for tests"\n\n[stores.main]\nplugin = "filesystem"\npath = "files"\n'


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ('key = "a key for tests"', 'key = "a key for tests', ("server", "key")),
        ('key = "a key for tests"', "key = ", ("server", "key")),
        ('path = "files"', "path = files", ("stores", "path")),
        ('path = "files"\n', 'path = "files', ("stores", "path")),
        ("[server]", "[server", ("server", "key")),
        ("[stores.main]", "[stores.main", ("stores", "path")),
        ("[server]", "[server]\nkey = 1", ("server", "")),
    ],
)
def test_only_the_wrong_lines_are_left_out(old: str, new: str, lost: tuple[str, str]) -> None:
    assert old in RIGHT
    rest = rest_of(RIGHT.replace(old, new))
    flat = str(rest)
    assert ("a key for tests" in flat) is (lost[1] != "key" and lost[0] != "server")
    assert ("files" in flat.replace("filesystem", "")) is (lost != ("stores", "path"))


@pytest.mark.parametrize("text", ["", "\0", "[", "x", "\n".join(["="] * 60)])
def test_nothing_can_be_read_of_what_is_nothing(text: str) -> None:
    assert rest_of(text) == {}


def test_the_settings_that_are_right_are_known(tmp_path: Path) -> None:
    path = tmp_path / "was.toml"
    path.write_text(RIGHT + "[spool\npath = 5\n")
    settings = ConfigSource(path, {}).rest()
    assert settings
    assert settings.server.key == "a key for tests"
    assert settings.stores["main"].options.path == tmp_path / "files"
    assert ConfigSource(tmp_path / "nowhere.toml", {}).rest() is None
