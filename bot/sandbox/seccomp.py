"""A system call filter: sockets of the families that a network namespace covers, and no way around it.

A network namespace holds AF_INET and AF_NETLINK, but not AF_VSOCK: inside a virtual machine that family reaches the
hypervisor's services. io_uring makes sockets without the system call that is filtered here, so it is not there at all.
See seccomp(2) and linux/filter.h for the numbers.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from dataclasses import dataclass

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)

_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000
_IO_URING_SETUP = 425


@dataclass(frozen=True, slots=True)
class _Architecture:
    """An AUDIT_ARCH_ number, and the number of socket(2) on it."""

    audit: int
    socket: int


_ARCHITECTURES = {"x86_64": _Architecture(0xC000003E, 41), "aarch64": _Architecture(0xC00000B7, 198)}


def socket_filter(machine: str = platform.machine()) -> bytes | None:
    """The program for `bwrap --seccomp`; None for a machine that is not known here.

    A system call of another architecture (32-bit programs on x86_64) ends the process: its numbers mean something else.
    """
    known = _ARCHITECTURES.get(machine)
    if known is None:
        return None
    refuse_family, refuse_call = _ERROR | errno.EAFNOSUPPORT, _ERROR | errno.ENOSYS
    after_families = len(FAMILIES)
    program = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_JUMP_GREATER_EQUAL, 0, 1, _X32),
        (_RETURN, 0, 0, refuse_call),
        (_JUMP_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, refuse_call),
        (_JUMP_EQUAL, 0, after_families + 2, known.socket),
        (_LOAD_WORD, 0, 0, _FIRST_ARGUMENT_AT),
        *((_JUMP_EQUAL, after_families - place, 0, family) for place, family in enumerate(FAMILIES)),
        (_RETURN, 0, 0, refuse_family),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
