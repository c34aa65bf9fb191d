"""Files of endpoints with TLS, that the daemon's user cannot read, or that do not fit together."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.doctor.test_paths import as_root, nobody
from tests.support.cli import write_config
from tests.support.examined import found_by, only, patient
from tests.support.reachable import reachable_directory
from tests.support.tls import self_signed
from was_daemon.config.endpoints import tls_files
from was_daemon.doctor import certificates, configuration, paths
from was_daemon.doctor.account import Account
from was_daemon.doctor.findings import State


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


def config_of(place: Path, setting: str, endpoint: str) -> Path:
    (place / "store").mkdir(exist_ok=True)
    os.chown(place / "store", 65534, 65534)
    server = {"listen": ["tcp:1"], setting: [endpoint]}
    config = write_config(place, {"main": {"plugin": "filesystem", "path": place / "store"}}, server=server)
    config.chmod(0o644)
    return config


def test_the_files_of_an_endpoint_are_those_that_twisted_reads() -> None:
    assert tls_files("tcp:80") == {}
    assert tls_files("ssl:443") == {"privateKey": Path("server.pem"), "certKey": Path("server.pem")}
    assert tls_files(r"haproxy:ssl:443:privateKey=/a\:b:extraCertChain=/c:interface=127.0.0.1") == {
        "privateKey": Path("/a:b"),
        "certKey": Path("/a:b"),
        "extraCertChain": Path("/c"),
    }


@as_root
@pytest.mark.parametrize("setting", ["listen", "admin_listen"])
@pytest.mark.parametrize("argument", ["privateKey", "certKey", "extraCertChain"])
def test_a_file_that_the_daemons_user_cannot_read_is_told(place: Path, setting: str, argument: str) -> None:
    readable = self_signed(place)
    readable.chmod(0o644)
    files = dict.fromkeys(("privateKey", "certKey", "extraCertChain"), readable)
    files[argument] = Path(shutil.copy(readable, place / "unreadable.pem"))
    files[argument].chmod(0o600)
    described = ":".join(f"{name}={path}" for name, path in files.items())
    examined = patient(config_of(place, setting, f"ssl:8443:interface=127.0.0.1:{described}"))
    with nobody():
        examined = attrs.evolve(examined, account=Account.current())
        found = list(paths.look(examined))
        assert all(each.state is not State.FAILED for each in certificates.look(examined))
        by_user = only(found_by(configuration.look, examined.config or place))
    finding = next(each for each in found if "unreadable.pem" in each.message)
    assert f"may not read {place}/unreadable.pem ({argument} of server.{setting})" in finding.message
    assert finding.remedy == f"chgrp nogroup {place}/unreadable.pem && chmod g+r {place}/unreadable.pem"
    # As the daemon's user, the configuration itself cannot be used.
    assert by_user.message.endswith(f"is not usable: {place}/unreadable.pem: permission denied")
    assert by_user.remedy == finding.remedy


def test_files_that_do_not_fit_together_are_told_in_words(tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path).rename(tmp_path / "key.pem"), self_signed(tmp_path)
    certificate.write_bytes(certificate.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
    for files, message, remedy in (
        ((key, certificate), f"{key} is not the key of the certificate {certificate}", "-noout -pubkey; then:"),
        ((tmp_path / "no", certificate), f"{tmp_path}/no: no such file or directory", f"ls -l {tmp_path}/no; put the"),
        ((tmp_path / "was.toml",) * 2, "in PEM", "were made together"),
    ):
        endpoint = "ssl:8443:privateKey={}:certKey={}".format(*files)
        config = write_config(
            tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path}}, server={"listen": [endpoint]}
        )
        finding = only(found_by(configuration.look, config))
        assert finding.message.endswith(message)
        assert remedy in str(finding.remedy)
