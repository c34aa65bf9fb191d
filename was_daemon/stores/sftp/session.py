"""One SFTP session: the store's errors for those of SFTP, and a time-out. Runs in the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import asyncssh
from twisted.logger import Logger

from was_daemon.model.errors import AssetError, AssetNotFound, NoSpace, StoreFailed, StoreTimeout, StoreUnavailable
from was_daemon.stores.sftp.login import LoginClient

T = TypeVar("T")

_MISSING = (
    asyncssh.FX_NO_SUCH_FILE,
    asyncssh.FX_NO_SUCH_PATH,
    asyncssh.FX_NOT_A_DIRECTORY,
    asyncssh.FX_NO_MEDIA,
)
"""Codes for what is not there; all but the first are of later drafts, and come from servers of SFTP 3 all the same."""

_FULL = (asyncssh.FX_NO_SPACE_ON_FILESYSTEM, asyncssh.FX_QUOTA_EXCEEDED)
_DENIED = (asyncssh.FX_PERMISSION_DENIED, asyncssh.FX_WRITE_PROTECT)
_LOST = (asyncssh.FX_NO_CONNECTION, asyncssh.FX_CONNECTION_LOST)

_LOOK = "look at a file (LSTAT)"

NEVER_THERE = b".was-is-never-there"
"""Name that no file has."""


class Refused(StoreFailed):
    """The server refused a request with a `code` that says little: what is true has to be looked up."""

    def __init__(self, message: str, reason: str, code: int) -> None:
        super().__init__(message, reason)
        self.code = code


class Denied(StoreUnavailable):
    """The server denied permission, or uses that code for something else."""


REFUSALS = (AssetNotFound, Refused, Denied)
"""Errors after which the connection still works, and what is true can be looked up."""


class SFTPSession:
    """Requests of one SFTP session, which is dropped when the server leaves them unanswered for `patience` seconds.

    Requests raise `AssetNotFound`, `Refused`, `Denied`, `NoSpace`, `StoreUnavailable`, `StoreTimeout`.
    An idle connection is tried every `patience` seconds.
    """

    _log = Logger()

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        client: LoginClient,
        sftp: asyncssh.SFTPClient,
        can_replace: bool,
        patience: float,
        server: str,
    ) -> None:
        self.sftp = sftp
        self.can_replace = can_replace
        """Whether the server announces that it can rename a file over another."""
        self.software = str(connection.get_extra_info("server_version", ""))
        """What the server calls itself."""
        self._connection = connection
        self._client = client
        self._patience = patience
        self._server = server
        self._problem: AssetError = StoreUnavailable("the connection to the store was lost")
        self.loop = asyncio.get_running_loop()
        self._moved = self.loop.time()
        self._waiting = 0
        self._given_up = False
        self._code_for_missing: int | None = None
        self._watching = asyncio.create_task(self._watch())
        self._trial: asyncio.Task[asyncssh.SFTPAttrs] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        """Whether the connection is still there; may be asked outside of the event loop."""
        return not self._given_up and not self._client.is_lost

    async def request(self, what: str, ask: Callable[[], Awaitable[T]], path: bytes = b"") -> T:
        """Return the server's answer to the request that `ask` makes.

        `what` the server is to do, and `path`, if the request has one, are told in errors; the path only to operators.
        """
        if not self.alive:
            raise self._lost()
        if not self._waiting:
            self._moved = self.loop.time()
        self._waiting += 1
        try:
            return await ask()
        except asyncssh.SFTPEOFError:
            raise EOFError from None
        except asyncssh.SFTPError as error:
            raise self._error(what, path, error) from None
        except (asyncssh.Error, OSError):
            raise self._lost() from None
        except ValueError:
            raise StoreFailed("the file is not open any more") from None
        finally:
            self._waiting -= 1
            self._moved = self.loop.time()

    async def open(self, path: bytes, flags: int) -> asyncssh.SFTPClientFile:
        """Open a file."""

        async def ask() -> asyncssh.SFTPClientFile:
            # One request for each read or write: how many there are at a time is decided by the transfers.
            return await self.sftp.open(path, flags, encoding=None, block_size=0)

        return await self.request("open a file (OPEN)", ask, path)

    def close_soon(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file, without waiting for the server."""
        closing = asyncio.create_task(self.request("close a file (CLOSE)", file.close))
        # The loop holds its tasks weakly.
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        closing.add_done_callback(ignore)

    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """Return the attributes of a file, of a link the link's own. Raises `AssetNotFound`, whatever its code."""
        try:
            return await self.request(_LOOK, lambda: self.sftp.lstat(path), path)
        except Refused as error:
            if error.code != asyncssh.FX_OP_UNSUPPORTED and error.code == await self._says_for_missing():
                raise AssetNotFound("no such asset") from None
            raise

    async def exists(self, path: bytes) -> bool:
        """Return whether there is anything at `path`."""
        try:
            await self.lstat(path)
        except AssetNotFound:
            return False
        return True

    async def remove(self, path: bytes) -> None:
        """Remove a file or a link. What is gone afterwards is removed, whatever the server says."""
        try:
            await self.request("remove a file (REMOVE)", lambda: self.sftp.remove(path), path)
        except (Refused, Denied):
            if await self.exists(path):
                raise

    async def _says_for_missing(self) -> int:
        """Return the code with which this server says that there is no such file."""
        if self._code_for_missing is None:
            try:
                await self.request(_LOOK, lambda: self.sftp.lstat(NEVER_THERE), NEVER_THERE)
                self._code_for_missing = asyncssh.FX_OK
            except AssetNotFound:
                self._code_for_missing = asyncssh.FX_NO_SUCH_FILE
            except Refused as error:
                self._code_for_missing = error.code
        return self._code_for_missing

    def _error(self, what: str, path: bytes, error: asyncssh.SFTPError) -> AssetError:
        code = error.code
        if code in _LOST:
            return self._lost()
        if code in _MISSING:
            return AssetNotFound("no such asset")
        of = f" for {path.decode(errors='replace')!r}" if path else ""
        said = f", {error.reason!r}," if error.reason else ""
        reason = f"the server answers with code {code}{said}{of}"
        self._log.debug("{host} was to {what}: {reason}", host=self._server, what=what, reason=reason)
        if code in _DENIED:
            return Denied(f"the store denied permission to {what}", reason)
        if code in _FULL or "no space left" in error.reason.lower():
            return NoSpace("no space left in the store", reason)
        if code == asyncssh.FX_OP_UNSUPPORTED:
            return Refused(f"the store cannot {what}", reason, code)
        return Refused(f"the store failed to {what}", reason, code)

    def _lost(self) -> AssetError:
        return type(self._problem)(*self._problem.args)

    async def _watch(self) -> None:
        while self.alive:
            quiet = self.loop.time() - self._moved
            if quiet < self._patience:
                await asyncio.sleep(self._patience - quiet)
            elif self._waiting:
                self._problem = StoreTimeout("the store made no progress in time")
                self._log.warn("the connection to {host} is given up: {why}", host=self._server, why=self._problem)
                self.abort()
            else:
                self._trial = asyncio.create_task(self.request(_LOOK, lambda: self.sftp.lstat(b".")))
                self._trial.add_done_callback(ignore)
                await asyncio.sleep(self._patience)

    def abort(self) -> None:
        """Close the connection at once; requests under way fail. May be called outside of the event loop."""
        self._given_up = True
        with suppress(RuntimeError):  # the loop has ended, and the connection with it
            self.loop.call_soon_threadsafe(self._connection.abort)


async def read(session: SFTPSession, file: asyncssh.SFTPClientFile, offset: int, length: int) -> bytes:
    """Return what the server reads from an open file at once: `length` bytes or fewer, none at its end."""
    # The annotation of asyncssh says str, which is true of files with an encoding.
    return cast(bytes, await session.request("read a file (READ)", lambda: file.read(length, offset)))


async def write(session: SFTPSession, file: asyncssh.SFTPClientFile, offset: int, data: bytes) -> int:
    """Write `data` to an open file, by one request."""
    return await session.request("write a file (WRITE)", lambda: file.write(data, offset))


def ignore(task: "asyncio.Task[Any]") -> None:
    """Take note of the outcome of a task that nobody waits for, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()
