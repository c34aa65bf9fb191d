"""Numbers of bytes for people."""

import pytest

from was_daemon.model.sizes import readable


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (500 << 30, "500 GiB"),
        (1536 << 20, "1.5 GiB"),
        (8 << 60, "8 EiB"),
    ],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text
