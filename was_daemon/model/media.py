"""Media types of assets by their names, and the names of downloads."""

import mimetypes
from posixpath import basename, splitext
from urllib.parse import quote

_TYPES = mimetypes.MimeTypes(filenames=())
"""The types in Python's own table, not in this machine's: the same name has the same type everywhere."""

_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OPEN_XML = "application/vnd.openxmlformats-officedocument."

# What collections keep and Python's table has in some versions only, or never.
for _type, _extensions in {
    "application/dicom": ".dcm",
    "application/epub+zip": ".epub",
    "application/geo+json": ".geojson",
    "application/geopackage+sqlite3": ".gpkg",
    "application/gpx+xml": ".gpx",
    "application/gzip": ".gz .tgz",
    "application/ld+json": ".jsonld",
    "application/rss+xml": ".rss",
    "application/rtf": ".rtf",
    "application/vnd.google-earth.kml+xml": ".kml",
    "application/vnd.google-earth.kmz": ".kmz",
    "application/vnd.ms-outlook": ".msg",
    f"{_OPEN_DOCUMENT}presentation": ".odp",
    f"{_OPEN_DOCUMENT}spreadsheet": ".ods",
    f"{_OPEN_DOCUMENT}text": ".odt",
    f"{_OPEN_XML}presentationml.presentation": ".pptx",
    f"{_OPEN_XML}spreadsheetml.sheet": ".xlsx",
    f"{_OPEN_XML}wordprocessingml.document": ".docx",
    "application/x-7z-compressed": ".7z",
    "application/x-msaccess": ".accdb .mdb",
    "application/xhtml+xml": ".xhtml",
    "application/yaml": ".yaml .yml",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/ogg": ".oga .ogg .opus",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/heif": ".heif .hif",
    "image/jp2": ".jp2",
    "image/jpeg": ".jfif",
    "image/jpx": ".jpf .jpx",
    "image/jxl": ".jxl",
    "image/vnd.adobe.photoshop": ".psb .psd",
    "image/webp": ".webp",
    "image/x-adobe-dng": ".dng",
    "image/x-canon-cr2": ".cr2",
    "image/x-canon-cr3": ".cr3",
    "image/x-canon-crw": ".crw",
    "image/x-fuji-raf": ".raf",
    "image/x-minolta-mrw": ".mrw",
    "image/x-nikon-nef": ".nef",
    "image/x-nikon-nrw": ".nrw",
    "image/x-olympus-orf": ".orf",
    "image/x-panasonic-rw2": ".rw2",
    "image/x-pentax-pef": ".pef",
    "image/x-sigma-x3f": ".x3f",
    "image/x-sony-arw": ".arw",
    "model/gltf+json": ".gltf",
    "model/gltf-binary": ".glb",
    "model/obj": ".obj",
    "model/stl": ".stl",
    "text/markdown": ".md",
    # Trees and sequences of taxonomists among them: what a browser shows as it is.
    "text/plain": (
        ".aln .bib .cfg .conf .fa .faa .fas .fasta .fastq .fna .gb .gbk .ini .log .newick .nex .nexus .nwk .phy"
        " .readme .ris .sql .text .tnt .tps .tre .tree"
    ),
    "text/turtle": ".ttl",
    "text/vcard": ".vcf",
    "video/3gpp": ".3gp",
    "video/matroska": ".mkv",
    "video/mp4": ".m4v",
    "video/ogg": ".ogv",
}.items():
    for _extension in _extensions.split():
        _TYPES.add_type(_type, _extension)

_UNKNOWN = "application/octet-stream"
_SCRIPTABLE = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})


def media_type(name: str) -> str:
    """Return the media type of an asset, by the extension of its name."""
    return type_of_extension(splitext(name)[1])


def type_of_extension(extension: str) -> str:
    """Return the media type of an extension, which starts with a dot or is empty."""
    known = _TYPES.types_map[True]
    return known.get(extension) or known.get(extension.lower()) or _UNKNOWN


def is_text(media_type: str) -> bool:
    """Return whether files of this type are text, whose encoding a browser has to be told."""
    return media_type.startswith("text/")


def is_recording(media_type: str) -> bool:
    """Return whether files of this type are sounds or films."""
    return media_type.startswith(("audio/", "video/"))


def runs_scripts(media_type: str) -> bool:
    """Return whether a browser runs scripts in such a file, with the rights of pages of this server."""
    without_encoding = media_type.partition(";")[0]
    return without_encoding in _SCRIPTABLE or without_encoding.endswith("+xml")


def content_disposition(name: str) -> str:
    """Return the Content-Disposition that names a download (RFC 6266, RFC 8187); `name` may contain any character."""
    return "inline; filename*=utf-8''" + quote(basename(name.replace("\\", "/")), safe="")
