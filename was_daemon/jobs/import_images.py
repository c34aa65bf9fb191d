"""Import of what the California Academy's server has recorded, into the catalogue."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.importing import Image, import_images
from was_daemon.jobs.report import JobReport
from was_daemon.model.errors import BadName


class ImageImporter:
    """Enters rows of the table `images`.

    `place_of` returns the store and the directory of a collection by its name in the table, None if it is not to be
    imported; `elsewhere` counts the rows of such collections.
    """

    def __init__(
        self, catalogue: Catalogue, place_of: Callable[[str], tuple[str, str] | None], report: JobReport
    ) -> None:
        self._catalogue = catalogue
        self._place_of = place_of
        self._report = report
        self.elsewhere: Counter[str] = Counter()

    async def enter(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Enter some hundred rows; raises `StoreUnavailable`."""
        placed = []
        for row in rows:
            try:
                image = Image.parse(row)
            except BadName as error:
                self._report.describe("unusable", str(row.get("internal_filename")), str(error))
                continue
            place = self._place_of(image.collection)
            if place:
                placed.append((*place, image))
            else:
                self.elsewhere[image.collection] += 1
        self._report.count("elsewhere", len(rows) - len(placed))
        for state, number in (await self._catalogue.run(import_images, placed)).items():
            self._report.count(state, number)
