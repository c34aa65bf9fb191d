"""Connections of stores to a server that closes them."""

from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from tests.support.tls import self_signed
from was_daemon.stores.http.transport import client, connection_pool, trusted_only


class AnswersAndCloses(Protocol):
    """Server that promises to keep the connection, and closes it after its first answer."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        self.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_kept_connections_with_tls_that_the_server_has_closed_do_not_keep_a_store_from_closing(
    tmp_path: Path,
) -> None:
    certificate = self_signed(tmp_path)
    endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={certificate}")
    server = await endpoint.listen(Factory.forProtocol(AnswersAndCloses))
    pool = connection_pool(persistent=True)
    try:
        policy = trusted_only(certificate.read_bytes())
        answer = await client(policy, 5, pool).get(f"https://localhost:{server.getHost().port}/")
        assert answer.code == 502
        (kept,) = pool._connections.values()
        while kept[0].state != "CONNECTION_LOST":
            await deferLater(IReactorTime(reactor), 0.001)
        await pool.closeCachedConnections()
    finally:
        await server.stopListening()
