"""Check of the daemon itself: whether it answers where it listens, with this version, this key, and in good health."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from was_daemon import __version__
from was_daemon.conformance.results import CheckState
from was_daemon.doctor import disks, paths
from was_daemon.doctor.contract import UNANSWERED, results_here, server_at
from was_daemon.doctor.findings import Finding, State, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient
from was_daemon.health.probe import addresses_of, probe
from was_daemon.model.interfaces import ILocalFiles

_NAME = "daemon"
_SECONDS = 4.0
_HEALTH = "/healthz"
_SAYS = "the running daemon says: "
_LOST = "is its disk mounted?"
"""Words of a store whose directory was replaced."""


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong at each address of this machine; blocks."""
    if patient.is_wrong("server.listen"):
        yield skipped(_NAME, "server.listen is wrong")
        return
    public = patient.known.server.public_url
    urls = [url for url in addresses_of(patient.known.server) if url != public]
    if not urls:
        yield skipped(_NAME, "it listens on no TCP port of its own that could be asked")
    for url in urls:
        answer = probe(url, _SECONDS)
        if not answer["ok"] and "health" not in answer:
            yield failed(_NAME, f"{url}: {answer['problem']}", _start(patient, _hanging(patient, url)))
        elif url.endswith(_HEALTH):
            yield from _health(patient, url, answer)
        else:
            yield from _served(patient, url, answer.get("version"))


def _hanging(patient: Patient, url: str) -> int:
    """Return the process that listens at an address, and does not answer; 0 without one, or if it may not be seen."""
    port = urlsplit(url).port
    return next((each.pid for each in patient.machine.listening_on(port or 0) if each.is_ours), 0)


def _start(patient: Patient, hanging: int = 0) -> str:
    if patient.unit_in_use:
        unit = patient.machine.unit.name
        return f"{patient.restart}, and why it does not: journalctl --unit={unit} --lines=50"
    start = f"was-daemon serve --config {patient.name_of_config}"
    return f"kill -9 {hanging}, as process {hanging} hangs; then: {start}" if hanging else start


def _health(patient: Patient, url: str, answer: dict[str, object]) -> Iterator[Finding]:
    health = answer.get("health")
    told = health.get("problems", []) if isinstance(health, dict) else []
    problems = told if isinstance(told, list) else []
    for problem in problems:
        yield _told(patient, f"{_SAYS}{problem}")
    if not problems:
        yield ok(_NAME, f"{url}: all is well")


def _told(patient: Patient, message: str) -> Finding:
    """Return a finding of what the daemon says, with a restart as its remedy if the daemon alone sees the fault."""
    if _LOST in message:
        # A restart makes the daemon use whatever is there now.
        remedy = f"Mount its disk again. Only if the directory is to be used as it is now: {patient.restart}"
        return failed(_NAME, message, remedy)
    if _is_of_directory(patient, message) and not _has_fault_on_disks(patient):
        return failed(_NAME, f"{message}. Only the running daemon sees that, and a restart mends it", patient.restart)
    alone = f"If none tells of it, only the running daemon sees it, and a restart mends it: {patient.restart}"
    return failed(_NAME, message, f"See the other findings, or docs/operations.md. {alone}")


def _is_of_directory(patient: Patient, message: str) -> bool:
    """Return whether the daemon speaks of a directory that this process may look at, too."""
    stores = [f"store {name}" for name, store in patient.stores.items() if ILocalFiles.providedBy(store)]
    return message.startswith(tuple(f"{_SAYS}{subject}: " for subject in ("spool", *stores)))


def _has_fault_on_disks(patient: Patient) -> bool:
    """Return whether the checks of paths and disks find a fault, or cannot tell; blocks."""
    found = [*paths.look(patient), *disks.look(patient)]
    return any(each.state in (State.FAILED, State.SKIPPED) for each in found)


def _served(patient: Patient, url: str, version: str | None) -> Iterator[Finding]:
    if version and version != __version__:
        yield warning(_NAME, f"{url} is version {version}, and {__version__} is installed", _start(patient))
    for result in results_here(server_at(url, patient), url):
        if result.state is CheckState.FAILED:
            if result.id == "key" and result.expected != UNANSWERED:
                yield failed(
                    _NAME,
                    f"{url} refuses the key of {patient.name_of_config}: the daemon has another one, which was changed "
                    "since it was started, or another daemon answers",
                    _start(patient),
                )
            else:
                yield failed(
                    _NAME,
                    f"{url}: {result.title}: expected {result.expected}, got {result.got}",
                    f"was-daemon check {url} --key-file FILE",
                )
            return
        if result.state is CheckState.DIFFERS:
            yield warning(_NAME, f"{url}: {result.remark}")
    yield ok(_NAME, f"{urlsplit(url).netloc} answers as version {version or 'unknown'}, with this key")
