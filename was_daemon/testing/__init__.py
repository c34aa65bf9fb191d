"""Tools for authors of storage plugins.

`was_daemon.testing.contract.StoreContract` is the test suite that every store must pass (it needs pytest and
pytest-twisted). `was_daemon.testing.live.check_live` makes the harmless checks of it on a store in use.
`was_daemon.testing.memory.MemoryStore` is the shortest complete store.

Imports `model`, `telemetry` and `stores`; of the other rooms only `cli` may import it.
"""

import sys
from typing import Any

if "pytest" in sys.modules:
    import pytest

    # A broken promise is told with the values that were compared. Without pytest there are no tests to rewrite.
    pytest.register_assert_rewrite(f"{__name__}.contract")


def __getattr__(name: str) -> Any:
    """Import `StoreContract` when it is first used: it needs pytest, and the other tools do not."""
    if name == "StoreContract":
        from was_daemon.testing.contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
