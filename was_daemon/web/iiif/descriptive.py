"""What a manifest tells people of an asset, from its caption and its metadata (Presentation API 3.0, section 3.1).

Only the fields that are listed here are told. Those about places are not: positions of rare species are kept from the
public, and names of places come near them; nor are addresses of people.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from was_daemon.model.captions import NO_CAPTION, Caption
from was_daemon.model.descriptions import Metadata

_WRITTEN = ("XMP", "IPTC")
"""Groups that people have written; what means the same has the same name in both."""

_CAMERA = ("", "Camera")
"""The field that is made of the names of maker and model."""

_LABELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Creator", (*((group, "Creator") for group in _WRITTEN), ("Image", "Artist"))),
    (
        "Date",
        (("EXIF", "DateTimeOriginal"), ("XMP", "DateTimeOriginal"), ("XMP", "DateCreated"), ("XMP", "CreateDate")),
    ),
    ("Keywords", tuple((group, "Keywords") for group in _WRITTEN)),
    ("Identifier", (("XMP", "Identifier"),)),
    ("Publisher", (("XMP", "Publisher"),)),
    ("Source", tuple((group, "Source") for group in _WRITTEN)),
    ("Camera", (_CAMERA,)),
    ("Lens", (("EXIF", "LensModel"), ("MakerNote", "LensModel"), ("XMP", "LensModel"), ("XMP", "Lens"))),
    ("Exposure time", (("EXIF", "ExposureTime"), ("XMP", "ExposureTime"))),
    ("Aperture", (("EXIF", "FNumber"), ("XMP", "FNumber"))),
    ("Focal length", (("EXIF", "FocalLength"), ("XMP", "FocalLength"))),
    ("ISO speed", (("EXIF", "ISOSpeedRatings"),)),
)
"""Labels, and the fields with their values, of which the first counts that there is."""

_CAMERA_NAMES = (("Image", "Make"), ("Image", "Model")), (("XMP", "Make"), ("XMP", "Model"))
_TITLES = (*((group, "Title") for group in _WRITTEN), *((group, "Headline") for group in _WRITTEN))
_SUMMARIES = tuple((group, "Description") for group in _WRITTEN)
_ATTRIBUTIONS = (
    *((group, name) for name in ("Rights", "Credit") for group in _WRITTEN),
    *(("XMP", "Owner"), ("XMP", "UsageTerms"), ("Image", "Copyright")),
)
_LICENSES = (
    *(("XMP", "WebStatement"), ("XMP", "UsageTerms")),
    *((group, "Rights") for group in _WRITTEN),
    ("Image", "Copyright"),
)

_LAST_WITH_ATTRIBUTION = 2
"""Last version of the Image API whose `info.json` has `attribution`."""

_DATE_LENGTH = len("YYYY-MM-DD")

_LANGUAGE = "en"
"""The language of the labels."""

_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)")
_CC_ADDRESS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/"
    r"(licenses/(?:by|by-sa|by-nd|by-nc|by-nc-sa|by-nc-nd)/(?:1\.0|2\.0|2\.1|2\.5|3\.0|4\.0)(?:/[a-z]{2}\b(?!\w))?"
    r"|publicdomain/(?:zero|mark)/1\.0)(?![\w.])",
    re.IGNORECASE,
)
_CC_NAME = re.compile(r"\bCC[ -](BY(?:-NC)?(?:-SA|-ND)?)[ -]([1-4]\.0|2\.5)\b", re.IGNORECASE)
_CC0_NAME = re.compile(r"\bCC0\b", re.IGNORECASE)
_RIGHTS_STATEMENT = re.compile(
    r"https?://(?:www\.)?rightsstatements\.org/(?:vocab|page)/"
    r"(InC|InC-OW-EU|InC-EDU|InC-NC|InC-RUU|NoC-CR|NoC-NC|NoC-OKLR|NoC-US|CNE|UND|NKC)/1\.0(?![\w.])"
)

LanguageMap = Mapping[str, list[str]]


def descriptive_properties(name: str, metadata: Metadata, caption: Caption = NO_CAPTION) -> dict[str, Any]:
    """Return what a manifest of the asset `name` with this metadata tells, as JSON has it.

    What the collection's database says, `caption`, comes before what is in the file: it may have been corrected there.
    """
    fields = {(group["Name"], field): text for group in metadata for field, text in group["Fields"].items()}
    fields.update(_camera(fields))
    attribution = attributions(caption) or list(dict.fromkeys(_values(fields, _ATTRIBUTIONS)))
    licenses = [caption.license] if caption.license else _values(fields, _LICENSES)
    titles = [caption.title, *_values(fields, _TITLES), caption.name, name]
    found: dict[str, Any] = {
        "label": _text(next(filter(None, titles))),
        "summary": next(map(_text, _values(fields, _SUMMARIES)), None),
        "metadata": [_labelled(label, value) for label, value in (*_pairs(fields), *_caption_pairs(caption))],
        "requiredStatement": _labelled("Attribution", *attribution) if attribution else None,
        "rights": next(filter(None, map(rights_uri, licenses)), None),
    }
    return {name: value for name, value in found.items() if value}


def captioned(version: int, caption: Caption, manifest: str) -> dict[str, Any]:
    """Return what `info.json` of a version of the Image API tells of a caption; `manifest` is the address of more.

    Version 3 has no attribution and no label of its own, but names the manifest that has them (sections 5.5 and 5.6).
    """
    rights = rights_uri(caption.license) if caption.license else None
    if version > _LAST_WITH_ATTRIBUTION:
        label = caption.title or caption.name
        whole = [{"id": manifest, "type": "Manifest", "label": _text(label)}] if label else None
        found: dict[str, Any] = {"rights": rights, "partOf": whole}
    else:
        found = {"license": rights, "attribution": _text(*attributions(caption))["none"]}
    return {name: value for name, value in found.items() if value}


def attributions(caption: Caption) -> list[str]:
    """Return the texts that have to be shown with an asset by what its caption says."""
    copyright_ = " ".join(filter(None, (caption.copyright_date, caption.copyright_holder)))
    if copyright_ and not copyright_.lower().startswith(("©", "(c)", "copyright")):
        copyright_ = f"© {copyright_}"
    terms = caption.license if caption.license and not rights_uri(caption.license) else None
    return list(filter(None, (caption.credit, copyright_, terms)))


def _caption_pairs(caption: Caption) -> Iterator[tuple[str, str]]:
    """Yield labels and values."""
    if caption.name:
        yield "File name", caption.name
    if caption.created:
        yield "Date added", caption.created[:_DATE_LENGTH]


def rights_uri(text: str) -> str | None:
    """Return the URI of the licence of Creative Commons or the statement of RightsStatements.org that a text names.

    None when it names none: `rights` has no other URIs (section 3.1).
    """
    if match := _CC_ADDRESS.search(text):
        return f"http://creativecommons.org/{match[1].lower()}/"
    if match := _RIGHTS_STATEMENT.search(text):
        return f"http://rightsstatements.org/vocab/{match[1]}/1.0/"
    if match := _CC_NAME.search(text):
        return f"http://creativecommons.org/licenses/{match[1].lower()}/{match[2]}/"
    return "http://creativecommons.org/publicdomain/zero/1.0/" if _CC0_NAME.search(text) else None


def _pairs(fields: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Yield labels and values."""
    for label, sources in _LABELS:
        value = next(_values(fields, sources), None)
        if value:
            yield label, _DATE.sub(r"\1-\2-\3", value, count=1) if label == "Date" else value


def _camera(fields: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Return the name of the camera as a field: most makers begin that of the model with their own."""
    for names in _CAMERA_NAMES:
        make, model = (fields.get(name, "") for name in names)
        if model:
            return {_CAMERA: model if make.partition(" ")[0].lower() in model.lower() else f"{make} {model}"}
    return {}


def _values(fields: Mapping[tuple[str, str], str], names: tuple[tuple[str, str], ...]) -> Iterator[str]:
    return (fields[name] for name in names if name in fields)


def _labelled(label: str, *values: str) -> dict[str, LanguageMap]:
    return {"label": {_LANGUAGE: [label]}, "value": _text(*values)}


def _text(*values: str) -> LanguageMap:
    """Return texts of an unknown language."""
    # Viewers take what is between < and > for HTML, unless there is a space (section 4.3).
    return {"none": [f"{value} " if value.startswith("<") else value for value in values]}
