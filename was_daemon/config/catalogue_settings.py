"""The sections `[catalogue]` and `[fixity]`, and what is still read of `[checksums]`, the catalogue's forerunner."""

import attrs

from was_daemon.config.settings import CatalogueSettings, ChecksumSettings, FixitySettings
from was_daemon.config.structure import Mistakes


def catalogue_of(settings: CatalogueSettings, checksums: ChecksumSettings, mistakes: Mistakes) -> CatalogueSettings:
    """Return the settings of the catalogue, which stands in for checksums that are asked for."""
    if settings.path and settings.url:
        mistakes.add("catalogue.url", "is given beside catalogue.path: the catalogue is in one of them")
    if settings.url and not settings.journal:
        mistakes.add(
            "catalogue.journal", "is missing: a file on a local disk for what happens while the database is down"
        )
    if settings.password_file and not settings.url:
        mistakes.add("catalogue.password_file", "is used only with catalogue.url")
    if checksums.path and not settings.is_on:
        settings = attrs.evolve(settings, path=checksums.path.with_name("catalogue.sqlite"))
        mistakes.warn(
            f'[checksums] is now [catalogue]: write path = "{settings.path}" there; {checksums.path} is read once'
        )
    return settings


def check_fixity(settings: FixitySettings, catalogue: CatalogueSettings, mistakes: Mistakes) -> None:
    """Check that there is a catalogue with which originals can be compared."""
    if settings.every and not catalogue.is_on:
        mistakes.add("fixity.every", "needs a catalogue to compare originals with: set catalogue.path")
