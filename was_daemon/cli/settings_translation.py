"""Translation of the official server's settings into a configuration of the daemon."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from was_daemon.cli import toml
from was_daemon.cli.settings_file import SettingsFile
from was_daemon.cli.settings_kinds import is_flag, is_map, is_port, is_text, is_text_or_none, is_window
from was_daemon.cli.settings_remarks import REDACTION, is_fork, may_decide_access, remark_of
from was_daemon.config.weak_keys import advice, weakness

_PORT = 8080
_LOCAL = "127.0.0.1"
_PRIVILEGED = 1024
_ANY_IPV6 = "::"
_ANY_ADDRESS = ("0.0.0.0", "", "*")  # noqa: S104  # read, not bound to

_USED = frozenset(
    {
        *("KEY", "TIME_TOLERANCE", "REQUIRE_KEY_FOR_GET", "ALLOW_STATIC_FILE_ACCESS"),
        *("HOST", "PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "DEVELOPMENT_PORT", "IPADDR"),
        *("COLLECTION_DIRS", "BASE_DIR", "ORIG_DIR", "THUMB_DIR", "STORAGE_TYPE"),
    }
)


@attrs.frozen
class Translation:
    """Configuration made of the official server's settings.

    `key` is the attachment key, None without one that could be read. `attention` is how many settings an administrator
    has to look at, `access_unknown` has a warning for each of them that decides who has access, and `is_whole` says
    whether every collection was carried over.
    """

    text: str
    key: str | None
    attention: int
    access_unknown: list[str]
    is_whole: bool


def translate(found: SettingsFile, path: Path, environ: Mapping[str, str], key_file: Path | None) -> Translation:
    """Return the configuration that does what the settings in the file at `path` do; raises `UnicodeEncodeError`.

    With `key_file` the configuration names that file instead of the key.
    """
    return _Translator(found, path.resolve(), environ).translation(key_file)


class _Translator:
    """State of one translation. Each table has a method, which adds its lines, and a comment for what does not fit."""

    def __init__(self, found: SettingsFile, path: Path, environ: Mapping[str, str]) -> None:
        self._found = found
        self._path = path
        self._environ = environ
        self._lines: list[str] = []
        self._attention: set[str] = set()
        self._asked: set[str] = set()
        self._access_unknown: list[str] = []
        self._is_whole = True
        self._is_fork = is_fork((*found.values, *found.unread))

    def translation(self, key_file: Path | None) -> Translation:
        self._add(f"# The configuration of was_daemon, made of {toml.text(str(self._path))}.")
        self._left_out()
        key = self._server(key_file)
        self._store()
        self._collections()
        text = "\n".join(self._lines) + "\n"
        return Translation(text, key, len(self._attention), self._access_unknown, self._is_whole)

    def _add(self, *lines: str) -> None:
        self._lines += lines

    def _remark(self, text: str) -> None:
        self._add(f"# {_printable(text)}")

    def _ask(self, name: str, text: str) -> None:
        """Add a remark on a setting that an administrator has to look at."""
        self._attention.add(name)
        if text not in self._asked:
            self._asked.add(text)
            self._remark(text)

    def _warn(self, name: str, text: str) -> None:
        """Add a remark on a setting that decides who has access; it is printed, too."""
        self._ask(name, text)
        self._access_unknown.append(_printable(text))

    # -- looking up ----------------------------------------------------------------------------------------------------

    def _value(self, name: str, default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        """Return a setting; the default, with a remark, when it cannot be read or is not what is expected."""
        fault = self._fault(name, default, fits, expected)
        if fault is None:
            return self._found.values.get(name, default)
        self._ask(name, f"{name} {fault}. Set this yourself.")
        return default

    def _access(self, name: str, default: Any, closed: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        """Return a setting that decides who has access; `closed`, with a warning, when it is not certain."""
        fault = self._fault(name, default, fits, expected)
        if fault is None and self._found.assumed.get(name):
            fault = f"depends on ${', $'.join(self._found.assumed[name])} of that server (see --env)"
        if fault is None:
            return self._found.values.get(name, default)
        self._warn(name, f"{name} {fault}. It decides who has access: set this yourself.")
        return closed

    def _fault(self, name: str, default: Any, fits: Callable[[Any], bool], expected: str) -> str | None:
        line, value = self._found.unread_line(name), self._found.values.get(name, default)
        if line is not None:
            return f"cannot be read ({line})"
        return None if value == default or fits(value) else f"is not {expected}"

    def _text_value(self, name: str) -> str | None:
        value: str | None = self._value(name, None, is_text, "a text")
        return value

    def _port(self, *names: str) -> int:
        for name in names:
            value = self._value(name, None, is_port, "the number of a port")
            if value is not None:
                return int(value)
        return _PORT

    # -- tables --------------------------------------------------------------------------------------------------------

    def _left_out(self) -> None:
        """Add remarks on settings and environment variables without a counterpart in the configuration."""
        for name in dict.fromkeys(name for names in self._found.assumed.values() for name in names):
            self._remark(f"The settings ask for the variable {name} of the environment: taken as not set (see --env).")
        names = dict.fromkeys((*self._found.values, *self._found.unread))
        for name in names:
            if remark := remark_of(name):
                self._remark(remark)
            elif name.isupper() and name not in _USED:
                self._unknown(name)

    def _unknown(self, name: str) -> None:
        remark = f"{name} is not known to was_daemon, and left out."
        line = self._found.unread_line(name)
        if line is not None:
            remark += f" It cannot be read ({line})."
        if not may_decide_access(name):
            self._remark(remark)
        elif line is None:
            self._ask(name, f"{remark} It may decide who has access.")
        else:
            self._warn(name, f"{remark} It may decide who has access: set this yourself.")

    def _server(self, key_file: Path | None) -> str | None:
        """Add the table `[server]`, and return the key; None when there is none."""
        self._add("", "[server]")
        public_url = self._public_url()
        if public_url:
            self._add(f"public_url = {toml.text(public_url)}")
        self._listen(public_url)
        key = self._key(key_file)
        window = self._value("TIME_TOLERANCE", 150, is_window, "a number of seconds")
        self._add(f"token_window = {0 if window is None else int(window)}")
        needs_key = bool(self._access("REQUIRE_KEY_FOR_GET", False, True, is_flag, "True or False"))
        is_static = bool(self._access("ALLOW_STATIC_FILE_ACCESS", True, False, is_flag, "True or False"))
        if self._is_fork:
            self._warn("SQL", REDACTION)
            needs_key, is_static = True, False
        self._add(f"require_token_for_get = {str(needs_key).lower()}")
        if needs_key and is_static:
            self._remark("Below /static/ anybody can read, here as there.")
        self._add(f"static_access = {str(is_static).lower()}")
        return key

    def _listen(self, public_url: str | None) -> None:
        port = self._port("DEVELOPMENT_PORT", "PORT")
        address: str = self._access("IPADDR", None, _LOCAL, is_text, "a text") or ""
        if address in _ANY_ADDRESS:
            address = ""
        is_https = bool(public_url and public_url.startswith("https:"))
        if is_https:
            address = _LOCAL if address in ("", _ANY_IPV6) else address
            port = self._behind_a_proxy(port, address)
        elif not address:
            self._remark("Other machines, too, reach the daemon at this port.")
        kind = "tcp6" if ":" in address else "tcp"
        escaped = address.replace(":", "\\:")
        interface = f":interface={escaped}" if address else ""
        self._add(f"listen = {toml.texts([f'{kind}:{port}{interface}'])}")
        if is_https:
            self._add(f"trusted_proxies = {toml.texts([address])}")

    def _behind_a_proxy(self, port: int, address: str) -> int:
        """Return the port to listen on when clients use https, which the proxy in front of the daemon speaks."""
        self._remark(f"Clients use https: the daemon listens on {address} only, for a proxy on this machine.")
        self._remark("With a proxy on another machine, listen there, and name its address in trusted_proxies.")
        if port >= _PRIVILEGED:
            return port
        self._ask("PORT", f"Port {port} is the proxy's, which speaks https: have it pass requests on to port {_PORT}.")
        return _PORT

    def _public_url(self) -> str | None:
        host = self._text_value("SERVER_NAME") or self._text_value("HOST")
        if not host:
            self._remark(
                'Without an address of its own, the daemon tells clients the one they asked: public_url = "..."'
            )
            return None
        scheme, separator, rest = host.rpartition("://")
        port = self._port("SERVER_PORT", "PORT")
        if not separator:
            is_https = port == 443 or self._environ.get("HTTPS") == "true"
            scheme = self._text_value("SERVER_PROTOCOL") or ("https" if is_https else "http")
        # With https in front, port 80 is the one behind the proxy.
        is_usual = port in ((80, 443) if scheme == "https" else (80,))
        ending = "" if is_usual or ":" in rest else f":{port}"
        if re.match(r"(localhost|127\.[0-9.]+|\[::1\])(:|/|$)", rest.lower()):
            self._remark("Only programs on the same machine find it there.")
        return f"{scheme}://{rest}{ending}"

    def _key(self, key_file: Path | None) -> str | None:
        """Add the key, or the file that is to hold it, and return the key."""
        key: str | None = self._access("KEY", "", "", is_text_or_none, "a text")
        if key is None:
            self._ask("KEY", "KEY is None: anybody may write and delete. With a key_file, only Specify may.")
            self._add("insecure_no_key = true")
            return None
        if not key:
            self._warn("KEY", "There is no KEY: set key_file, or $ATTACHMENT_KEY.")
            return None
        if found := weakness(key):
            self._ask("KEY", f"{advice('The key', found)}.")
        if key_file:
            self._add(f"key_file = {toml.text(key_file)}")
        else:
            self._remark("Others must not read this file. --key-file puts the key into a file of its own.")
            self._add(f"key = {toml.text(key)}")
        return key

    def _store(self) -> None:
        self._add("", "[stores.main]", 'plugin = "filesystem"')
        kind = self._value("STORAGE_TYPE", "local", is_text, "a text")
        if kind != "local":
            self._ask("STORAGE_TYPE", f"STORAGE_TYPE is {kind}: there is no plugin for it here; see docs/plugins.md.")
        base = self._text_value("BASE_DIR")
        if base:
            self._add(f"path = {toml.text(self._path.parent / base)}")
        else:
            # No directory is made up: the daemon would serve another one, or none.
            self._ask("BASE_DIR", 'BASE_DIR names no directory. Set this yourself: path = "..."')
        for name, ours in (("ORIG_DIR", "originals"), ("THUMB_DIR", "thumbnails")):
            theirs = self._value(name, ours, is_text, "a text")
            if str(theirs).strip("/") != ours:
                remark = f"{name} is {theirs}; here it is {ours}: rename it, or make a symbolic link, wherever it is."
                self._ask(name, remark)
        self._add(f"layout = {toml.text('sharded' if self._is_fork else 'flat')}")

    def _collections(self) -> None:
        self._add("", "[collections]")
        directories = self._value("COLLECTION_DIRS", {}, is_map, "a map of names to directories") or {}
        entries = [line for name, directory in directories.items() if (line := self._collection(name, directory))]
        # All collections in one directory is what they are only when nobody tells them apart there.
        is_single = not directories and "COLLECTION_DIRS" not in self._attention
        self._is_whole = is_single or len(entries) == len(directories) > 0
        self._add(f"mode = {toml.text('single' if is_single else 'map')}", *entries)

    def _collection(self, name: Any, directory: Any) -> str | None:
        from was_daemon.model.errors import BadName
        from was_daemon.model.keys import check_directory

        what = f"collection {name}"
        if isinstance(name, str) and isinstance(directory, str) and directory.strip("/"):
            trimmed = directory.removesuffix("/")
            try:
                check_directory(trimmed)
            except BadName as error:
                self._ask(what, f"The collection {name} cannot be in {directory}: {error}.")
                return None
            return f"map.{toml.name(name)} = {{ directory = {toml.text(trimmed)} }}"
        self._ask(what, f"The collection {name} has no directory.")
        return None


def _printable(text: str) -> str:
    """Return `text` without what would end a comment or control a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
