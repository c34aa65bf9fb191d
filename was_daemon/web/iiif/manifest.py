"""Manifests: what a viewer needs to show an asset with all its pages, or to play it (Presentation API 3.0)."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from was_daemon.model.descriptions import Recording

CONTEXT = "http://iiif.io/api/presentation/3/context.json"


@attrs.frozen
class Page:
    """A page of an asset: the URI of its image service, and its width and height in pixels."""

    service: str
    width: int
    height: int


@attrs.frozen
class Manifest:
    """The manifest of an asset: its own URI, and the one that the URIs of its canvases begin with.

    `media_type` is that of the original, and `original` the address from which anybody gets it, None if nobody does.
    """

    address: str
    stem: str
    media_type: str
    descriptive: Mapping[str, Any]
    original: str | None = None

    def of_pages(self, pages: Sequence[Page], small: tuple[int, int]) -> dict[str, Any]:
        """Return the manifest of a picture or a document, as JSON has it; its thumbnail has the size `small`."""
        canvases = [self._page(number, page, len(pages)) for number, page in enumerate(pages, 1)]
        service, (width, height) = pages[0].service, small
        address = f"{service}/full/{width},{height}/0/default.jpg"
        return self._whole(canvases, [_image(address, service, width, height)])

    def of_recording(self, recording: Recording, address: str) -> dict[str, Any]:
        """Return the manifest of a recording, whose bytes are at `address`, as JSON has it."""
        size = {"width": recording.width, "height": recording.height} if recording.width else {}
        extent = {"duration": recording.duration, **size}
        kind = "Video" if size else "Sound"
        body = {"id": address, "type": kind, "format": self.media_type, **extent}
        return self._whole([self._canvas(1, extent, body)])

    def _whole(self, canvases: list[dict[str, Any]], thumbnail: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        return {
            "@context": CONTEXT,
            "id": self.address,
            "type": "Manifest",
            **self.descriptive,
            **({"thumbnail": thumbnail} if thumbnail else {}),
            **({"rendering": [self._rendering(self.original)]} if self.original else {}),
            "items": canvases,
        }

    def _rendering(self, address: str) -> dict[str, Any]:
        kinds = {"image": "Image", "audio": "Sound", "video": "Video"}
        kind = kinds.get(self.media_type.partition("/")[0], "Text")
        return {"id": address, "type": kind, "label": {"en": ["Original file"]}, "format": self.media_type}

    def _page(self, number: int, page: Page, count: int) -> dict[str, Any]:
        body = _image(f"{page.service}/full/max/0/default.jpg", page.service, page.width, page.height)
        label = {"label": {"none": [str(number)]}} if count > 1 else {}
        return self._canvas(number, {**label, "width": page.width, "height": page.height}, body)

    def _canvas(self, number: int, properties: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        canvas = f"{self.stem}/canvas/{number}"
        annotation = {
            "id": f"{canvas}/annotation",
            "type": "Annotation",
            "motivation": "painting",
            "body": body,
            "target": canvas,
        }
        page = {"id": f"{canvas}/page", "type": "AnnotationPage", "items": [annotation]}
        return {"id": canvas, "type": "Canvas", **properties, "items": [page]}


def _image(address: str, service: str, width: int, height: int) -> dict[str, Any]:
    return {
        "id": address,
        "type": "Image",
        "format": "image/jpeg",
        "width": width,
        "height": height,
        "service": [{"id": service, "type": "ImageService3", "profile": "level2"}],
    }
