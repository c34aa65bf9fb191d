"""Media types by names (contract, section 3)."""

import pytest

from was_daemon.model.media import media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("label.TXT", "text/plain"),
        ("balance.log", "text/plain"),
        ("alignment.nex", "text/plain"),
        ("barcodes.fasta", "text/plain"),
        ("README.md", "text/markdown"),
        ("loans.csv", "text/csv"),
        ("loans.tsv", "text/tab-separated-values"),
        ("permit.rtf", "application/rtf"),
        ("locality.gpx", "application/gpx+xml"),
        ("locality.geojson", "application/geo+json"),
        ("locality.kml", "application/vnd.google-earth.kml+xml"),
        ("record.json", "application/json"),
        ("record.yaml", "application/yaml"),
        ("skull.stl", "model/stl"),
        ("song.flac", "audio/flac"),
        ("song.ogg", "audio/ogg"),
        ("herbarium.CR3", "image/x-canon-cr3"),
        ("herbarium.jpx", "image/jpx"),
        ("archive.tar.gz", "application/gzip"),
    ],
)
def test_what_collections_keep_has_its_type_on_every_machine(name: str, expected: str) -> None:
    assert media_type(name) == expected
