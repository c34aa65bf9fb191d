"""What one of several processes gets of that which the settings allow the daemon."""

import attrs

from was_daemon.config.settings import Settings
from was_daemon.config.structure import Size


@attrs.frozen
class Share:
    """That of process `number`, counted from 1, `of` so many; the first is the one that was started."""

    number: int = 1
    of: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that does what is done once: it speaks to the operator and to monitoring."""
        return self.number == 1

    def settings(self, settings: Settings) -> Settings:
        """The settings of this process; together they are at most `settings`, but each has one worker and a place."""
        if self.of == 1:
            return settings
        thumbnails, spool = settings.thumbnails, settings.spool
        return attrs.evolve(
            settings,
            server=settings.server if self.is_first else attrs.evolve(settings.server, admin_listen=[]),
            thumbnails=attrs.evolve(
                thumbnails, workers=self.part(thumbnails.workers), queue=self.part(thumbnails.queue)
            ),
            spool=attrs.evolve(spool, max_size=Size(spool.max_size // self.of)),
        )

    def part(self, whole: int) -> int:
        """This process's part of so many things that cannot be divided further, at least one."""
        each, left = divmod(whole, self.of)
        return max(1, each + (self.number <= left))
