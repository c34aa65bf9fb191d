"""Requests that a server forgets."""

import asyncio
from typing import Any, cast
from unittest.mock import Mock

import pytest

from was_daemon.model.errors import StoreTimeout
from was_daemon.stores.sftp.session import SFTPSession

PATIENCE = 0.05


async def forget_one_of_many() -> None:
    lost = asyncio.Event()
    connection = Mock(abort=lost.set)

    async def never_answered() -> None:
        await lost.wait()
        raise ConnectionAbortedError

    async def answered() -> None:
        await asyncio.sleep(PATIENCE / 5)

    client = Mock(is_lost=False)
    session = SFTPSession(connection, client, cast(Any, Mock()), True, PATIENCE, "a server")
    forgotten = asyncio.create_task(session.request("read", never_answered))
    while session.alive:
        await session.request("read", answered)
    await forgotten


def test_an_answer_that_never_comes_is_not_waited_for_because_others_come() -> None:
    with pytest.raises(StoreTimeout):
        asyncio.run(asyncio.wait_for(forget_one_of_many(), 60))
