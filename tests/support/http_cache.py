"""The cache of a browser: as much of RFC 9111 and RFC 5861 as the answers of the daemon ask for."""

import re

import attrs

from tests.support.client import Answer, Client


@attrs.define
class _Stored:
    answer: Answer
    at: float

    def seconds(self, directive: str) -> int:
        """The value of a directive of Cache-Control, 0 without it."""
        found = re.search(rf"(?:^|[ ,]){directive}=(\d+)", self.answer.headers["Cache-Control"] or "")
        return int(found[1]) if found else 0


class BrowserCache:
    """A browser that shows thumbnails; `now` is its clock.

    `waited` counts the pictures that were shown only after an answer, `behind` the requests behind the scenes.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stored: dict[tuple[str, int], _Stored] = {}
        self.now = 0.0
        self.waited = 0
        self.behind = 0

    async def show(self, name: str, scale: int) -> bytes:
        """The bytes that are shown, from the cache where they may be."""
        stored = self._stored.get((name, scale))
        fresh = stored.seconds("max-age") if stored else 0
        if not stored or self.now - stored.at >= fresh + stored.seconds("stale-while-revalidate"):
            self.waited += 1
            return (await self._fetch(name, scale)).body
        shown = stored.answer.body
        if self.now - stored.at >= fresh:
            self.behind += 1
            await self._fetch(name, scale)
        return shown

    async def _fetch(self, name: str, scale: int) -> Answer:
        stored = self._stored.pop((name, scale), None)
        headers = {"If-None-Match": stored.answer.headers["ETag"]} if stored else None
        answer = await self._client.thumbnail(name, scale, headers=headers)
        if answer.status == 304 and stored:
            # The headers of a 304 replace those that are kept (RFC 9111, section 3.2).
            answer = Answer(200, answer.headers, stored.answer.body)
        if answer.status == 200 and "no-store" not in answer.headers["Cache-Control"]:
            self._stored[name, scale] = _Stored(answer, self.now)
        return answer
