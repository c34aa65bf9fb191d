"""What manifests tell of metadata: readable labels, rights that have a URI, and nothing of places."""

import pytest

from was_daemon.web.iiif.descriptive import descriptive_properties, rights_uri

PLACES = ("Location", "City", "State", "Country", "CountryCode", "LocationShown", "LocationCreated", "Coverage")
POSITIONS = ("GPSLatitude", "GPSLongitude", "GPSAltitude")


def properties(**groups: dict[str, str]) -> dict[str, object]:
    return descriptive_properties("a.jpg", [{"Name": name, "Fields": fields} for name, fields in groups.items()])


def test_an_asset_without_metadata_has_its_name() -> None:
    assert properties() == {"label": {"none": ["a.jpg"]}}


def test_what_people_have_written_comes_before_what_cameras_do() -> None:
    told = properties(
        Image={"Make": "Canon", "Model": "Canon EOS M50", "Artist": "camera owner", "Copyright": "(c) Museum"},
        EXIF={"DateTimeOriginal": "2018:02:21 12:08:56", "ExposureTime": "1/80", "FNumber": "7/2"},
        XMP={"Title": "Felis catus", "Description": "A cat", "Creator": "A; B", "Rights": "CC BY 4.0, Museum"},
        IPTC={"Title": "other", "Credit": "Museum", "Keywords": "Felidae; pelage"},
    )
    assert told["label"] == {"none": ["Felis catus"]} and told["summary"] == {"none": ["A cat"]}
    assert [(each["label"]["en"], each["value"]["none"]) for each in told["metadata"]] == [  # type: ignore[attr-defined]
        (["Creator"], ["A; B"]),
        (["Date"], ["2018-02-21 12:08:56"]),
        (["Keywords"], ["Felidae; pelage"]),
        (["Camera"], ["Canon EOS M50"]),
        (["Exposure time"], ["1/80"]),
        (["Aperture"], ["7/2"]),
    ]
    assert told["rights"] == "http://creativecommons.org/licenses/by/4.0/"
    assert told["requiredStatement"] == {
        "label": {"en": ["Attribution"]},
        "value": {"none": ["CC BY 4.0, Museum", "Museum", "(c) Museum"]},
    }


def test_a_camera_is_named_once() -> None:
    for make, model, camera in [
        ("Canon", "Canon EOS M50", "Canon EOS M50"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("Phase One", "IQ4 150MP", "Phase One IQ4 150MP"),
        ("", "DMC-LX3", "DMC-LX3"),
    ]:
        told = properties(Image={"Make": make, "Model": model})
        assert told["metadata"] == [{"label": {"en": ["Camera"]}, "value": {"none": [camera]}}]
    assert "metadata" not in properties(Image={"Make": "Canon"})


def test_nothing_is_told_of_places_people_or_what_nobody_knows() -> None:
    secret = dict.fromkeys((*PLACES, *POSITIONS, "Contact", "SerialNumber"), "secret")
    told = properties(GPS=secret, XMP=secret, IPTC=secret, EXIF=secret, Image=secret, MakerNote=secret)
    assert "secret" not in str(told)


def test_text_is_no_html() -> None:
    told = properties(XMP={"Title": "<img src=x onerror=alert(1)>", "Description": "a < b > c"})
    assert told["label"] == {"none": ["<img src=x onerror=alert(1)> "]}
    assert told["summary"] == {"none": ["a < b > c"]}


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("https://creativecommons.org/licenses/by-nc/4.0/", "http://creativecommons.org/licenses/by-nc/4.0/"),
        ("see http://www.creativecommons.org/licenses/BY/3.0", "http://creativecommons.org/licenses/by/3.0/"),
        ("http://creativecommons.org/licenses/by/3.0/us/", "http://creativecommons.org/licenses/by/3.0/us/"),
        ("https://creativecommons.org/licenses/by/4.0/deed.de", "http://creativecommons.org/licenses/by/4.0/"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "http://creativecommons.org/licenses/by/4.0/"),
        (
            "http://creativecommons.org/publicdomain/zero/1.0/",
            "http://creativecommons.org/publicdomain/zero/1.0/",
        ),
        ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/"),
        ("© Museum, CC BY-NC-SA 4.0", "http://creativecommons.org/licenses/by-nc-sa/4.0/"),
        ("CC-BY-4.0", "http://creativecommons.org/licenses/by/4.0/"),
        ("https://rightsstatements.org/page/InC/1.0/?language=en", "http://rightsstatements.org/vocab/InC/1.0/"),
        ("http://rightsstatements.org/vocab/NoC-US/1.0/", "http://rightsstatements.org/vocab/NoC-US/1.0/"),
        ("http://rightsstatements.org/vocab/Other/1.0/", None),
        ("http://creativecommons.org/licenses/by-all/4.0/", None),
        ("http://creativecommons.org/licenses/by/5.0/", None),
        ("CC BY", None),
        ("https://museum.example/licence", None),
        ("All rights reserved", None),
    ],
)
def test_rights_are_only_the_uris_that_the_specification_allows(text: str, uri: str | None) -> None:
    assert rights_uri(text) == uri
