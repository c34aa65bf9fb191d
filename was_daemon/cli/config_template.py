"""The configuration that `was-daemon init` writes."""

from pathlib import Path

import attrs

from was_daemon.cli import toml

_MODES = {
    "single": "One directory for all collections.",
    "map": "Only the collections that are listed here.",
    "auto": "Each collection has the directory of its own name.",
}


@attrs.frozen
class Choices:
    """Choices of the operator. `directories` are the names of existing collections' directories."""

    path: Path
    port: int
    public_url: str
    has_proxy: bool
    layout: str
    mode: str
    directories: list[str]
    key_file: Path
    console_port: int
    password_file: Path

    def text(self) -> str:
        """Return the configuration, with comments; raise `UnicodeEncodeError`."""
        return f"""\
# The configuration of was_daemon, an asset server for Specify. After a change:
#   was-daemon config check --config FILE

[server]
{self._listen()}
# The address that Specify and browsers use.
public_url = {toml.text(self.public_url)}

# The attachment key, the same as in Specify. Only the daemon's user should be able to read the file.
key_file = {toml.text(self.key_file)}
{self._console()}
# Require a token for reading, too. Web portals have no tokens, and /static/ never requires one.
# "private": only for what Specify, or you by hand, says is not public; this needs [catalogue].
require_token_for_get = false
static_access = true

# The largest file that can be uploaded.
max_upload = "4 GiB"
{self._admin()}
[stores.main]
plugin = "filesystem"
# The directory that holds originals/ and thumbnails/, or the collections' directories.
path = {toml.text(self.path)}
layout = {toml.text(self.layout)}

{self._collections()}
[thumbnails]
# Processes that make thumbnails; by default one for each processor.
# workers = 2

# Scales to make right after an upload.
# warm = [123]

# A database of what is kept and of what happens to it; and whether the files are still the same.
# [catalogue]
# path = "/var/lib/was-daemon/catalogue.sqlite"
# [fixity]
# every = "90 days"

# What Specify says of its attachments; it needs the catalogue.
# [specify.NAME]
# url = "mariadb://was_reader@db.example.org/DATABASE"
# password_file = "/etc/was-daemon/specify-password"

# Keep deleted files for some time, so that was-daemon trash restore can bring them back.
# [trash]
# keep = "30 days"
"""

    def _listen(self) -> str:
        if not self.has_proxy:
            return f"# Where to listen: every address of this machine.\nlisten = [{toml.text(f'tcp:{self.port}')}]\n"
        return f"""\
# Where to listen: on 127.0.0.1 only, for the proxy on this machine, whose X-Forwarded headers are believed.
listen = [{toml.text(f"tcp:{self.port}:interface=127.0.0.1")}]
trusted_proxies = ["127.0.0.1"]
"""

    def _console(self) -> str:
        if not self.console_port:
            return ""
        return f"""
# The console, and addresses for monitoring: for this machine only. From another one:
#   ssh -L {self.console_port}:localhost:{self.console_port} SERVER
admin_listen = [{toml.text(f"tcp:{self.console_port}:interface=127.0.0.1")}]
"""

    def _admin(self) -> str:
        if not self.console_port:
            return ""
        return f"""
[admin]
# The hash of the console's password; was-daemon console-password makes a new one.
password_file = {toml.text(self.password_file)}
"""

    def _collections(self) -> str:
        lines = ["[collections]", f"# {_MODES[self.mode]}", f"mode = {toml.text(self.mode)}"]
        if self.mode == "map":
            names = self.directories or ["collection"]
            lines.append("# Left: the collection's name in Specify. Right: its directory.")
            lines.append('# It may also have its own key and quota: key_file = "FILE", quota = "500 GiB".')
            lines += [f"map.{toml.name(name)} = {{ directory = {toml.text(name)} }}" for name in names]
        return "\n".join(lines) + "\n"
