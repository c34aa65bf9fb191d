"""The guide to preservation: its policies are valid configurations."""

import re
from pathlib import Path

import pytest

from tests.support.daemon import KEY, to_toml
from tests.support.guides import page
from was_daemon.config.load import load

POLICIES = re.findall(r"```toml\n# (A \w+ museum)\.\n(.*?)```", page("preservation.md"), re.DOTALL)


@pytest.mark.parametrize(("museum", "policy"), POLICIES, ids=[museum for museum, _ in POLICIES])
def test_a_policy_is_a_valid_configuration(tmp_path: Path, museum: str, policy: str) -> None:
    password = tmp_path / "etc/was-daemon/database-password"
    password.parent.mkdir(parents=True)
    password.write_text("secret\n")
    password.chmod(0o600)
    stores = to_toml({"stores.main": {"plugin": "filesystem", "path": tmp_path / "store"}})
    key = f'key = "{KEY}"\n'
    server = policy.replace("[server]\n", f"[server]\n{key}") if "[server]" in policy else f"[server]\n{key}{policy}"
    here = re.sub(r"(?<![\w/])/(?=etc/was-daemon|var/lib/was-daemon)", f"{tmp_path}/", server)
    (tmp_path / "was.toml").write_text(here + stores, "utf-8")
    (tmp_path / "was.toml").chmod(0o600)
    settings = load(tmp_path / "was.toml", {})
    assert settings.catalogue.is_on
    assert settings.fixity.every
    assert not settings.warnings


def test_there_are_policies() -> None:
    assert len(POLICIES) == 2
