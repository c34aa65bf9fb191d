"""A thread that names the plugin by which the reactor is blocked."""

import sys
import threading
import time
from types import FrameType

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from was_daemon.config.plugins import PLUGIN_DIRECTORY

_LONGEST_SECONDS = 0.5
"""Time for which the reactor may be blocked. All clients wait meanwhile."""

_PAUSE_SECONDS = 0.25

_log = Logger()


class ReactorWatch:
    """Thread that asks the reactor for a sign of life, and logs which plugin's code runs if there is none for long."""

    def __init__(self) -> None:
        from twisted.internet import reactor

        self._reactor = IReactorFromThreads(reactor)
        self._watched = threading.get_ident()
        self._alive = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reactor watch", daemon=True)

    def start(self) -> None:
        """Start, unless it runs; to be called in the reactor's thread."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Stop, without waiting for the thread."""
        self._stopped.set()
        self._alive.set()

    def _run(self) -> None:
        while not self._stopped.wait(_PAUSE_SECONDS):
            self._alive.clear()
            began = time.monotonic()
            self._reactor.callFromThread(self._alive.set)
            if self._alive.wait(_LONGEST_SECONDS):
                continue
            # A process that was stopped or starved has not been blocked.
            if time.monotonic() - began < 2 * _LONGEST_SECONDS:
                self._tell(sys._current_frames().get(self._watched))
            self._alive.wait()

    def _tell(self, frame: FrameType | None) -> None:
        while frame:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(f"{PLUGIN_DIRECTORY}."):
                _log.warn(
                    "The plugin {path} has blocked all clients for over {seconds:g} s, in {function} (line {line}): "
                    "blocking functions have to be called in a thread",
                    path=frame.f_code.co_filename,
                    seconds=_LONGEST_SECONDS,
                    function=frame.f_code.co_qualname,
                    line=frame.f_lineno,
                )
                return
            frame = frame.f_back
