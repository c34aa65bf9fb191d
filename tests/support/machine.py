"""A machine with a systemd of its own, made of namespaces.

Its files are this machine's or those of another root directory, and what it writes is forgotten; its network is this
machine's or none. Needs root, and a hierarchy of control groups, version 2, that may be written to.
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from tests.support.daemon import eventually
from tests.support.paths import ROOT
from tests.support.sshd import require

SYSTEMD = Path("/lib/systemd/systemd")

_OUTSIDE = """
set -eu
mount -t tmpfs tmpfs "$DIRECTORY"
mkdir "$DIRECTORY/upper" "$DIRECTORY/work" "$ROOT"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$DIRECTORY/upper,workdir=$DIRECTORY/work" "$ROOT"
echo $$ > "$CGROUP/cgroup.procs"
exec unshare --pid --fork --kill-child --uts --ipc --cgroup $NETWORK sh -c "$INSIDE"
"""
_INSIDE = """
set -eu
[ -z "$NETWORK" ] || ip link set lo up
cd "$ROOT"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    cp -a "/dev/$device" dev
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm

eval "$PREPARE"

# Nothing runs but what a test starts.
rm -rf etc/fstab lib/systemd/system/*.wants lib/systemd/system-generators
echo > etc/systemd/system/nothing.target
for unit in was-daemon.service was-daemon@.service; do
    mkdir -p "etc/systemd/system/$unit.d"
    cat > "etc/systemd/system/$unit.d/log.conf" <<END
[Service]
StandardOutput=append:/run/was-daemon.log
StandardError=append:/run/was-daemon.log
END
done

mkdir .before
pivot_root . .before
umount -l /.before
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=nothing.target --log-target=null --show-status=no
"""

_INSTALLATION = """
rm -rf etc/systemd/system
for unit in was-daemon.service was-daemon.socket was-daemon@.service was-daemon@.socket; do
    mkdir -p "etc/systemd/system/$unit.d"
    cp "$ETC/$unit" etc/systemd/system
done

# An installation in /opt, as the unit expects it: what Python there is may lie in somebody's home.
mkdir -p opt/python opt/was-daemon/bin opt/was-daemon/lib
mount --bind "$PYTHON" opt/python
mount --bind "$VENV/lib" opt/was-daemon/lib
ln -s /opt/python/bin/python3 opt/was-daemon/bin/python
echo 'home = /opt/python/bin' > opt/was-daemon/pyvenv.cfg
{ echo '#!/opt/was-daemon/bin/python'; tail -n +2 "$VENV/bin/twistd"; } > opt/was-daemon/bin/twistd
chmod +x opt/was-daemon/bin/twistd
mkdir -p etc/ld.so.conf.d
echo /opt/python/lib > etc/ld.so.conf.d/0-python.conf
ldconfig -r .

echo 'was-daemon:x:950:950::/nonexistent:/usr/sbin/nologin' >> etc/passwd
echo 'was-daemon:x:950:' >> etc/group
mkdir -p etc/was-daemon
"""
"""Commands that install this repository's daemon and its units on a machine with this machine's files."""


class Machine:
    """A machine of which no unit is started; `directory` is an empty one for its use.

    It has this machine's files and network, with the daemon's units. With `lower`, it has the files in that directory,
    and no network.
    """

    def __init__(self, directory: Path, lower: Path | None = None) -> None:
        require(SYSTEMD.exists() and shutil.which("unshare"), "systemd")
        require(os.geteuid() == 0, "a machine of its own needs root, which")
        self._cgroup = _control_groups() / f"was-daemon-test-{uuid4().hex}"
        self._environment = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "INSIDE": _INSIDE,
            "PREPARE": "" if lower else _INSTALLATION,
            "LOWER": str(lower or "/"),
            "NETWORK": "--net" if lower else "",
            "DIRECTORY": str(directory),
            "ROOT": str(directory / "root"),
            "CGROUP": str(self._cgroup),
            "ETC": str(ROOT / "etc"),
            "PYTHON": sys.base_prefix,
            "VENV": sys.prefix,
        }

    def start(self) -> None:
        """Boot."""
        self._cgroup.mkdir()
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _OUTSIDE],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._init = int(eventually(self._first_process, "for systemd to run"))
        self.root = Path(f"/proc/{self._init}/root")
        eventually((self.root / "run/systemd/private").exists, "for systemd to be spoken to")

    def _first_process(self) -> str | None:
        assert self._process.poll() is None, "the machine could not be made"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            # Before it there are those that make the machine, which may end meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return child
        return None

    def run(self, *command: str) -> str:
        """Run a command in the machine, successfully; what it printed."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--pid", "--cgroup", "--net", "--root", "--wd"]
        outcome = subprocess.run([*enter, *command], capture_output=True, text=True, timeout=300)
        assert outcome.returncode == 0, (command, outcome.stdout, outcome.stderr, self.log())
        return outcome.stdout

    def show(self, unit: str, what: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={what}", unit).strip()

    def main_pid(self) -> int:
        """The daemon's process, by its number outside of the machine."""
        inside = self.show("was-daemon.service", "MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(FileNotFoundError, ProcessLookupError):
                lines = status.read_text().splitlines()
                numbers = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
                if len(numbers) > 1 and numbers[-1] == inside and self._is_here(status.parent):
                    return int(numbers[0])
        raise LookupError(inside)

    def _is_here(self, process: Path) -> bool:
        own = Path(f"/proc/{self._init}/ns/pid")
        return (process / "ns/pid").readlink() == own.readlink()

    def log(self) -> str:
        """What the daemon wrote to its log."""
        path = self.root / "run/was-daemon.log"
        return path.read_text("utf-8", "backslashreplace") if path.exists() else ""

    def stop(self) -> None:
        """End everything that runs in the machine."""
        self._process.kill()
        self._process.wait()
        for directory, _subdirectories, _files in os.walk(self._cgroup, topdown=False):
            eventually(lambda directory=directory: _remove(Path(directory)), "for the control group to be empty")


def _control_groups() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _device, path, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(path)
    require(None, "a hierarchy of control groups, version 2,")
    raise AssertionError


def _remove(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return False
    return True
