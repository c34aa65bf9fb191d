"""The stores, databases and exports that `was-daemon reconcile` compares, as the configuration describes them."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import attrs
import click

from was_daemon.catalogue.catalogue import Catalogue, open_catalogue
from was_daemon.catalogue.names import IN_SPECIFY, RECORDED, known_names
from was_daemon.cli.findings import FindingsPrinter
from was_daemon.cli.names import names_in_file, require_reading
from was_daemon.cli.targets import directories_of, require_directory
from was_daemon.config.settings import Settings
from was_daemon.daemon.assembly import collections_in
from was_daemon.daemon.specify import source_of
from was_daemon.jobs.reconcile.collect import Collector
from was_daemon.jobs.reconcile.findings import Findings
from was_daemon.jobs.reconcile.quarantine import Move, Quarantine
from was_daemon.jobs.reconcile.reconciler import Reconciler
from was_daemon.jobs.reconcile.worktable import Worktable
from was_daemon.library.collections import Place
from was_daemon.model.interfaces import IAssetStore, IUnlisted
from was_daemon.specify.export import Export
from was_daemon.specify.reader import SpecifyReader
from was_daemon.specify.records import Source
from was_daemon.stores.layers.named import Names, named


@attrs.frozen
class _Recorded:
    """Records that have been read: their sources, the Unix time as of which they are known, and who has read them."""

    sources: Sequence[Source]
    at: float
    readers: Sequence[SpecifyReader] = ()


@attrs.frozen
class Comparison:
    """Comparison of the originals in `places` with records; originals younger than `min_age` seconds are no orphans.

    With `export` the records are those in that file, otherwise those of `sources`, the databases of the configuration.
    """

    settings: Settings
    stores: Mapping[str, IAssetStore]
    places: Sequence[Place]
    sources: Mapping[str, Source]
    export: Path | None
    min_age: float

    @classmethod
    def of(
        cls,
        settings: Settings,
        stores: Mapping[str, IAssetStore],
        names: Sequence[str],
        export: Path | None,
        min_age: float,
    ) -> "Comparison":
        """Return the comparison of the collections with these names, or of all; raises `UsageError`."""
        if settings.collections.mode == "auto" and not names:
            # Clients create collections by naming them, and so do the databases.
            names = [each.coll for each in settings.specify.values() if each.coll]
        collections = collections_in(settings, stores)
        directories = directories_of(settings, names)
        if export and len(directories) > 1:
            raise click.UsageError("name the collection that the export has the attachments of with --collection")
        places = [attrs.evolve(collections.place_in(each), directory=each) for each in directories]
        sources = {name: source_of(name, each, collections) for name, each in settings.specify.items()}
        return cls(settings, stores, places, sources, export, min_age)

    async def run(self, printer: FindingsPrinter, move: Move | None, limit: float) -> None:
        """Compare, and print what is found; then move orphans, if there is a way."""
        async with AsyncExitStack() as stack:
            for store in self.stores.values():
                stack.push_async_callback(store.close)
            for store in {id(place.store): place.store for place in self.places}.values():
                await require_directory(store)
            worktable = Worktable()
            stack.push_async_callback(worktable.close)
            catalogue = await self._open_catalogue(stack)
            places = [self._listed(place, catalogue) for place in self.places]
            collector = Collector(worktable, places)
            began = time.time()
            # Before the names of files: an upload in between is too young for an orphan, and is not taken for missing.
            recorded = await self._records(catalogue, collector, stack)
            _tell("Listing what is stored ...")
            await collector.stored()
            if catalogue:
                await collector.known(catalogue.database)
            _tell("Comparing ...")
            await worktable.index()
            findings = Findings(worktable, places)
            await self._note_limits(findings, recorded, catalogue is not None)
            covered = {index for index, place in enumerate(self.places) if _is_covered(place, recorded.sources)}
            names = {source.name for source in recorded.sources}
            reconciler = Reconciler(findings, names, covered, recorded.at - self.min_age, printer)
            await reconciler.run()
            # More records may be added for the quarantine.
            numbers = await findings.count("originals"), await findings.count("records")
            try:
                if move and catalogue:
                    database, readers = catalogue.database, recorded.readers
                    await Quarantine(reconciler, collector, database, readers, move, limit, began, printer).run()
            finally:
                printer.end(*numbers)

    def _listed(self, place: Place, catalogue: Catalogue | None) -> Place:
        """Return a place whose originals are listed: by the names that are known, where the store lists none."""
        if not IUnlisted.providedBy(place.store):
            return place
        names: Names
        if self.export:
            names = partial(names_in_file, self.export)
        else:
            assert catalogue  # noqa: S101 - the settings have been checked
            names = partial(known_names, catalogue.database, [RECORDED, IN_SPECIFY], [place.name])
        return attrs.evolve(place, store=named(place.store, names))

    async def _open_catalogue(self, stack: AsyncExitStack) -> Catalogue | None:
        if not self.settings.catalogue.is_on:
            return None
        catalogue = open_catalogue(self.settings.catalogue)
        stack.push_async_callback(catalogue.close)
        await catalogue.catch_up()
        return catalogue

    async def _records(self, catalogue: Catalogue | None, collector: Collector, stack: AsyncExitStack) -> _Recorded:
        if self.export:
            return await self._read_export(self.export, collector)
        assert catalogue  # noqa: S101 - the settings have been checked
        readers = await self._read_databases(catalogue, stack)
        at = await require_reading(catalogue.database, self.sources)
        await collector.recorded(catalogue.database)
        return _Recorded(list(self.sources.values()), at, readers)

    async def _read_databases(self, catalogue: Catalogue, stack: AsyncExitStack) -> list[SpecifyReader]:
        readers = []
        for name, settings in self.settings.specify.items():
            if settings.url:
                _tell(f"Reading specify.{name} ...")
                reader = SpecifyReader(self.sources[name], settings, catalogue.database)
                stack.push_async_callback(reader.close)
                await reader.read(whole=True)
                readers.append(reader)
        return readers

    async def _read_export(self, path: Path, collector: Collector) -> _Recorded:
        (place,) = self.places
        export = Export(path)
        try:
            await export.load()
            source = Source("export" if export.has_numbers else "line", place.name, place.directory)
            found = ", ".join(f'{field} in "{column}"' for field, column in export.columns.items())
            click.echo(f"{path}: {export.rows} attachments, {found}", err=True)
            await collector.exported(export.pages(), source)
        finally:
            await export.close()
        return _Recorded([source], min(export.modified, time.time()))

    async def _note_limits(self, findings: Findings, recorded: _Recorded, has_catalogue: bool) -> None:
        """Tell on stderr what cannot be found out."""
        for place in self.places:
            if not _is_covered(place, recorded.sources):
                where = place.directory or f"store {place.name}"
                click.echo(f"No [specify.NAME] has the attachments in {where}: orphans there are not found", err=True)
        if not has_catalogue:
            click.echo("There is no [catalogue]: contents and types are not compared", err=True)
        unsized = await findings.count_unsized()
        if unsized:
            click.echo(
                f"Nobody knows the size of {unsized} originals: was-daemon catalogue rebuild finds it out", err=True
            )


def _is_covered(place: Place, sources: Sequence[Source]) -> bool:
    return any((source.store, source.collection) == (place.name, place.directory) for source in sources)


def _tell(words: str) -> None:
    """Say what is done now to somebody who looks on."""
    if sys.stderr.isatty():
        click.echo(words, err=True)
