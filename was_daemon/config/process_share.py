"""Share of one of several daemons that serve the same ports of a machine: its number, and its part of the limits."""

import attrs

from was_daemon.config.settings import Settings
from was_daemon.config.structure import Size


@attrs.frozen
class ProcessShare:
    """The number of a process, counted from 1, of `count` processes. A daemon that is the only one is 1 of 1."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return "the daemon" if self.count == 1 else f"process {self.number}"

    @property
    def is_first(self) -> bool:
        """Whether this process does what is to be done once for all processes."""
        return self.number == 1

    def settings(self, settings: Settings) -> Settings:
        """Return the settings of this process.

        Workers, the queue and the copies in the spool are divided among the processes. Each has one worker at least.
        """
        if self.count == 1:
            return settings
        thumbnails, spool = settings.thumbnails, settings.spool
        return attrs.evolve(
            settings,
            thumbnails=attrs.evolve(
                thumbnails, workers=self.part(thumbnails.workers), queue=self.part(thumbnails.queue)
            ),
            spool=attrs.evolve(spool, max_size=Size(spool.max_size // self.count)),
        )

    def part(self, whole: int) -> int:
        """Return this process's part of `whole` things that cannot be divided further, at least one."""
        each, left = divmod(whole, self.count)
        return max(1, each + (self.number <= left))
