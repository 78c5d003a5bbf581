"""Owns names of processes, by which others on the same machine learn whether one that left something is dead."""

import os
import socket
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Return a name of this process that no other has, at any time."""
    return " ".join((*_machine(), str(os.getpid()), _started(os.getpid())))


def is_dead(name: str, *, unique_host: bool = True) -> bool:
    """Return whether the process `name` is known to be dead; of another machine or container nothing is known.

    Args:
        name: What `this_process` returned there.
        unique_host: Whether the name of this host is that of no other machine, so that another boot is an earlier one.
            Among machines that share a store this is not known.
    """
    parts = name.split(" ")
    if len(parts) != 5 or not parts[3].isdecimal():
        return False
    host, boot, space = _machine()
    if parts[0] != host:
        return False
    if parts[1] != boot:
        return unique_host
    return parts[2] == space and _started(int(parts[3])) != parts[4]


def _machine() -> tuple[str, str, str]:
    """Return the names of this machine, of its boot, and of the space in which process ids count."""
    return socket.gethostname(), _read(_PROC / "sys/kernel/random/boot_id"), _space()


def _space() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:  # not Linux
        return "-"


def _started(pid: int) -> str:
    """Return when the process `pid` began, since ids are used again; empty if there is none."""
    if _PROC.is_dir():
        # After the name in parentheses, which may hold blanks, the start is the twentieth field.
        fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
        return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "-"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip() or "-"
    except OSError:
        return "-"
