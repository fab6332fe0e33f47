"""Bringing the file of the last but one publication up to date: only what differs is written.

Belongs here: comparing and copying blocks, and whether a reader still has the file open. Does not:
publication (publish), which copies whole where this cannot be done.

DuckDB files are three header pages and blocks of one size, each beginning with its checksum. Blocks
whose checksums agree are the same. What an hour changes is some megabytes, whatever the length of
history. Headers go last: until then the file is none that DuckDB would open.
"""

import fcntl
import os
import signal
import sys
from pathlib import Path

HEADER_BYTES = 3 * 4096
BLOCK_BYTES = 262_144
_CHECKSUM_BYTES = 8
_MAGIC = slice(8, 12)
# In both database headers, which take turns.
_BLOCK_SIZES = (4096 + 40, 2 * 4096 + 40)


def update(source: Path, standby: Path) -> int | None:
    """Make `standby` equal to `source`, a closed database without a WAL; returns the bytes written.

    None, and nothing is written, where somebody has `standby` open, where that cannot be told, or
    where either is no such file. An OSError may leave it half-made: it is of no use then.
    """
    if sys.platform != "linux":
        return None
    standby.chmod(0o644)
    with source.open("rb") as old, standby.open("r+b") as new:
        if not _alone(new.fileno()):
            return None
        try:
            header = old.read(HEADER_BYTES)
            blocks, rest = divmod(source.stat().st_size - HEADER_BYTES, BLOCK_BYTES)
            if rest or not _is_known(header) or not _is_known(new.read(HEADER_BYTES)):
                return None
            return _copy(old.fileno(), new.fileno(), header, blocks)
        finally:
            fcntl.fcntl(new.fileno(), fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _alone(descriptor: int) -> bool:
    """Whether nobody else has the file open: only then the kernel gives a lease for writing."""
    # By default the end of a lease is told by SIGIO, which ends the process.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True


def _is_known(header: bytes) -> bool:
    sizes = {int.from_bytes(header[at : at + 8], "little") for at in _BLOCK_SIZES}
    return header[_MAGIC] == b"DUCK" and sizes == {BLOCK_BYTES}


def _copy(source: int, target: int, header: bytes, blocks: int) -> int:
    os.pwrite(target, bytes(HEADER_BYTES), 0)
    os.ftruncate(target, HEADER_BYTES + blocks * BLOCK_BYTES)
    written = HEADER_BYTES
    for number in range(blocks):
        place = HEADER_BYTES + number * BLOCK_BYTES
        checksum = os.pread(source, _CHECKSUM_BYTES, place)
        if os.pread(target, _CHECKSUM_BYTES, place) == checksum:
            continue
        os.pwrite(target, os.pread(source, BLOCK_BYTES, place), place)
        written += BLOCK_BYTES
    os.fsync(target)
    os.pwrite(target, header, 0)
    os.fsync(target)
    return written
