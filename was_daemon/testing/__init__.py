"""Tools for whoever writes a storage plugin.

`was_daemon.testing.contract.StoreContract` is the test suite that every store must pass (it needs pytest and
pytest-twisted), `was_daemon.testing.live.check_live` the harmless part of it for a store in use, and
`was_daemon.testing.memory.MemoryStore` the shortest complete store.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`StoreContract`, only when it is asked for: it needs pytest, and the other tools do not."""
    if name == "StoreContract":
        from was_daemon.testing.contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
