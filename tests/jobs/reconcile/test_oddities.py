"""Contents and extensions that contradict each other, or do not."""

import pytest

from was_daemon.jobs.reconcile.oddities import oddity
from was_daemon.model.folding import folded


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", "image/png"),
        ("a.JPG", "text/html"),
        ("a.jpg", "text/plain"),
        ("a.jpg", "application/zip"),
        ("a.pdf", "application/zip"),
        ("a.pdf", "application/msword"),
        ("a.tif", "image/jpeg"),
        ("a.mp4", "audio/mpeg"),
        ("a.zip", "image/tiff"),
        ("a.cr2", "image/jpeg"),
    ],
)
def test_a_content_of_another_type_is_told_with_both(name: str, found: str) -> None:
    told = oddity(name, found)
    assert told is not None
    assert found in told


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.jpg", None),
        ("a", "image/jpeg"),
        ("a.unknown", "image/jpeg"),
        ("a.nef", "image/tiff"),
        ("a.dng", "image/tiff"),
        ("a.orf", "image/x-olympus-orf"),
        ("a.tif", "image/x-adobe-dng"),
        ("a.heic", "image/heif"),
        ("a.mp4", "video/quicktime"),
        ("a.docx", "application/zip"),
        ("a.kmz", "application/zip"),
        ("a.doc", "application/x-ole-storage"),
        ("a.csv", "text/plain"),
        ("a.svg", "application/xml"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.geojson", "application/json"),
    ],
)
def test_what_is_possible_is_not_reported(name: str, found: str | None) -> None:
    assert oddity(name, found) is None


@pytest.mark.parametrize(
    ("one", "other"), [("A.JPG", "a.jpg"), ("ä", "a\u0308"), ("Ä", "a\u0308"), ("STRASSE", "straße"), ("ﬁ", "FI")]
)
def test_names_that_differ_in_case_or_form_only_fold_to_the_same(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert folded("é") != folded("e")
