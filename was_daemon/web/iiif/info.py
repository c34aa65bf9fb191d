"""The description of a picture, `info.json`, in both versions of the Image API (section 5)."""

from typing import Any

from was_daemon.model.pyramids import Geometry
from was_daemon.web.iiif.limits import Limits
from was_daemon.web.iiif.parameters import FORMATS, QUALITIES

_LEVEL_2_FORMATS = ("jpg", "png")
_BEYOND_LEVEL_2 = ["canonicalLinkHeader", "mirroring", "profileLinkHeader", "rotationArbitrary", "sizeUpscaling"]
_OF_VERSION_2 = [
    *("baseUriRedirect", "canonicalLinkHeader", "cors", "jsonldMediaType", "mirroring", "profileLinkHeader"),
    *("regionByPct", "regionByPx", "regionSquare", "rotationArbitrary", "rotationBy90s", "sizeAboveFull"),
    *("sizeByConfinedWh", "sizeByDistortedWh", "sizeByH", "sizeByPct", "sizeByW", "sizeByWh"),
]
CONTEXTS = {2: "http://iiif.io/api/image/2/context.json", 3: "http://iiif.io/api/image/3/context.json"}
PROFILES = {2: "http://iiif.io/api/image/2/level2.json", 3: "http://iiif.io/api/image/3/level2.json"}


def image_information(version: int, address: str, geometry: Geometry, limits: Limits) -> dict[str, Any]:
    """Return the information on the picture at `address`, to be sent as JSON."""
    common = {
        "protocol": "http://iiif.io/api/image",
        "width": geometry.width,
        "height": geometry.height,
        "sizes": [
            {"width": width, "height": height}
            for width, height in reversed(geometry.levels)
            if limits.allow((width, height))
        ],
        "tiles": [
            {
                "width": geometry.tile_size,
                "height": geometry.tile_size,
                "scaleFactors": [1 << level for level in range(len(geometry.levels))],
            }
        ],
    }
    declared = {"maxWidth": limits.width, "maxHeight": limits.height, "maxArea": limits.area}
    bounds = declared if limits.are_told_of((geometry.width, geometry.height)) else {}
    return (_version_3 if version > 2 else _version_2)(address, common, bounds)


def _version_3(address: str, common: dict[str, Any], bounds: dict[str, int]) -> dict[str, Any]:
    return {
        "@context": CONTEXTS[3],
        "id": address,
        "type": "ImageService3",
        "profile": "level2",
        **common,
        **bounds,
        "preferredFormats": ["jpg"],
        "extraFormats": [name for name in FORMATS if name not in _LEVEL_2_FORMATS],
        "extraQualities": list(QUALITIES[1:]),
        "extraFeatures": _BEYOND_LEVEL_2,
    }


def _version_2(address: str, common: dict[str, Any], bounds: dict[str, int]) -> dict[str, Any]:
    supports = {"formats": list(FORMATS), "qualities": list(QUALITIES), "supports": _OF_VERSION_2}
    return {
        "@context": CONTEXTS[2],
        "@id": address,
        **common,
        "profile": [PROFILES[2], {**supports, **bounds}],
    }
