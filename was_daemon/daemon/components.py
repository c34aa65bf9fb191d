"""The components of a process: stores, spool, worker pool and all else that one version of its configuration describes.

A reload builds new ones. They take over the parts whose settings are unchanged. Requests under way finish with the
components that they began with; a part is closed when no components in use have it.
"""

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.internet.defer import Deferred

from was_daemon.assets import Assets
from was_daemon.config.settings import Settings
from was_daemon.daemon.process_state import ProcessState
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.daemon.startup import accept_new_root, prepare_store, run_and_log
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.eviction import Evictor
from was_daemon.derivatives.views import Views
from was_daemon.health.checks import DatabaseCheck
from was_daemon.health.fixity import FixityCheck
from was_daemon.httpd.limits import ConnectionLimits
from was_daemon.jobs.trash import TrashKeeper
from was_daemon.library.collections import Collections
from was_daemon.library.quotas.quota import Quota
from was_daemon.library.spool import Spool
from was_daemon.model.composition import IBackgroundWork
from was_daemon.model.interfaces import IAssetStore, IRooted
from was_daemon.telemetry.metrics import show
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.contract.resource import AssetResource
from was_daemon.workers.pool import WorkerPool

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.catalogue.finder import Finder
    from was_daemon.catalogue.visibility_refresh import VisibilityRefresh
    from was_daemon.jobs.describe import Describer
    from was_daemon.jobs.fixity.fixity import Fixity
    from was_daemon.specify.reader import SpecifyReader


class Closable(Protocol):
    """A part that is closed when no version of the settings uses it any more."""

    def close(self) -> Awaitable[None]:
        """Release what the part holds."""


@attrs.frozen(eq=False)
class Components:
    """The components of a process, as one version of its settings describes them; `parts` are those to take over."""

    settings: Settings
    state: ProcessState
    parts: ReusableParts
    stores: Mapping[str, IAssetStore]
    collections: Collections
    spool: Spool
    views: Views
    pool: WorkerPool
    evictor: Evictor | None
    catalogue: "Catalogue | None"
    specify: "Mapping[str, SpecifyReader]"
    visibility: "VisibilityRefresh | None"
    fixity: "Fixity | None"
    derivatives: Derivatives
    assets: Assets
    resource: AssetResource
    trash_keeper: TrashKeeper | None
    holdings: Holdings
    finder: "Finder | None" = None
    describer: "Describer | None" = None

    @property
    def connection_limits(self) -> ConnectionLimits:
        """The limits on connections, as the settings have them."""
        limits = self.settings.limits
        return ConnectionLimits(
            limits.connections_per_address, limits.header_timeout, limits.idle_timeout, limits.min_rate
        )

    @property
    def closable(self) -> list[Closable]:
        """The parts to close, in this order."""
        before: list[Closable | None] = [self.fixity, self.trash_keeper, self.pool]
        after: list[Closable | None] = [self.views, self.spool, *self.specify.values(), self.visibility, self.catalogue]
        # Stores made of others come after them, and are closed first.
        stores = reversed([*self.stores.values()])
        return [part for part in (*before, *stores, *after) if part]

    def start(self, before: "Components | None" = None) -> None:
        """Check the parts that are new since `before`, and remove what a killed process left; requests do not wait."""
        self._show()
        known = before.stores if before else {}
        for name, store in self.stores.items():
            if store is not known.get(name):
                step = partial(prepare_store, store, self.collections, self.spool, self.state.process)
                run_and_log(f"Store {name}", step)
                if IBackgroundWork.providedBy(store):
                    IBackgroundWork(store).start()
            elif IRooted.providedBy(store):
                run_and_log(f"Store {name}", partial(accept_new_root, store, self.collections, self.state.process))
        if not before or self.spool is not before.spool:
            run_and_log("The spool", self.spool.start)
        if self.catalogue and (not before or self.catalogue is not before.catalogue):
            self.catalogue.start(self.stores, self.settings.checksums.path)
        for name, reader in self.specify.items():
            if not before or reader is not before.specify.get(name):
                reader.start()
        if self.visibility and (not before or self.visibility is not before.visibility):
            self.visibility.start()
        if before and before.describer:
            before.describer.stop()
        if self.describer:
            self.describer.start()
        if before and before.fixity:
            before.fixity.stop()
        if self.fixity and self.state.process.is_first:
            self.fixity.start()
        Deferred.fromCoroutine(self.derivatives.start(before.derivatives if before else None))
        self.configure_quotas(self.settings.collections.recount)
        if self.trash_keeper:
            self.trash_keeper.start()

    def configure_quotas(self, interval: float | None) -> None:
        """Enforce the quotas; count originals every `interval` seconds, or leave that to others."""
        counts_trash = self.settings.trash.count_in_quotas
        self.state.quotas.configure(self._quotas(), interval, self.spool, counts_trash)

    def withdraw(self) -> None:
        """Cancel the work that no request waits for; a job that a worker has begun is finished."""
        self.assets.withdraw()
        if self.describer:
            self.describer.stop()

    def _quotas(self) -> dict[str, Quota]:
        """Return the collections with a quota, by name."""
        default = self.settings.default_store
        return {
            name: Quota(self.stores[each.store or default], each.directory, each.quota)
            for name, each in self.settings.collections.map.items()
            if each.quota is not None
        }

    def _show(self) -> None:
        """Point the metrics and the health checks at these components."""
        metrics, pool = self.state.metrics, self.pool
        show(metrics.jobs_waiting, lambda: pool.waiting(background=False), lane="requests")
        show(metrics.jobs_waiting, lambda: pool.waiting(background=True), lane="background")
        show(metrics.jobs_running, lambda: pool.running)
        show(metrics.workers, lambda: pool.busy, state="busy")
        show(metrics.workers, lambda: pool.idle, state="idle")
        show(metrics.workers, lambda: pool.lost, state="lost")
        show(metrics.spool_bytes, lambda: self.spool.size)
        self._show_specify()
        refresh = self.visibility
        show(metrics.visibility_age, lambda: refresh.age if refresh else 0.0)
        show(metrics.visibility, lambda: refresh.visibility.private if refresh else 0, state="private")
        show(metrics.visibility, lambda: refresh.visibility.public if refresh else 0, state="public")
        settings = self.settings
        self.state.health.configure(
            self.stores,
            self.collections,
            pool,
            self.spool,
            settings.limits.min_free,
            settings.weak_keys,
            self._database_checks(),
            FixityCheck(self.fixity.check, self.fixity.warnings) if self.fixity else None,
            self.trash_keeper,
        )

    def _show_specify(self) -> None:
        metrics = self.state.metrics
        for gauge in (metrics.specify_up, metrics.specify_rows, metrics.specify_read):
            # The settings before may have had other databases.
            gauge.clear()
        for name, reader in self.specify.items():
            show(metrics.specify_up, partial(getattr, reader, "is_up"), source=name)
            show(metrics.specify_rows, partial(getattr, reader, "rows"), source=name)
            show(metrics.specify_read, partial(getattr, reader, "read_at"), source=name)

    def _database_checks(self) -> dict[str, DatabaseCheck]:
        catalogue = self.catalogue
        if not catalogue:
            return {}
        journal = catalogue.journal
        visibility = {"visibility": DatabaseCheck(None, self.visibility.check)} if self.visibility else {}
        return {
            "catalogue": DatabaseCheck(catalogue.path, catalogue.check),
            "journal": DatabaseCheck(journal.path, journal.check),
            **{f"specify {name}": DatabaseCheck(None, reader.check) for name, reader in self.specify.items()},
            **visibility,
        }
