"""The guide and the table of settings are those of the plugin."""

import re
from pathlib import Path

import attrs

from tests.config.test_config import settings_of
from tests.support.paths import ROOT
from was_daemon.stores.resourcespace.options import ResourceSpaceOptions


def test_the_configuration_of_the_guide_is_understood(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "resourcespace.md").read_text("utf-8")
    (tables,) = re.findall(r"```toml\n(\[stores\.dam\].*?)```", guide, re.DOTALL)
    settings = settings_of(tmp_path, '[server]\nkey = "a key"\n' + tables)
    options = settings.stores["dam"].options
    assert (options.url, options.user, options.name_field) == ("https://dam.example.org", "specify", "originalfilename")
    assert (settings.collections.store, settings.thumbnails.store) == ("dam", "thumbnails")


def test_every_setting_is_documented() -> None:
    section = (ROOT / "docs" / "configuration.md").read_text("utf-8").partition("### ResourceSpace\n")[2]
    rows = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.M))))
    assert rows == {field.name for field in attrs.fields(ResourceSpaceOptions)}
