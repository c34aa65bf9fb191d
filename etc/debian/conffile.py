"""Print the configuration that the Debian package installs.

It is the one that `was-daemon init` writes, without what only the administrator knows: the public address. The spool is
where the unit tells the daemon to have it, so that commands use the same. The console has no password yet: one that
dpkg prints would stay in apt's log.
"""

import re
import sys
from pathlib import Path

from was_daemon.cli.config_template import Choices

_CHOICES = Choices(
    path=Path("/var/lib/was-daemon/attachments"),
    port=8080,
    public_url="https://assets.example.org",
    has_proxy=False,
    layout="flat",
    mode="single",
    directories=[],
    key_file=Path("$CREDENTIALS_DIRECTORY/key"),
    console_port=9180,
    password_file=Path("/etc/was-daemon/console-password"),
)

_SPOOL = """
# Room for uploads under way, and for copies of what is in remote stores.
[spool]
path = "/var/cache/was-daemon"
"""

if __name__ == "__main__":
    sys.stdout.write(re.sub(r"^(?=public_url = )", "# ", _CHOICES.text(), flags=re.MULTILINE) + _SPOOL)
