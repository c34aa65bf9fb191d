"""seccomp: the system calls that a process gives up (Linux, `Documentation/userspace-api/seccomp_filter.rst`).

A list of what is denied, not of what is allowed: image libraries and the C library need other calls in every version.
"""

import ctypes
import errno
import os
import platform
import struct

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column of the tables below, and the kernel's number of the architecture."""

# fmt: off
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # other programs and other processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "kill": (62, 129),
    "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
    # the network, and what would get around this filter
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # files by their names, and what a file has beside its content
    "creat": (85, None), "truncate": (76, 45), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "unlink": (87, None),
    "unlinkat": (263, 35), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "mknod": (133, None),
    "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "open_by_handle_at": (304, 265), "file_setattr": (469, 469),
    # what processes of one user share
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_tree": (428, 428), "move_mount": (429, 429), "mount_setattr": (442, 442), "bpf": (321, 280),
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
"""Calls whose arguments lie in memory, which a filter cannot see: the C library does with older ones."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000
_ANY = 0xFFFFFFFF
_CONDITIONAL: dict[str, tuple[tuple[int | None, int | None], int, int, bool]] = {
    "open": ((2, None), 1, _WRITING, True),
    "openat": ((257, 56), 2, _WRITING, True),
    "clone": ((56, 220), 0, _CLONE_THREAD, False),
    "prlimit64": ((302, 261), 0, _ANY, True),
}
"""Denied when the argument in that place has one of those bits, or when it has none of them."""

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def is_available() -> bool:
    """Whether this kernel has seccomp, and this module knows the machine's system calls."""
    # Without a filter to install the kernel complains about that, if it knows of filters at all.
    refused = _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) == -1
    return refused and ctypes.get_errno() == errno.EFAULT and platform.machine() in _ARCHITECTURES


def restrict() -> None:
    """Deny this thread, and all that it starts, new sockets and processes, writing to files that are not open yet, and
    whatever else decoding an image does not need. Needs `is_available()` and `no_new_privs`; raises OSError."""
    program = _program(*_ARCHITECTURES[platform.machine()])
    arguments = _Program(len(program) // 8, program)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(arguments), 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _program(column: int, architecture: int) -> bytes:
    """The filter, in the kernel's byte code (`linux/filter.h`) on its view of a call (`struct seccomp_data`)."""
    steps = [
        _step(_LOAD, 4),
        _step(_EQUAL, architecture, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),
        # Numbers from here on are calls of another kind, by which all others could be made.
        _step(_AT_LEAST, _X32, otherwise=1),
        _step(_RETURN, _KILL),
    ]
    for numbers, error in [
        *((call, errno.EPERM) for call in _DENIED.values()),
        *((call, errno.ENOSYS) for call in _ABSENT.values()),
    ]:
        if (number := numbers[column]) is not None:
            steps += [_step(_EQUAL, number, otherwise=1), _step(_RETURN, _ERROR | error)]
    for numbers, argument, bits, denied_with in _CONDITIONAL.values():
        if (number := numbers[column]) is not None:
            test = {"then": 0, "otherwise": 1} if denied_with else {"then": 1, "otherwise": 0}
            steps += [
                _step(_EQUAL, number, otherwise=4),
                _step(_LOAD, 16 + 8 * argument),
                _step(_ANY_BIT, bits, **test),
                _step(_RETURN, _ERROR | errno.EPERM),
                _step(_RETURN, _ALLOW),
            ]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
