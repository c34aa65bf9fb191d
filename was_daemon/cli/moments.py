"""Times in the arguments of commands."""

import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from was_daemon.model.durations import seconds_in


class Ago(click.ParamType[float]):
    """An age such as "30 days"; the value is in seconds. `unit` is that of a bare number, which is refused without."""

    name = "time"

    def __init__(self, unit: str = "") -> None:
        self._unit = unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `ParamType`."""
        if isinstance(value, float):
            return value
        try:
            return seconds_in(str(value), self._unit)
        except ValueError:
            self.fail(f'expected a time such as "30 days" or "12 h", got "{value}"', param, ctx)


class Moment(click.ParamType[float]):
    """A date, with or without a time, in the zone of this machine, or an age such as "7 days"; a Unix time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `ParamType`."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        with suppress(ValueError):
            return time.time() - seconds_in(text)
        try:
            return datetime.fromisoformat(text).astimezone().timestamp()
        except ValueError:
            self.fail(f'expected a date such as 2026-03-31, or an age such as "7 days", got "{value}"', param, ctx)
