"""Pillow, as this process has set it."""

from io import BytesIO

import pytest
from PIL import Image

from tests.support.images import jpeg
from was_daemon.imaging.file_types import FileType
from was_daemon.imaging.pillow import decode


def test_a_file_that_is_cut_off_is_accepted_only_where_that_is_asked_for() -> None:
    content = jpeg((600, 400))
    cut = content[: len(content) // 2]
    assert decode(BytesIO(cut), FileType.JPEG, 600, 10**6, tolerant=True).size == (600, 400)
    with pytest.raises(OSError, match="truncated"):
        Image.open(BytesIO(cut)).load()
