"""What a daemon does by itself at the moment, and how far it has come. Pure values."""

import attrs


@attrs.frozen
class Task:
    """Work under way: `state` is a sentence on it; `done` of `total` are done, if that is known.

    `problem` is why it does not get on, "" if it does.
    """

    title: str
    state: str
    done: float | None = None
    total: float | None = None
    problem: str = ""
