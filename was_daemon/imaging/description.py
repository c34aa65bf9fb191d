"""Description of an original: its metadata, the sizes of its pages, the length of a recording, and facts from these."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from posixpath import splitext
from typing import BinaryIO

from was_daemon.imaging import tiff
from was_daemon.imaging.facts import facts_of
from was_daemon.imaging.file_types import HEAD_SIZE, RAW_EXTENSIONS, FileType, detect_file_type
from was_daemon.imaging.media_types import detect_media_type
from was_daemon.imaging.metadata import read_metadata
from was_daemon.imaging.recordings.read import read_recording
from was_daemon.imaging.sizes import upright_size
from was_daemon.model.descriptions import Description
from was_daemon.model.keys import MAX_PAGE
from was_daemon.model.media import is_recording, media_type


def describe(source: BinaryIO, name: str) -> Description:
    """Return the description of the file `source`, which is called `name`; of a damaged one, what can be read."""
    found = detect_media_type(source, name)
    is_played = is_recording(media_type(name)) or is_recording(found or "")
    recording = read_recording(source) if is_played else None
    metadata, pages = read_metadata(source), _pages(source, name)
    size = pages[0] if pages else upright_size(source, name)
    return Description(metadata, pages, recording, facts_of(found, size, len(pages), metadata, recording))


def _pages(source: BinaryIO, name: str) -> list[tuple[int, int]]:
    """Return the sizes of the pages of a document, as far as they can be read; [] for other files."""
    source.seek(0)
    file_type = detect_file_type(source.read(HEAD_SIZE))
    sizes: list[tuple[int, int]] = []
    with suppress(Exception):  # a damaged file makes whatever reads it raise anything
        if file_type is FileType.PDF:
            from was_daemon.imaging.pdf import page_sizes

            sizes.extend(islice(page_sizes(source), MAX_PAGE))
        elif file_type is FileType.TIFF and splitext(name)[1].lower() not in RAW_EXTENSIONS:
            sizes.extend(islice(_pages_of_tiff(source), MAX_PAGE))
    return sizes


def _pages_of_tiff(source: BinaryIO) -> Iterator[tuple[int, int]]:
    # Most workers never need it, and libvips takes memory.
    from was_daemon.imaging.vips import directories_of_tiff

    directories = tiff.directories(source)
    if tiff.is_raw(directories) or tiff.is_misread_by_libvips(directories):
        return
    # Not by libvips, which begins with the first directory for each page: 1,200 pages would take half a minute.
    numbers = set(tiff.page_directories(source, directories_of_tiff(source)))
    for number, size in enumerate(islice(tiff.upright_sizes(source), max(numbers) + 1)):
        if number in numbers:
            yield size
