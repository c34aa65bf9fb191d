"""Fixtures for the tests of the S3 store: `pytest_plugins = ["tests.support.s3stores"]`."""

from collections.abc import AsyncIterator

import pytest_twisted

from storage_plugins.s3 import S3Store, s3
from tests.support.s3servers import MakeS3Store, options


@pytest_twisted.async_yield_fixture
async def make_s3_store() -> AsyncIterator[MakeS3Store]:
    """Makes stores of a URL and other options; they are closed with the test."""
    stores: list[S3Store] = []

    def make(url: str, **changes: object) -> S3Store:
        stores.append(s3.create(options(url, **changes)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()
