"""Lines of `was-daemon status` on fixity."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from was_daemon.config.settings import Settings


async def fixity_entry(settings: "Settings", stores: Collection[str]) -> dict[str, Any]:
    """Return whether all originals are as recorded, and how far the checks have come.

    Empty without a catalogue, and with one that cannot be used or is not yet made.
    """
    from was_daemon.catalogue.catalogue import open_catalogue
    from was_daemon.jobs.fixity.state import Plan, describe_faults
    from was_daemon.model.errors import StoreUnavailable

    if not settings.catalogue.is_on or (settings.catalogue.path and not settings.catalogue.path.exists()):
        return {}
    plan = Plan(settings.fixity.every, settings.fixity.rate) if settings.fixity.every else None
    catalogue = open_catalogue(settings.catalogue)
    try:
        problem = describe_faults(await catalogue.fixity.counts(stores))
        found: dict[str, Any] = {"ok": not problem, **({"problem": problem} if problem else {})}
        if plan:
            progress = await catalogue.fixity.progress(stores, plan.before(time.time()))
            found["progress"] = plan.describe(progress)
            found["due"], found["due_bytes"] = progress.due, progress.due_size
            found["warnings"] = list(filter(None, [plan.shortage(progress)]))
    except StoreUnavailable:
        return {}
    finally:
        await catalogue.close()
    return found
