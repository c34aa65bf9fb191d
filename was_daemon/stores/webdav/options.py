"""The settings of a WebDAV store."""

from pathlib import Path
from urllib.parse import urlsplit

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.validators import FieldValidator, at_least
from was_daemon.model.keys import Layout
from was_daemon.model.places import Place
from was_daemon.stores.http.auth import FixedLogin, Login, PasswordLogin
from was_daemon.stores.http.urls import place_at, url_problem


@attrs.frozen
class WebDAVOptions:
    """`[stores.NAME]` with `plugin = "webdav"`; ValueError when the settings contradict each other.

    `ca_file` holds the certificates, in PEM format, to trust instead of the system's. `timeout` is in seconds without
    progress. Credentials go over plain http only with `allow_http`.
    """

    url: str = attrs.field(validator=FieldValidator(url_problem))
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    password_file: SecretFile | None = None
    token_file: SecretFile | None = None
    ca_file: Path | None = None
    allow_http: bool = False
    layout: Layout = Layout.FLAT
    timeout: float = attrs.field(default=30.0, validator=at_least(0.001))

    def __attrs_post_init__(self) -> None:
        passwords = (self.password is not None) + (self.password_file is not None)
        if (self.user is not None) != (passwords == 1) or passwords > 1:
            raise ValueError("user goes with either password or password_file")
        if self.token_file and self.user is not None:
            raise ValueError("token_file goes without user")
        if (self.token_file or self.user is not None) and not self.allow_http and urlsplit(self.url).scheme == "http":
            raise ValueError("url: a login over plain http needs allow_http = true")

    def place(self) -> Place:
        """Return where the files are."""
        return place_at(self.url)

    def login(self) -> Login:
        """Return the login, its secrets read from their files; raises what `SecretFile.text` does."""
        if self.token_file:
            return FixedLogin(f"Bearer {self.token_file.text().strip()}")
        if self.user is None:
            return FixedLogin(None)
        password = self.password_file.text() if self.password_file else self.password or ""
        return PasswordLogin(self.user, password, unasked=urlsplit(self.url).scheme == "https")
