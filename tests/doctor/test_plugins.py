"""Files of plugins that cannot be loaded: the finding names the file, the line and the error."""

from pathlib import Path

import pytest

import storage_plugins
from tests.support.cli import write_config
from tests.support.examined import bad, found_by, only
from was_daemon.doctor import configuration
from was_daemon.doctor.findings import State
from was_daemon.web.console.remedies import remedy

MISSPELT = "import attrs\n\ndef create(:\n"
WHY = "is left out, it cannot be imported: SyntaxError: invalid syntax (line 3)"


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an operator's plugins."""
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    # Who may change it is another finding.
    monkeypatch.setattr(configuration.changeable, "look", lambda *_: [])
    directory = tmp_path / "code/storage_plugins"
    directory.mkdir(parents=True)
    return directory


def config_with(plugins: Path, plugin: str) -> Path:
    store = {"plugin": plugin, "path": plugins.parent.parent / "store"}
    return write_config(plugins.parent.parent, {"main": store}, plugins={"path": [plugins.parent]})


def test_a_broken_plugin_that_no_store_uses_is_a_warning(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (plugins / "misspelt_dam.py").write_text(MISSPELT)
    found = found_by(configuration.look, config_with(plugins, "filesystem"))
    [finding] = [each for each in bad(found) if "misspelt_dam" in each.message]
    assert (finding.state, finding.message) == (State.WARNING, f"{plugins}/misspelt_dam.py {WHY}")
    assert str(finding.remedy).startswith(f"Correct {plugins}/misspelt_dam.py")
    assert remedy(finding.message).startswith("Correct the file of the plugin")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["misspelt-dam", "misspelt_dam"])
def test_a_broken_plugin_that_a_store_uses_is_what_is_wrong_and_not_the_configuration(plugins: Path, name: str) -> None:
    (plugins / "misspelt_dam.py").write_text(MISSPELT)
    found = found_by(configuration.look, config_with(plugins, name))
    finding = only(found)
    assert finding.message == f'stores.main.plugin: no plugin is called "{name}": {plugins}/misspelt_dam.py {WHY}'
    assert str(finding.remedy).startswith(
        f"Correct {plugins}/misspelt_dam.py, or move it away; then: was-daemon config"
    )
    assert not any("misspelt_dam" in each.message for each in found if each.state is State.WARNING)


def test_a_broken_file_may_have_a_plugin_of_another_name(plugins: Path) -> None:
    (plugins / "all_our_dams.py").write_text(MISSPELT)
    message = only(found_by(configuration.look, config_with(plugins, "misspelt-dam"))).message
    assert "webdav" in message
    assert message.endswith(f"; {plugins}/all_our_dams.py {WHY}")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("webdav", "", "is left out: "),
        ("lacking", "import the_dams_own_library\n", "No module named 'the_dams_own_library' (line 1)"),
        ("leaving", "raise SystemExit(3)\n", "SystemExit: 3 (line 1)"),
    ],
)
def test_other_files_that_are_left_out_are_told_too(plugins: Path, name: str, content: str, why: str) -> None:
    (plugins / f"{name}.py").write_text(content)
    found = found_by(configuration.look, config_with(plugins, "filesystem"))
    [finding] = [each for each in bad(found) if f"{name}.py" in each.message]
    assert why in finding.message
    assert str(finding.remedy).startswith(f"Correct {plugins}/{name}.py")
