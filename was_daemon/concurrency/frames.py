"""Errors without the frames that they came through."""

from twisted.python.failure import Failure


def release_frames(failure: Failure) -> None:
    """Take the tracebacks from `failure` and from the errors that led to it; to be called when they have been reported.

    Frames of Twisted's refer to the failure, and its traceback refers to the frames: whatever was in hand on the way,
    as a piece of a file, would stay in memory until Python's collector comes by.
    """
    failure.tb = None
    error: BaseException | None = failure.value
    while error:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
