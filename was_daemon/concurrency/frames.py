"""Release of the stack frames that an error refers to."""

from twisted.python.failure import Failure


def release_frames(failure: Failure) -> None:
    """Remove the tracebacks of `failure` and of the errors that led to it; to be called when they have been reported.

    Twisted's frames refer to the failure, and its traceback refers to the frames: their local variables, such as a
    piece of a file, would stay in memory until Python's collector runs.
    """
    failure.tb = None
    error: BaseException | None = failure.value
    while error:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
