"""The sections `[catalogue]` and `[fixity]`, and what is still read of `[checksums]`, the catalogue's forerunner."""

from pathlib import Path

import attrs

from was_daemon.config.secret_files import SecretFile
from was_daemon.config.structure import Duration, Mistakes, Rate
from was_daemon.config.validators import at_least, database_url, optional

_FIXITY_RATE = Rate(20 << 20)
_LEAST_RATE = 64 << 10


@attrs.frozen
class CatalogueSettings:
    """Section `[catalogue]`.

    `path` is a SQLite file, `url` the database of a server; `journal` keeps what has not yet come there.
    """

    path: Path | None = None
    url: str | None = attrs.field(default=None, validator=database_url)
    password_file: SecretFile | None = None
    journal: Path | None = None

    @property
    def is_on(self) -> bool:
        """Whether a catalogue is kept."""
        return bool(self.path or self.url)

    def files(self) -> list[Path]:
        """Return the local files, with their directories before them."""
        files = [path for path in (self.path, self.journal_path) if path]
        return [*dict.fromkeys(path.parent for path in files), *files]

    @property
    def journal_path(self) -> Path | None:
        """The file of the journal."""
        return self.journal or (self.path and self.path.with_suffix(".journal.sqlite"))

    @property
    def visibility_path(self) -> Path | None:
        """The file in which it is saved what is private."""
        return self.journal_path and self.journal_path.with_suffix(".visibility")


@attrs.frozen
class FixitySettings:
    """Section `[fixity]`: every original is read again within `every` seconds, at `rate` bytes a second at most.

    Without `every`, none is.
    """

    every: Duration | None = attrs.field(default=None, validator=optional(at_least(1)))
    rate: Rate = attrs.field(default=_FIXITY_RATE, validator=at_least(_LEAST_RATE))


@attrs.frozen
class ChecksumSettings:
    """Section `[checksums]`: the file of earlier versions, which the catalogue reads once."""

    path: Path | None = None


def catalogue_of(settings: CatalogueSettings, checksums: ChecksumSettings, mistakes: Mistakes) -> CatalogueSettings:
    """Return the settings of the catalogue, which stands in for checksums that are asked for."""
    if settings.path and settings.url:
        mistakes.add("catalogue.url", "is given beside catalogue.path: the catalogue is in one of them")
    if settings.url and not settings.journal:
        mistakes.add(
            "catalogue.journal", "is missing: a file on a local disk for what happens while the database is down"
        )
    if settings.password_file and not settings.url and not mistakes.are_about("catalogue.url"):
        mistakes.add("catalogue.password_file", "is used only with catalogue.url")
    if checksums.path and not settings.is_on:
        settings = attrs.evolve(settings, path=checksums.path.with_name("catalogue.sqlite"))
        mistakes.warn(
            f'[checksums] is now [catalogue]: write path = "{settings.path}" there; {checksums.path} is read once'
        )
    return settings


def lacks_catalogue(settings: CatalogueSettings, mistakes: Mistakes) -> bool:
    """Return whether there is no catalogue, nor one whose place is a mistake of its own."""
    return not settings.is_on and not any(map(mistakes.are_about, ("catalogue.path", "catalogue.url")))


def check_fixity(settings: FixitySettings, catalogue: CatalogueSettings, mistakes: Mistakes) -> None:
    """Check that there is a catalogue with which originals can be compared."""
    if settings.every and lacks_catalogue(catalogue, mistakes):
        mistakes.add("fixity.every", "needs a catalogue to compare originals with: set catalogue.path")
