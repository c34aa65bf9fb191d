"""Requests to one asset server: with tokens where it wants them, and errors that tell what is not as it should be."""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IPolicyForHTTPS

from was_daemon.model.errors import AssetError, AssetExists, AssetNotFound, StoreFailed, StoreUnavailable
from was_daemon.model.via import via
from was_daemon.stores.asset_server.form import Form
from was_daemon.stores.asset_server.options import AssetServerOptions
from was_daemon.stores.asset_server.signing import Signer, told_time
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin
from was_daemon.stores.http.body import Upload
from was_daemon.stores.http.client import HTTPRemote
from was_daemon.stores.http.transport import trusted_only

_MAX_TEXT = 1 << 16
"""Bytes that an answer without a file may have."""

_VALID_SECONDS = 60.0
"""Time for which the server's clock, and what collections it has, count as known."""

_UNKNOWN_COLLECTION = re.compile(b"unknown collection|no such collection|the collection is missing", re.IGNORECASE)
"""Pattern of the official server's answer, and of ours, when there is no such collection: 404, as for an asset."""

_UNTIMED = (400, 404, 415, 422, 500)
"""Statuses that decide something, and that the official server may send without its time, as does any other server."""

_SOMETHING_ELSE = "something else than an asset server answered"

_REFUSALS: Mapping[int, AssetError] = {
    400: StoreFailed("the asset server refuses this name"),
    403: StoreUnavailable("the asset server refuses the token: is the key the one it has?"),
    404: StoreUnavailable("the asset server has no such collection: see the setting collections of this store"),
    409: AssetExists("there is an asset of this name, and the asset server replaces none"),
}


class Server:
    """Client of the server in `options`, whose endpoints have the paths that all asset servers give them.

    The addresses in its discovery document are for its own clients. Where this daemon has taken its place, they lead
    here.
    """

    _log = Logger()

    def __init__(self, options: AssetServerOptions, clock: IReactorTime) -> None:
        self._options = options
        self._clock = clock
        self._connected: tuple[HTTPRemote, Signer] | None = None
        self._signs_reads = False
        self._timed = -_VALID_SECONDS
        self._collections: dict[str, float] = {}
        """Time at which each collection was last known to exist."""

    @property
    def signs_reads(self) -> bool:
        """Whether the server has asked for a token to read something."""
        return self._signs_reads

    def url(self, endpoint: str, fields: Mapping[str, str], public: bool = False) -> str:
        """Return the URL of a request, for clients if `public`."""
        address = self._options.public_address if public else self._options.address
        return f"{address}/{endpoint}?{urlencode(fields)}"

    async def ask(self, method: str, fields: Mapping[str, str], headers: dict[str, str] | None = None) -> Answer:
        """Send a request for a file; fire with the answer, whatever its status, whose body is to be read or closed.

        Raises `StoreFailed` for a file that did not come from an asset server, and `StoreUnavailable` if an error did
        not and there is no asset server at the address.
        """
        answer = await self._ask_with_token(method, fields, headers)
        try:
            await self._require_origin(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _require_origin(self, answer: Answer) -> None:
        """Raise an error if the answer counts and was given by a proxy or a login page, or if nobody ever finds one."""
        if answer.code == 508:
            raise StoreUnavailable("asset servers ask each other: one that is a store here has this one as a store")
        if told_time(answer) is not None:
            return
        if 200 <= answer.code < 300:
            # Asset servers tell the time with every file.
            kind = answer.header("Content-Type") or "no media type"
            self._log.warn(
                "{url} answered {code} with {kind}, but without X-Timestamp: is it a login page or a proxy?",
                url=self._options.address,
                code=answer.code,
                kind=kind,
            )
            raise StoreFailed(_SOMETHING_ELSE, f"HTTP status {answer.code} without X-Timestamp, {kind}")
        if answer.code in _UNTIMED:
            await self._ask_time()

    async def _ask_with_token(self, method: str, fields: Mapping[str, str], headers: dict[str, str] | None) -> Answer:
        name = fields["filename"]
        token = self._signer.token(name) if self._signs_reads else None
        answer = await self._ask(method, fields, headers, token)
        if answer.code != 403:
            return answer
        # The clock is right now: also answers of this kind tell the time.
        for each in self._signer.tokens(name):
            await answer.drain()
            answer = await self._ask(method, fields, headers, each)
            if answer.code != 403:
                # A login page would take any token.
                self._signs_reads = self._signs_reads or told_time(answer) is not None
                break
        return answer

    async def _ask(
        self, method: str, fields: Mapping[str, str], headers: dict[str, str] | None, token: str | None
    ) -> Answer:
        fields = {**fields, "token": token} if token else fields
        return await self._request(method, self.url("fileget", fields), headers)

    async def require_collection(self, fields: Mapping[str, str]) -> None:
        """Raise `StoreUnavailable` if it is not only the file that was not found, but the collection or the server."""
        collection = fields["coll"]
        if self._clock.seconds() < self._collections.get(collection, -_VALID_SECONDS) + _VALID_SECONDS:
            return
        # A HEAD does not tell what was not found.
        answer = await self.ask("GET", fields)
        if answer.code == 404 and _UNKNOWN_COLLECTION.search(await answer.content(_MAX_TEXT)):
            raise StoreUnavailable(
                f'the asset server has no collection called "{collection}"'
                if collection
                else "the asset server has collections: name the one of this store by the setting collection"
            )
        answer.close()
        # Any server answers 404 to addresses that it does not have.
        await self.learn_time()
        self.has_collection(collection)

    def has_collection(self, collection: str) -> None:
        """Note that the server has just shown that it has a collection."""
        self._collections[collection] = self._clock.seconds()

    async def learn_time(self) -> None:
        """Ask the server for its time, unless it has told it of late; raise `StoreUnavailable` if it tells none."""
        if self._clock.seconds() >= self._timed + _VALID_SECONDS:
            await self._ask_time()

    async def _ask_time(self) -> None:
        answer = await (await self._request("GET", f"{self._options.address}/web_asset_store.xml")).drain()
        if 300 <= answer.code < 400:
            raise StoreUnavailable("the asset server redirects to another address: enter that one as url")
        if answer.code >= 500:
            answer.expect(200)
        if not self._timed_by(answer):
            raise StoreUnavailable("no asset server answers at this address: none tells the time by X-Timestamp")

    async def check_key(self) -> None:
        """Raise `StoreUnavailable` unless the key is the server's; who only reads may do without one."""
        await self.learn_time()
        answer = await self._test_key()
        if answer.code == 403:
            # Its clock may have been set. It has just told the time.
            await answer.drain()
            answer = await self._test_key()
        text = await answer.content(_MAX_TEXT)
        if answer.code == 403 and not self._signer.has_key:
            if self._options.read_only:
                return
            raise StoreUnavailable("the asset server wants a key: set key_file")
        if answer.code == 403:
            raise StoreUnavailable("the asset server has another key than this store")
        answer.expect(200)
        _require_ok(text)

    async def _test_key(self) -> Answer:
        random = "was-daemon"
        fields = {"random": random} | ({"token": token} if (token := self._signer.token(random)) else {})
        return await self._request("GET", self.url("testkey", fields))

    async def takes_late_tokens(self) -> bool:
        """Fire with whether the age of a token is judged at the end of an upload.

        The official server does that. A daemon like this one wants a token that was made before the upload began, and
        says what is wrong with a question about no key.
        """
        answer = await (await self._request("GET", f"{self._options.address}/testkey")).drain()
        return answer.code != 400

    def token(self, name: str) -> str | None:
        """Return a token for `name`, None without a key."""
        return self._signer.token(name)

    async def post(self, endpoint: str, form: Form, upload: Upload) -> Answer:
        """Send a form; fire with the answer if the server has done what is asked of it.

        Raises `AssetNotFound` if a file that is to be deleted is not there.
        """
        answer = await self._request(
            "POST", f"{self._options.address}/{endpoint}", {"Content-Type": form.content_type}, upload
        )
        text = await answer.content(_MAX_TEXT)
        if answer.code == 404 and endpoint == "filedelete" and not _UNKNOWN_COLLECTION.search(text):
            raise AssetNotFound("no such asset")
        if refusal := _REFUSALS.get(answer.code):
            raise type(refusal)(*refusal.args)
        answer.expect(200)
        _require_ok(text)
        return answer

    async def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None, upload: Upload | None = None
    ) -> Answer:
        answer = await self._remote.request(method, url, {"Via": via(), **(headers or {})}, upload)
        self._timed_by(answer)
        return answer

    def _timed_by(self, answer: Answer) -> bool:
        if not self._signer.note(answer):
            return False
        self._timed = self._clock.seconds()
        return True

    @property
    def _remote(self) -> HTTPRemote:
        return self._connect()[0]

    @property
    def _signer(self) -> Signer:
        return self._connect()[1]

    def _connect(self) -> tuple[HTTPRemote, Signer]:
        if self._connected is None:
            options = self._options
            try:
                policy: IPolicyForHTTPS | None = trusted_only(options.ca_file.read_bytes()) if options.ca_file else None
                signer = Signer(options.secret(), self._clock.seconds)
            except (OSError, ValueError) as error:
                self._log.error("The files named for {url} are no use: {error}", url=options.address, error=error)
                raise StoreUnavailable("the store's key or certificate file cannot be read") from error
            self._connected = HTTPRemote(FixedLogin(None), options.timeout, policy), signer
        return self._connected

    async def close(self) -> None:
        """Close the idle connections."""
        if self._connected:
            await self._connected[0].close()


def _require_ok(text: bytes) -> None:
    """Raise `StoreFailed` unless a server has said that it has done what it was asked for.

    A proxy that asks for a login answers 200, too, with a page.
    """
    if text.strip() != b"Ok.":
        raise StoreFailed(_SOMETHING_ELSE)
