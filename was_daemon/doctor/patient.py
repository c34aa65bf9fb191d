"""What is examined: a configuration, and the machine that it is for."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from was_daemon.config.endpoints import TCPAddress, tcp_address
from was_daemon.config.secret_files import SecretFile
from was_daemon.config.settings import ServerSettings, Settings
from was_daemon.doctor.account import Account
from was_daemon.doctor.machine import Machine
from was_daemon.library.collections import Collections
from was_daemon.model.composition import stores_in
from was_daemon.model.interfaces import IAssetStore, ILocalFiles

_LISTEN = "server.listen"


@attrs.frozen
class SpecifySite:
    """Specify 7 at `url`, whose pages a user with the cookie in `session` may see, or anybody without one."""

    url: str
    session: SecretFile | None = None


@attrs.frozen
class OtherUser:
    """The daemon's user `name`, who is not the caller, and `why` that is known, a clause."""

    name: str
    why: str


@attrs.frozen
class Patient:
    """The daemon that is examined, by its configuration and its machine.

    `settings` are those in the file `config`, without the parts that are wrong, of which `mistakes` has a line each;
    None if nothing of it can be read. `warnings` are what the daemon would warn of. `stores` and `collections` are not
    in use by anybody else. With `is_rest`, the settings are what is left of a file that is no TOML. The process is the
    user `account`, as which the daemon runs, unless there is an `other_user`.
    """

    config: Path | None
    settings: Settings | None
    mistakes: Sequence[str]
    warnings: Sequence[str]
    stores: Mapping[str, IAssetStore]
    collections: Collections | None
    machine: Machine
    account: Account = attrs.field(factory=Account.current)
    specify: SpecifySite | None = None
    is_rest: bool = False
    other_user: OtherUser | None = None

    @property
    def known(self) -> Settings:
        """The settings, for checks that are made only with them."""
        if self.settings is None:
            raise LookupError("there are no settings")
        return self.settings

    @property
    def unit_in_use(self) -> bool:
        """Whether systemd runs the daemon with this configuration."""
        return self.config is not None and self.machine.unit.runs(self.config)

    @property
    def required_units(self) -> Sequence[str]:
        """The units that the daemon's unit requires."""
        return self.machine.unit.words("Requires") if self.unit_in_use else ()

    @property
    def name_of_config(self) -> str:
        """The configuration's file, for commands that are shown."""
        return str(self.config) if self.config else "was.toml"

    def is_of_credential(self, mistake: str) -> bool:
        """Return whether a mistake is that only root may read a file that systemd passes to the daemon."""
        if self.machine.is_seen_by_root or not mistake.endswith(": permission denied"):
            return False
        return self.is_passed(Path(mistake.split(": ")[1]))

    def credential_of(self, mistake: str) -> str | None:
        """Return the name of the credential of the unit whose file a mistake is about."""
        parts = mistake.split(": ")
        name = Path(parts[1]).name if len(parts) > 2 else ""
        is_ours = self.unit_in_use and name in self.machine.unit.credentials and self.is_passed(Path(name))
        return name if is_ours else None

    def source_of(self, path: Path) -> Path:
        """Return the file in which a secret is to be written, where systemd passes the daemon a copy of it."""
        passed = self.unit_in_use and self.is_passed(path)
        return self.machine.unit.credentials.get(path.name, path) if passed else path

    @property
    def restart(self) -> str:
        """The command, or words, for a restart of the daemon, after which it has its new keys and certificates."""
        return self.machine.unit.restart if self.unit_in_use else "restart the daemon"

    def is_passed(self, path: Path) -> bool:
        """Return whether systemd reads a file for the daemon, which the configuration names among the credentials."""
        try:
            text = self.config.read_text("utf-8") if self.config else ""
            return f"$CREDENTIALS_DIRECTORY/{path.name}" in text
        except (OSError, UnicodeDecodeError):
            return False

    def is_wrong(self, key: str) -> bool:
        """Return whether the value of a setting is wrong, so that its default stands for it."""
        if self.is_rest and key == _LISTEN and self.known.server.listen == ServerSettings().listen:
            return True
        return any(mistake.startswith((f"{key}:", f"{key}[")) for mistake in self.mistakes)

    def endpoints(self) -> dict[str, Sequence[str]]:
        """Return the endpoints that the daemon listens on, by the settings that describe them."""
        server = self.known.server
        return {_LISTEN: server.listen, "server.admin_listen": server.admin_listen}

    def tcp_addresses(self) -> list[TCPAddress]:
        """Return the addresses that the daemon listens on, those for monitoring, too."""
        return [address for each in chain(*self.endpoints().values()) if (address := tcp_address(each))]

    def public_host(self) -> str | None:
        """Return the host of `public_url`."""
        return urlsplit(self.known.server.public_url or "").hostname

    def local_stores(self) -> dict[str, ILocalFiles]:
        """Return the stores, and the parts of stores, that are on this machine's disks, by the stores' names."""
        found: dict[int, tuple[str, ILocalFiles]] = {}
        for name, store in self.stores.items():
            for part in stores_in(store):
                if ILocalFiles.providedBy(part):
                    found.setdefault(id(part), (name, ILocalFiles(part)))
        return dict(found.values())
