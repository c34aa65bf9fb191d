"""Reports of what is well and what is not. Pure values."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from was_daemon.health.mirrors import MirrorState
from was_daemon.library.quotas.quota import Usage
from was_daemon.library.trash.contents import TrashSize
from was_daemon.model.composition import PromotionState


@attrs.frozen
class CheckOutcome:
    """Outcome of the check of a store, the spool or a database.

    It has the problem, if any, and the free bytes where they are known. With `is_full`, the problem is that there are
    too few free bytes. `path` is where the problem is, if it is on this machine, and `reason` tells more of it, if more
    is known.
    """

    problem: str | None = None
    free: int | None = None
    is_full: bool = False
    path: Path | None = None
    reason: str = ""

    @property
    def located_problem(self) -> str | None:
        """The problem, if any, why it is there, and where, in words for an operator."""
        path = str(self.path) if self.path and str(self.path) not in self.reason else ""
        more = ", ".join(filter(None, (self.reason, path)))
        return f"{self.problem} ({more})" if self.problem and more else self.problem


@attrs.frozen
class Report:
    """Outcomes for the stores by name, the spool, the workers, the databases by name, and the fixity of originals.

    None stands for workers of which all is well, and for fixity that is not checked. The databases are `catalogue`,
    `journal`, `visibility` (what is known of it), `quotas`, and for each database of Specify `specify NAME`, if the
    settings have them.
    `collections` are those with a quota; one that is used up is its owner's business, and no problem of the server's.
    `warnings` are no problems, but should not stay. `trash` is what was in the trash of each store when it was emptied
    last, if it is. `mirrors` has the stores with copies, `promotions` those that promote what is read.
    """

    stores: Mapping[str, CheckOutcome]
    spool: CheckOutcome
    workers: str | None
    databases: Mapping[str, CheckOutcome] = attrs.field(factory=dict)
    collections: Mapping[str, Usage] = attrs.field(factory=dict)
    warnings: Sequence[str] = ()
    fixity: CheckOutcome | None = None
    trash: Mapping[str, TrashSize] = attrs.field(factory=dict)
    mirrors: Mapping[str, MirrorState] = attrs.field(factory=dict)
    promotions: Mapping[str, PromotionState] = attrs.field(factory=dict)

    @property
    def subjects(self) -> dict[str, CheckOutcome]:
        """All that has an outcome, by names that differ whatever stores are called."""
        stores = {f"store {name}": outcome for name, outcome in self.stores.items()}
        fixity = {"fixity": self.fixity} if self.fixity else {}
        return {**stores, "spool": self.spool, **self.databases, **fixity}

    @property
    def problems(self) -> list[str]:
        """All that is wrong, in words for an operator, with paths that clients are not to know."""
        found = [
            f"{subject}: {outcome.located_problem}" for subject, outcome in self.subjects.items() if outcome.problem
        ]
        if self.workers:
            found.append(f"workers: {self.workers}")
        return found
