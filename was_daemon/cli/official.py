"""From the official server's settings to our configuration."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from was_daemon.cli import toml
from was_daemon.cli.settings_file import SettingsFile
from was_daemon.config.weak_keys import advice, weakness

_PORT = 8080
_LOCAL = "127.0.0.1"
_LARGEST_PORT = 65535
_PRIVILEGED = 1024
_ANY_ADDRESS = ("0.0.0.0", "", "*")  # noqa: S104  # read, not bound to

_USED = frozenset(
    {
        *("KEY", "TIME_TOLERANCE", "REQUIRE_KEY_FOR_GET", "ALLOW_STATIC_FILE_ACCESS"),
        *("HOST", "PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "DEVELOPMENT_PORT", "IPADDR"),
        *("COLLECTION_DIRS", "BASE_DIR", "ORIG_DIR", "THUMB_DIR", "STORAGE_TYPE"),
    }
)
_NEEDLESS = {
    "DEBUG": "start the daemon with DEBUG_MODE=true in its environment for more in its log",
    "DEBUG_APP": "start the daemon with DEBUG_MODE=true in its environment for more in its log",
    "SERVER": "the daemon is its own HTTP server",
    "CAN_THUMBNAIL": "the daemon makes thumbnails of these and of more kinds of files",
}


@attrs.frozen
class Translation:
    """Our configuration; `key` is the attachment key, None when the settings have none.

    `attention` is how many settings somebody has to look at, `is_whole` whether nothing was lost without which the
    daemon would serve something else.
    """

    text: str
    key: str | None
    attention: int
    is_whole: bool


def translate(found: SettingsFile, path: Path, environ: Mapping[str, str], key_file: Path | None) -> Translation:
    """The configuration that does what the settings in the file at `path` do; raises `UnicodeEncodeError`.

    With `key_file` the configuration names that file instead of the key.
    """
    translator = _Translator(found, path.resolve(), environ)
    return translator.translation(key_file)


class _Translator:
    """One translation. A method for each table returns its lines; what does not fit becomes a comment in its place."""

    def __init__(self, found: SettingsFile, path: Path, environ: Mapping[str, str]) -> None:
        self._found = found
        self._path = path
        self._environ = environ
        self._lines: list[str] = []
        self._attention: set[str] = set()
        self._asked: set[str] = set()
        self._is_whole = True

    def translation(self, key_file: Path | None) -> Translation:
        key = self._text_value("KEY")
        self._add(f"# The configuration of was_daemon, made of {toml.text(str(self._path))}.")
        self._left_out()
        self._server(key, key_file)
        self._store()
        self._collections()
        return Translation("\n".join(self._lines) + "\n", key, len(self._attention), self._is_whole)

    def _add(self, *lines: str) -> None:
        self._lines += lines

    def _remark(self, text: str) -> None:
        printable = "".join(character if character.isprintable() else " " for character in text)
        self._add(f"# {printable}")

    def _ask(self, name: str, text: str) -> None:
        """A remark on a setting that somebody has to look at."""
        self._attention.add(name)
        if text not in self._asked:
            self._asked.add(text)
            self._remark(text)

    # -- looking up ----------------------------------------------------------------------------------------------------

    def _value(self, name: str, default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        """The value of a setting; the default, and a comment, when it is not what it should be."""
        if name in self._found.unread:
            self._ask(name, f"{name} cannot be told: {self._found.unread[name]}. Set this yourself.")
            return default
        value = self._found.values.get(name, default)
        if value == default or fits(value):
            return value
        self._ask(name, f"{name} is not {expected}. Set this yourself.")
        return default

    def _text_value(self, name: str) -> str | None:
        value = self._found.values.get(name)
        return value if isinstance(value, str) else None

    def _port(self, *names: str) -> int:
        for name in names:
            value = self._found.values.get(name)
            text = str(value).strip()
            if text.isascii() and text.isdigit() and 0 < int(text) <= _LARGEST_PORT:
                return int(text)
            if name in self._found.unread:
                self._ask(name, f"{name} cannot be told: {self._found.unread[name]}. Set this yourself.")
            elif value is not None:
                self._ask(name, f"{name} is not the number of a port. Set this yourself.")
        return _PORT

    # -- tables --------------------------------------------------------------------------------------------------------

    def _left_out(self) -> None:
        """What concerns no key of ours."""
        for name in self._found.defaults:
            self._remark(f"The settings ask for the variable {name} of the environment: taken as not set (see --env).")
        names = dict.fromkeys((*self._found.values, *self._found.unread))
        for name in names:
            if name in _NEEDLESS:
                self._remark(f"{name} is not needed: {_NEEDLESS[name]}.")
            elif name.isupper() and name not in _USED:
                self._remark(f"{name} is not known to was_daemon, and left out.")

    def _server(self, key: str | None, key_file: Path | None) -> None:
        self._add("", "[server]")
        public_url = self._public_url()
        self._listen(public_url)
        if public_url:
            self._add(f"public_url = {toml.text(public_url)}")
        self._key(key, key_file)
        window = self._value("TIME_TOLERANCE", 150, _is_window, "a number of seconds")
        self._add(f"token_window = {0 if window is None else int(window)}")
        needs_key = bool(self._value("REQUIRE_KEY_FOR_GET", False, _is_flag, "True or False"))
        is_static = bool(self._value("ALLOW_STATIC_FILE_ACCESS", True, _is_flag, "True or False"))
        self._add(f"require_token_for_get = {_flag(needs_key)}")
        if needs_key and is_static:
            self._remark("Below /static/ anybody can read, here as there.")
        self._add(f"static_access = {_flag(is_static)}")

    def _listen(self, public_url: str | None) -> None:
        port = self._port("DEVELOPMENT_PORT", "PORT")
        address = self._text_value("IPADDR") or ""
        if address in _ANY_ADDRESS:
            address = ""
        is_https = bool(public_url and public_url.startswith("https:"))
        if is_https:
            port = self._behind_a_proxy(port)
            address = address or _LOCAL
        kind = "tcp6" if ":" in address else "tcp"
        escaped = address.replace(":", "\\:")
        interface = f":interface={escaped}" if address else ""
        self._add(f"listen = {toml.texts([f'{kind}:{port}{interface}'])}")
        if is_https:
            self._add(f"trusted_proxies = {toml.texts([address])}")

    def _behind_a_proxy(self, port: int) -> int:
        """Where to listen when clients use https, which the daemon does not speak on such a port."""
        self._remark("Clients use https: this is for the proxy on this machine only, which says for whom it asks.")
        self._remark("With a proxy on another machine, listen there, and name its address in trusted_proxies.")
        if port >= _PRIVILEGED:
            return port
        self._ask("PORT", f"Port {port} is the proxy's, which speaks https: have it pass requests on to port {_PORT}.")
        return _PORT

    def _public_url(self) -> str | None:
        for name in ("SERVER_NAME", "HOST"):
            if name in self._found.unread:
                self._ask(name, f"{name} cannot be told: {self._found.unread[name]}.")
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
        if rest in ("localhost", "127.0.0.1"):
            self._remark("Only programs on the same machine find it there.")
        return f"{scheme}://{rest}{ending}"

    def _key(self, key: str | None, key_file: Path | None) -> None:
        if "KEY" in self._found.unread or "KEY" not in self._found.values:
            self._ask("KEY", f"KEY cannot be told: {self._reason('KEY')}. Set key_file, or $ATTACHMENT_KEY.")
        elif self._found.values["KEY"] is None:
            self._ask("KEY", "KEY is None: anybody may write and delete. With a key_file, only Specify may.")
            self._add("insecure_no_key = true")
        elif key is None:
            self._ask("KEY", "KEY is not a text. Set key_file, or $ATTACHMENT_KEY.")
        else:
            if found := weakness(key):
                self._ask("KEY", f"{advice('The key', found)}.")
            if key_file:
                self._add(f"key_file = {toml.text(key_file)}")
            else:
                self._remark("Others must not read this file. --key-file puts the key into a file of its own.")
                self._add(f"key = {toml.text(key)}")

    def _reason(self, name: str) -> str:
        """Why a setting has no value."""
        return self._found.unread.get(name, "the file does not assign it")

    def _store(self) -> None:
        self._add("", "[stores.main]", 'plugin = "filesystem"')
        kind = self._value("STORAGE_TYPE", "local", _is_text, "a text")
        if kind != "local":
            self._ask("STORAGE_TYPE", f"STORAGE_TYPE is {kind}: there is no plugin for it here; see docs/plugins.md.")
        base = self._text_value("BASE_DIR")
        if base:
            self._add(f"path = {toml.text(self._path.parent / base)}")
        else:
            # None is made up: the daemon would serve another directory, or none.
            is_told = "BASE_DIR" in self._found.values
            reason = "is not a text" if is_told else f"cannot be told: {self._reason('BASE_DIR')}"
            self._ask("BASE_DIR", f'BASE_DIR {reason}. Set this yourself: path = "..."')
        for name, ours in (("ORIG_DIR", "originals"), ("THUMB_DIR", "thumbnails")):
            theirs = self._value(name, ours, _is_text, "a text")
            if str(theirs).strip("/") != ours:
                remark = f"{name} is {theirs}; here it is {ours}: rename it, or make a symbolic link, wherever it is."
                self._ask(name, remark)
        self._add('layout = "flat"')

    def _collections(self) -> None:
        self._add("", "[collections]")
        directories = self._value("COLLECTION_DIRS", {}, _is_map, "a map of names to directories") or {}
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


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int) or value is None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_window(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and value > 0)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) or value is None
