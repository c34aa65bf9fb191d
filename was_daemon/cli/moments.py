"""Times in the arguments of commands."""

import re
import time
from datetime import datetime
from typing import Any

import click

_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|days?|weeks?)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400, "days": 86_400, "week": 604_800, "weeks": 604_800}


class Ago(click.ParamType[float]):
    """An age such as "30 days"; the value is in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `ParamType`."""
        if isinstance(value, float):
            return value
        match = _AGE.fullmatch(str(value).strip())
        if not match:
            self.fail(f'expected a time such as "30 days" or "12 h", got "{value}"', param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


class Moment(click.ParamType[float]):
    """A date, with or without a time, in the zone of this machine, or an age such as "7 days"; a Unix time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `ParamType`."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if _AGE.fullmatch(text):
            return time.time() - Ago().convert(text, param, ctx)
        try:
            return datetime.fromisoformat(text).astimezone().timestamp()
        except ValueError:
            self.fail(f'expected a date such as 2026-03-31, or an age such as "7 days", got "{value}"', param, ctx)
