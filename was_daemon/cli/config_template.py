"""The configuration that `was-daemon init` writes."""

from pathlib import Path

import attrs

from was_daemon.cli import toml

_MODES = {
    "single": "One directory for all, whatever collection a client names.",
    "map": "The collections that are served, by the names they have in Specify, and no others.",
    "auto": "Each collection has a directory of its own name.",
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

    def text(self) -> str:
        """Return the configuration, with comments; raise `UnicodeEncodeError`."""
        return f"""\
# The configuration of was_daemon, an asset server for Specify. After a change:
#   was-daemon config check --config FILE

[server]
{self._listen()}
# The address that Specify and browsers use; the discovery document tells it to them.
public_url = {toml.text(self.public_url)}

# The key that Specify knows too. Only the daemon's user should be able to read the file.
key_file = {toml.text(self.key_file)}

# Ask for a token to read, too. Web portals have none, and /static/ asks for none.
require_token_for_get = false
static_access = true

# The largest file that can be uploaded.
max_upload = "4 GiB"

[stores.main]
plugin = "filesystem"
# The directory that holds originals/ and thumbnails/, or the collections' directories.
path = {toml.text(self.path)}
layout = {toml.text(self.layout)}

{self._collections()}
[thumbnails]
# Processes that make thumbnails; without this line, one for each processor.
# workers = 2

# Scales to make right after an upload.
# warm = [123]
"""

    def _listen(self) -> str:
        if not self.has_proxy:
            return f"# Where to listen: every address of this machine.\nlisten = [{toml.text(f'tcp:{self.port}')}]\n"
        return f"""\
# Where to listen: for the proxy on this machine only, which says for whom it asks.
listen = [{toml.text(f"tcp:{self.port}:interface=127.0.0.1")}]
trusted_proxies = ["127.0.0.1"]
"""

    def _collections(self) -> str:
        lines = ["[collections]", f"# {_MODES[self.mode]}", f"mode = {toml.text(self.mode)}"]
        if self.mode == "map":
            names = self.directories or ["collection"]
            lines.append("# Left: what the collection is called in Specify. Right: its directory.")
            lines.append('# Besides, it may have a key and a quota of its own: key_file = "FILE", quota = "500 GiB".')
            lines += [f"map.{toml.name(name)} = {{ directory = {toml.text(name)} }}" for name in names]
        return "\n".join(lines) + "\n"
