"""The TCP connection below SSH, between asyncio and asyncssh. Runs in the event loop.

asyncssh sends each packet by a system call of its own, and moves all that was received and not read yet for each packet
that it reads. Here small packets are sent together, and what was received is handed over in portions.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from was_daemon.stores.sftp.offers import OfferReader, disagreement

_BUNDLE = 128 << 10
"""Bytes that are sent without waiting for more."""

_PORTION = 32 << 10
"""Bytes received that are handed over at a time."""


class _Bundler(asyncio.Transport):
    """Transport that sends together what is written in one pass of the event loop."""

    def __init__(self, transport: asyncio.Transport, ours: OfferReader) -> None:
        super().__init__()
        self._transport = transport
        self._ours = ours
        self._loop = asyncio.get_running_loop()
        self._bundle: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._bundle:
            self._loop.call_soon(self._send)
        self._bundle.append(bytes(data))
        self._size += len(data)
        if self._size >= _BUNDLE:
            self._send()

    def _send(self) -> None:
        if self._bundle:
            data = b"".join(self._bundle)
            self._bundle, self._size = [], 0
            self._ours.add(data)
            self._transport.write(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


class _Below(asyncio.Protocol):
    """Protocol below asyncssh's."""

    def __init__(self, connection: asyncio.Protocol, ours: OfferReader, theirs: OfferReader) -> None:
        self._connection = connection
        self._ours = ours
        self._theirs = theirs
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.eof_received = connection.eof_received  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(_Bundler(cast(asyncio.Transport, transport), self._ours))

    def data_received(self, data: bytes) -> None:
        self._theirs.add(data)
        for start in range(0, len(data), _PORTION):
            self._connection.data_received(data[start : start + _PORTION])


class Line:
    """Maker of the connection on which asyncssh speaks SSH, which it calls a tunnel."""

    def __init__(self) -> None:
        self._ours = OfferReader()
        self._theirs = OfferReader()

    def disagreement(self) -> str | None:
        """Return for what the sides have no algorithm in common, with the lists of both, once both have told."""
        if self._ours.offer is None or self._theirs.offer is None:
            return None
        return disagreement(self._ours.offer, self._theirs.offer)

    async def create_connection(
        self, make: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, asyncio.Protocol]:
        """Connect to `host`; fire with the transport and asyncssh's protocol."""
        connection = make()
        below = _Below(connection, self._ours, self._theirs)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: below, host, port)
        return transport, connection
