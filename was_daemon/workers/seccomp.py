"""seccomp: denial of system calls to a process (Linux, `Documentation/userspace-api/seccomp_filter.rst`).

The lists name denied calls, not allowed ones: each version of the image libraries and the C library needs other calls.
"""

import ctypes
import errno
import os
import platform

from was_daemon.workers import bpf

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column in the tables below, and the kernel's number, of each architecture."""

# fmt: off
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # other programs and other processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "kill": (62, 129),
    "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "get_robust_list": (274, 100), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "migrate_pages": (256, 238), "move_pages": (279, 239), "setsid": (112, 157),
    "setpgid": (109, 154), "personality": (135, 92), "seccomp": (317, 277), "lsm_set_self_attr": (460, 460),
    # the network, what else takes bytes and open files to others, and what would get around this filter
    "socket": (41, 198), "socketpair": (53, 199), "sendmsg": (46, 211), "sendmmsg": (307, 269), "setsockopt": (54, 208),
    "splice": (275, 76), "tee": (276, 77), "vmsplice": (278, 75), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0), "io_submit": (209, 2),
    # memory that the limit of the address space does not count
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # files by their names, and what a file has beside its content
    "creat": (85, None), "truncate": (76, 45), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "unlink": (87, None),
    "unlinkat": (263, 35), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "mknod": (133, None),
    "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466), "getxattr": (191, 8),
    "lgetxattr": (192, 9), "fgetxattr": (193, 10), "getxattrat": (464, 464), "listxattr": (194, 11),
    "llistxattr": (195, 12), "flistxattr": (196, 13), "listxattrat": (465, 465), "file_getattr": (468, 468),
    "file_setattr": (469, 469), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "cachestat": (451, 451), "sync": (162, 81), "syncfs": (306, 267),
    # An open file's lock is the daemon's, too: it keeps others away from a file that is being made or replaced.
    "flock": (73, 32),
    # what processes of one user share
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_tree": (428, 428), "move_mount": (429, 429), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "statmount": (457, 457), "listmount": (458, 458), "uselib": (134, None), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "inotify_init": (253, None), "inotify_init1": (294, 26), "setuid": (105, 146),
    "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151), "setfsgid": (123, 152),
    "capset": (126, 91),
}
# fmt: on
_ABSENT = {"clone3": (435, 435), "openat2": (437, 437)}
"""Calls whose arguments lie in memory, which a filter cannot read; without them the C library uses older calls."""

_NEWEST = 470
"""First number of calls that are newer than these lists. A worker sees them as missing; C libraries work without them.

This also covers the calls from 512 on that older kernels have on x86-64 for x32.
"""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000
_CLONE_NAMESPACES = 0x7E020000
_IOCTLS = {
    "TCGETS": 0x5401, "TCGETS2": 0x802C542A, "TIOCGWINSZ": 0x5413, "FIONREAD": 0x541B, "FIONBIO": 0x5421,
    "FIONCLEX": 0x5450, "FIOCLEX": 0x5451,
}  # fmt: skip
"""Allowed `ioctl` requests: whether a file is a terminal, how many bytes wait, and two that Python uses like `fcntl`.

Others have the kernel send signals, mark files or make them unchangeable, describe the network, type into terminals.
"""

_FCNTLS = {
    "F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_DUPFD_CLOEXEC": 1030,
}  # fmt: skip
"""Allowed `fcntl` commands. Others send signals to processes of the user, or lock, lease and seal files."""

_SETTABLE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_NONBLOCK | 0o100000 | 0o400000
"""Flags that F_SETFL may set: none that sends signals, or changes where the daemon reads and writes in the file.

The two numbers are O_LARGEFILE of the two architectures, which the kernel adds to the flags that it returns.
"""

_PRCTLS = {
    "PR_GET_DUMPABLE": 3, "PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21, "PR_CAPBSET_READ": 23,
    "PR_GET_TIMERSLACK": 30, "PR_GET_NO_NEW_PRIVS": 39, "PR_GET_TAGGED_ADDR_CTRL": 56, "PR_SET_VMA": 0x53564D41,
}  # fmt: skip
"""Allowed `prctl` operations: names for threads and memory, and queries.

Others would let a worker outlive the daemon, or share processors and pages.
"""

_CONDITIONAL: dict[str, tuple[tuple[int | None, int | None], bpf.Conditions]] = {
    "open": ((2, None), bpf.without_bits(1, _WRITING)),
    "openat": ((257, 56), bpf.without_bits(2, _WRITING)),
    "clone": ((56, 220), [*bpf.with_bits(0, _CLONE_THREAD), *bpf.without_bits(0, _CLONE_NAMESPACES)]),
    # of other processes
    "prlimit64": ((302, 261), bpf.without_bits(0)),
    # to an address; send() has none
    "sendto": ((44, 206), bpf.null_pointer(4)),
    "ioctl": ((16, 29), bpf.one_of(1, *_IOCTLS.values())),
    "fcntl": (
        (72, 25),
        [
            *bpf.one_of(1, *_FCNTLS.values()),
            *bpf.when(1, _FCNTLS["F_SETFL"], bpf.without_bits(2, ~_SETTABLE_FLAGS & 0xFFFFFFFF)),
        ],
    ),
    "prctl": ((157, 167), bpf.one_of(0, *_PRCTLS.values())),
}
"""Calls that are allowed with some arguments only."""

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def is_available() -> bool:
    """Return whether this kernel has seccomp, and this module knows the machine's system calls."""
    # A null pointer instead of a filter: a kernel that supports filters answers EFAULT.
    refused = _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) == -1
    return refused and ctypes.get_errno() == errno.EFAULT and platform.machine() in _ARCHITECTURES


def restrict() -> None:
    """Deny this thread, and its later threads, all calls that decoding an image does not need.

    These include new sockets and processes, and opening files for writing. Needs `is_available()` and `no_new_privs`;
    raises OSError.
    """
    filter_ = program(platform.machine())
    arguments = _Program(len(filter_) // 8, filter_)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(arguments), 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def program(machine: str) -> bytes:
    """Return the filter for an architecture, as byte code."""
    column, architecture = _ARCHITECTURES[machine]
    steps = bpf.prologue(architecture, _NEWEST)
    for calls, error in ((_DENIED, errno.EPERM), (_ABSENT, errno.ENOSYS)):
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                steps += bpf.deny(number, error)
    for numbers, conditions in _CONDITIONAL.values():
        if (number := numbers[column]) is not None:
            steps += bpf.allow_if(number, conditions)
    return b"".join([*steps, *bpf.end()])
