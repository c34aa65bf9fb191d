"""What an administrator can do about a failure, by its status and its words: a sentence for each."""

import re
from collections.abc import Sequence

_CHECK_KEY = (
    "Compare the attachment key in Specify with the server's: was-daemon check URL --key-file FILE tells whether "
    "it fits."
)
_LOG = "The log of the daemon has the details at this time: journalctl --unit was-daemon."

_OF_SETTINGS: Sequence[tuple[str, str]] = (
    ("set public_url", "Set [server] public_url to the address that Specify and browsers use, and reload the daemon."),
    ("anybody can read below /static/", "Set [server] static_access = false, and reload the daemon."),
    ("cannot be read by the daemon", "Run was-daemon doctor as root: it prints the command by which the daemon may."),
    ("Nobody can log in to the console", "Run was-daemon console-password as root: the daemon takes it in seconds."),
    ("nginx leaves thumbnails", "Leave out [thumbnails] nginx_marker, or the setting that is in its way."),
    ("by way of discovery", "Leave out that address in [discovery], unless this is what you want."),
    ("mixed content", "Have that address served by https."),
    (
        r"/storage_plugins/\w+\.py(:| is left out)",
        "Correct the file of the plugin, or move it away, and reload the daemon: was-daemon config check tells whether "
        "it is loaded.",
    ),
    (
        "The catalogue lacks most originals",
        "Run was-daemon catalogue rebuild, which enters what the stores have; if there is a backup of the catalogue, "
        "restore it before: was-daemon doctor prints the commands.",
    ),
    ("This machine lacks", "A newer kernel may have it. The daemon works without it, and is protected less."),
    (
        r"^(server|admin|collections|stores|catalogue|specify)\.|^\[checksums\]|: run chmod|password goes unencrypted",
        "Change the setting or the file, and reload the daemon: was-daemon config check tells what is left.",
    ),
)
"""Patterns of warnings about settings, which have words of other failures in them."""

_BY_WORDS: Sequence[tuple[str, str]] = (
    *_OF_SETTINGS,
    ("token's time is", "Set the clock of this server, or of Specify's, by NTP: timedatectl shows whether that is on."),
    ("token is missing", "Specify is set up without a key, or something other than Specify asks: set its key."),
    ("another key|signed with|token", _CHECK_KEY),
    ("below /static/", "Web portals cannot show private files: make them public, or have the portal use fileget."),
    (
        "unknown collection|no such collection",
        "Add the collection to [collections] map, or correct its name in Specify.",
    ),
    ("min_free|no space|No space", "Free space on the disk, raise its size, or lower [limits] min_free."),
    ("quota", "Raise the quota of the collection in [collections] map, or delete files in it."),
    (
        "uploads are under way|is being uploaded",
        "Raise [limits] pending_uploads or pending_size, if the disk allows it.",
    ),
    ("thumbnails are being made", "The queue is full: raise [thumbnails] workers or queue, or wait until it is empty."),
    (
        "[Pp]ermission denied|cannot be written to by this user|belongs to somebody else",
        "Give the user of the daemon the right to write there: was-daemon doctor, as root, prints the command.",
    ),
    (
        "does not answer|did not answer|timed out|no answer|store cannot be reached|connection to the store was lost",
        "Look whether the store's server and the network to it work: was-daemon check-store NAME.",
    ),
    (
        "refused the login|login",
        "Correct user, password or key of the store in the configuration: was-daemon check-store NAME.",
    ),
    (
        "[Rr]ead-only file system",
        "Mount the disk writable, or let the unit allow it (ReadWritePaths=): was-daemon doctor, as root, tells which.",
    ),
    ("does not say when it was made", "The file has no date in its metadata, which is no fault."),
    (
        "[Ii]s its disk mounted",
        "Mount the disk again, or reload the daemon if the directory is to be used as it is now.",
    ),
    (
        "certificate|known_hosts|host key|fingerprint",
        "Have the server's administrator confirm the new key or certificate, then enter it.",
    ),
    ("too large", "Raise [server] max_upload, and client_max_body_size of nginx."),
    ("configuration has a mistake", "Correct the configuration: was-daemon config check tells what is wrong in it."),
    (
        "not as recorded",
        "was-daemon fixity report lists the files, and was-daemon fixity --help says how to restore them.",
    ),
    ("trash", "was-daemon trash list shows what is in the trash; the user of the daemon must be able to remove it."),
)
"""Patterns of what is said of a failure, the most specific first."""

_BY_STATUS = {
    400: "The client sends something else than Specify does: look who it is in the access log (was-daemon check and "
    "was-daemon doctor do so on purpose).",
    403: _CHECK_KEY,
    404: "Files were asked for that are not there: was-daemon reconcile tells which of Specify's records lack one.",
    405: "The client sends something else than Specify does: look who it is in the access log.",
    409: "[server] overwrite = false forbids to replace a file: delete the old one first, or set it to true.",
    413: "Raise [server] max_upload, and client_max_body_size of nginx.",
    415: "No thumbnails are made of this kind of file, which is no fault.",
    422: "The file is damaged, or is not what its name says: was-daemon verify finds all such files.",
    500: f"This is a fault of the program: please report it. {_LOG}",
    502: "The store gave no proper answer: was-daemon check-store NAME tries all that the daemon needs of it.",
    503: "A store is down or the server has too much to do: was-daemon status tells which.",
    504: "The store is too slow: look whether its server and the network to it work.",
    507: "Free space on the disk, raise its size, or lower [limits] min_free.",
}


def remedy(text: str, status: int | None = None) -> str:
    """Return what can be done about a failure that is described by `text`."""
    for pattern, sentence in _BY_WORDS:
        if re.search(pattern, text):
            return sentence
    return _BY_STATUS.get(status or 0, _LOG)
