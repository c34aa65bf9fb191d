"""Examination of the daemon that a configuration describes, by the checks of `doctor`."""

from collections.abc import Callable, Mapping, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.config.composition import part_names
from was_daemon.config.load import ConfigError, ConfigSource
from was_daemon.config.settings import Settings, StoreSettings
from was_daemon.daemon.assembly import collections_in, create_stores
from was_daemon.daemon.warnings import warnings_of_settings
from was_daemon.doctor.examination import examine
from was_daemon.doctor.findings import Finding
from was_daemon.doctor.machine import Machine, look_at_machine
from was_daemon.doctor.patient import OtherUser, Patient, SpecifySite
from was_daemon.library.collections import Collections
from was_daemon.model.interfaces import IAssetStore

_CLOSE_SECONDS = 3.0

_log = Logger()


@attrs.frozen
class Reading:
    """A configuration as it was read: settings, as far as they are right, and a line for each mistake.

    With `is_rest`, the file is no TOML, and the settings are those in the lines that are right.
    """

    settings: Settings | None
    mistakes: list[str] = attrs.field(factory=list)
    is_rest: bool = False


async def findings_of(source: ConfigSource) -> list[Finding]:
    """Make all checks as the user of this process, with the configuration as it is now; fire with what they find.

    Takes some seconds, and changes nothing.
    """
    reading = read(source)
    machine = await Threads("doctor", 1).call(look_at_machine)
    return await examine_and_close(patient_of(source, reading, machine))


def read(source: ConfigSource) -> Reading:
    """Return what can be read of a configuration."""
    try:
        return Reading(source.load())
    except ConfigError as error:
        return Reading(error.settings or source.rest(), error.mistakes, is_rest=error.settings is None)


def patient_of(
    source: ConfigSource,
    reading: Reading,
    machine: Machine,
    specify: SpecifySite | None = None,
    more_warnings: Sequence[str] = (),
    other_user: OtherUser | None = None,
) -> Patient:
    """Return what is to be examined; as much of it as the mistakes leave."""
    settings, mistakes = reading.settings, list(reading.mistakes)
    stores: Mapping[str, IAssetStore] = {}
    collections: Collections | None = None
    if settings:
        settings = attrs.evolve(settings, stores=_complete(settings.stores))
        try:
            stores = create_stores(settings)
            collections = collections_in(settings, stores)
        except ConfigError as error:
            mistakes += error.mistakes
        except (KeyError, RecursionError):
            # Names of stores that are wrong, as a mistake says.
            _log.debug("The collections of a configuration with mistakes cannot be known")
    warnings = [*(warnings_of_settings(settings) if settings else ()), *more_warnings]
    return Patient(
        source.path,
        settings,
        mistakes,
        warnings,
        stores,
        collections,
        machine,
        specify=specify,
        is_rest=reading.is_rest,
        other_user=other_user,
    )


def _complete(stores: Mapping[str, StoreSettings]) -> Mapping[str, StoreSettings]:
    """Return the stores whose options could be read, and those of all stores that they are made of."""
    found = {name: each for name, each in stores.items() if each.options is not None}
    while lacking := [
        name for name, each in found.items() if not found.keys() >= set(part_names(each.plugin, each.options))
    ]:
        for name in lacking:
            del found[name]
    return found


async def examine_and_close(patient: Patient, tell: Callable[[Finding], object] = lambda _: None) -> list[Finding]:
    """Do as `examine`, and close the stores, but do not wait for one that hangs; log what fails at that."""
    from twisted.internet import reactor

    try:
        return await examine(patient, tell)
    finally:
        for name, store in reversed(list(patient.stores.items())):
            closing = Deferred.fromCoroutine(_close(store))
            try:
                await closing.addTimeout(_CLOSE_SECONDS, IReactorTime(reactor))
            except DeferredTimeout:
                continue
            except Exception:
                # What the checks have found is worth more than a clean end.
                _log.failure("Store {store} could not be closed", store=name)


async def _close(store: IAssetStore) -> None:
    await store.close()
