"""Strings that want out of the store, and a server whose surroundings are watched while they try.

All of them lead to files of the test's own, or to nothing: a daemon that fails a test does no harm.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import attrs

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import photograph
from was_daemon.model.keys import AssetKey, Kind, Layout

CANARY = b"nobody outside may ever see this: " + uuid4().bytes.hex().encode()
"""In every file that no client may reach."""

REAL = "real.jpg"
"""An asset that clients may reach; its thumbnail of 61 pixels is a link to a picture elsewhere."""

LINK = "link.jpg"
"""A link among the originals to a picture elsewhere."""

_STEPS: dict[str, bytes] = {
    "plain": b"../",
    "backslashes": b"..\\",
    "doubled": b"....//",
    "doubled backslashes": b"....\\\\",
    "with a dot": b".././",
    "with an empty segment": b"..//",
    "with a parameter": b"..;/",
    "with spaces": b".. /",
    "with a NUL": b"..\0/",
    "with a NUL between": b".\0./",
    "with a tab": b"..\t/",
    "with a line break": b"..\r\n/",
    "by way of a directory that is there": b"originals/../../",
    "percent-encoded": b"%2e%2e%2f",
    "percent-encoded in upper case": b"%2E%2E%2F",
    "percent-encoded slash": b"..%2f",
    "percent-encoded dots": b"%2e%2e/",
    "percent-encoded backslash": b"..%5c",
    "percent-encoded twice": b"%252e%252e%252f",
    "percent-encoded as UTF-16": b"%u002e%u002e%u2215",
    "percent-encoded overlong": b"%c0%ae%c0%ae%c0%af",
    "overlong in two bytes": b"\xc0\xae\xc0\xae\xc0\xaf",
    "overlong in three bytes": b"\xe0\x80\xae\xe0\x80\xae\xe0\x80\xaf",
    "overlong in four bytes": b"\xf0\x80\x80\xae\xf0\x80\x80\xae\xf0\x80\x80\xaf",
    "overlong slash": b"..\xc0\xaf",
    "overlong slash with a bad continuation": b"..\xc1\x9c",
    "UTF-16": "../".encode("utf-16-le"),
    "UTF-16 with a byte order mark": "../".encode("utf-16"),
    "UTF-32": "../".encode("utf-32-be"),
    "UTF-7": b"+AC4ALgAv-",
    "fullwidth": "．．／".encode(),
    "fullwidth slash": "..／".encode(),
    "fullwidth backslash": "..＼".encode(),
    "small full stops": "﹒﹒/".encode(),
    "one dot leaders": "․․/".encode(),
    "two dot leader": "‥/".encode(),
    "ideographic full stops": "。。/".encode(),
    "division slash": "..∕".encode(),
    "fraction slash": "..⁄".encode(),
    "big solidus": "..⧸".encode(),
    "combining solidus": "..\u0338".encode(),
    "zero width": "\u200b..\u200b/".encode(),
    "the other way round": "\u202e../".encode(),
    "surrogate": b"..\xed\xa0\x80/",
    "entities": b"&#46;&#46;&#47;",
    "escapes of C": b"\\x2e\\x2e\\x2f",
    "with a form feed": b"..\x0c/",
    "with a vertical tab": b"..\x0b/",
    "with a soft hyphen": "..\u00ad/".encode(),
    "with a joiner": ".\u200d./".encode(),
    "with a byte order mark": "\ufeff../".encode(),
    "with a line separator": "\u2028../".encode(),
    "middle dots": "··/".encode(),
    "slashes of both kinds": b"..\\/",
    "home": b"~/../",
}
"""Ways to spell a step upwards."""

_WHERE_IT_IS: dict[str, bytes] = {
    "absolute": b"{}",
    "absolute after an empty segment": b"/{}",
    "absolute with backslashes": b"\\{}",
    "a file URL": b"file://{}",
    "a file URL without an authority": b"file:{}",
    "drive letter": b"C:{}",
    "drive letter with a backslash": b"C:\\{}",
    "drive letter and no root": b"C:canary.txt",
    "share": b"\\\\127.0.0.1\\c$\\{}",
    "share with slashes": b"//127.0.0.1{}",
    "device": b"\\\\?\\C:{}",
    "this process's root": b"/proc/self/root{}",
    "percent-encoded": b"%2f{}",
    "overlong": b"\xc0\xaf{}",
}
"""Ways to spell an absolute path; `{}` is that of the canary."""

_NAMES: dict[str, bytes] = {
    "nothing": b"",
    "this directory": b".",
    "the directory above": b"..",
    "dots": b"...",
    "a slash": b"/",
    "slashes": b"///",
    "a backslash": b"\\",
    "a NUL": b"\0",
    "an escape": b"\x1b[2J",
    "a delete": b"\x7f",
    "a next line": b"\xc2\x85",
    "a byte": b"\xff",
    "half a letter": b"a\xc3",
    "the key": b".key",
    "the key above": b"../.key",
    "the key two above": b"../../.key",
    "the key with a NUL": b".key\0.jpg",
    "the key, absolute": b"/.key",
    "staging": b".staging/x",
    "staging itself": b".staging",
    "staging above": b"../.staging/x",
    "the originals": b"originals",
    "the originals above": b"../originals/real.jpg",
    "the originals from here": b"originals/real.jpg",
    "the thumbnails": b"thumbnails/..",
    "the thumbnails above": b"../thumbnails/real_61.jpg",
    "the other collection": b"../Secret/originals/canary.jpg",
    "the other collection above": b"../../Secret/originals/canary.jpg",
    "the other collection in shards": b"../../../../Secret/originals/ca/na/canary.jpg",
    "a linked directory": b"linked/canary.jpg",
    "a linked directory and up": b"linked/../canary.txt",
    "itself": b"real.jpg/",
    "itself with a dot": b"./real.jpg",
    "itself as a directory": b"real.jpg/../real.jpg",
    "itself with a NUL": b"real.jpg\0",
    "itself with a NUL and more": b"real.jpg\0../canary.txt",
    "another stream": b"canary.txt::$DATA",
    "a device of Windows": b"CON",
    "this process": b"/proc/self/environ",
    "a wildcard": b"*",
    "wildcards": b"*/*",
    "braces": b"{a,../canary.txt}",
    "a home": b"~root/canary.txt",
    "a variable": b"$HOME/canary.txt",
    "a command": b"`cat canary.txt`",
    "a pipe": b"canary.txt|cat",
    "an option": b"--help",
    "a format": b"%s%n{0.__class__}",
    "a header": b"a\r\nSet-Cookie: a=b",
    "256 bytes": b"a" * 256,
    "256 bytes in two-byte letters": "é".encode() * 128,
    "a long way up": b"../" * 300,
    "a very long name": b"a" * 2000,
}


def values(depth: int, canary: Path) -> dict[str, bytes]:
    """Hostile strings, unquoted: those that lead `depth` directories up to the file `canary`, and others."""
    up = {f"upwards: {name}": step * depth + canary.name.encode() for name, step in _STEPS.items()}
    down = {f"root: {name}": form.replace(b"{}", os.fsencode(canary)) for name, form in _WHERE_IT_IS.items()}
    return {**up, **down, **_NAMES}


def spellings(value: bytes) -> set[bytes]:
    """How `value` may be written in an address."""
    every_byte = b"".join(b"%%%02x" % byte for byte in value)
    return {quote(value, safe="").encode(), quote(value, safe="/\\.:~").encode(), every_byte}


def legal(value: bytes) -> str | None:
    """The name that `value` is (contract, section 4), or None."""
    try:
        name = value.decode()
    except UnicodeDecodeError:
        return None
    return name if len(value) <= 255 and re.fullmatch(r"[^./\\\0-\x1f\x7f-\x9f][^/\\\0-\x1f\x7f-\x9f]*", name) else None


@attrs.frozen
class Site:
    """A daemon in a directory full of things that are none of its clients' business.

    `coll` is what clients call the collection whose files are in `directory` of the store; None without collections.
    """

    root: Path
    daemon: Daemon
    layout: Layout
    coll: str | None
    directory: str

    @property
    def client(self) -> Client:
        """A client of the daemon."""
        return Client(self.daemon.url, KEY)

    @property
    def canary(self) -> Path:
        """The file to reach, at the top."""
        return self.root / "canary.txt"

    def path(self, name: str, kind: Kind = Kind.ORIGINAL) -> Path:
        """Where an asset's file is."""
        return self.daemon.store / self.layout.path(AssetKey(self.directory, kind, name))

    def values(self) -> dict[str, bytes]:
        """Hostile strings that would lead from where an original is to the canary, and others."""
        return values(len(self.path(REAL).parent.relative_to(self.root).parts), self.canary)

    def furnish(self) -> None:
        """Make the files, before the daemon starts."""
        elsewhere = self.root / "elsewhere" / "canary.jpg"
        secret = self.daemon.store / "Secret" / "originals"
        above = {self.root, self.daemon.directory, self.daemon.store, self.daemon.store / self.directory}
        for path in (*(directory / "canary.txt" for directory in above), self.daemon.store / ".key"):
            _put(path, CANARY)
        for path in (elsewhere, secret / "canary.jpg", secret / "ca" / "na" / "canary.jpg"):
            _put(path, photograph() + CANARY)
        _put(self.path(REAL), photograph())
        for link, target in {
            self.path(LINK): elsewhere,
            self.path("real_61.jpg", Kind.THUMBNAIL): elsewhere,
            self.path("link_60.jpg", Kind.THUMBNAIL): elsewhere,
            self.path(REAL).parent / "linked": elsewhere.parent,
        }.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)

    def everything(self) -> dict[str, object]:
        """All files, with content and time, and the directories outside of the store.

        Left out are the log, and what the daemon keeps for itself.
        """
        found: dict[str, object] = {}
        for directory, subdirectories, _ in os.walk(self.root):
            subdirectories[:] = [name for name in subdirectories if name not in (".staging", ".daemons", "spool")]
            if not directory.startswith(f"{self.daemon.store}/"):
                found[directory] = "a directory"
            for entry in os.scandir(directory):
                if entry.is_symlink() or entry.is_file():
                    status = entry.stat(follow_symlinks=False)
                    content = Path(entry).readlink() if entry.is_symlink() else Path(entry).read_bytes()
                    found[entry.path] = (status.st_mtime_ns, status.st_ino, content)
        del found[str(self.daemon.directory / "twistd.log")]
        return found

    def check_untouched(self, before: dict[str, object]) -> None:
        """Assert that everything is as it was `before`, and that nothing half-written is left."""
        eventually(lambda: not list(self.root.rglob(".staging/*")), "for staging files to go")
        now = self.everything()
        assert sorted(now.keys() ^ before.keys()) == []
        assert [path for path in now if now[path] != before[path]] == []


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
