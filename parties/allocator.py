"""Settings of the C library's memory allocator for a process that fills and drops large buffers all the time."""

from __future__ import annotations

import ctypes
import gc

import numpy as np

__all__ = ["have_pages_ready", "keep_freed_memory"]

# glibc's mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_KEPT_BYTES = 256 << 20
_PIECE_BYTES = 2 << 20


def keep_freed_memory() -> None:
    """Let the process reuse freed buffers instead of getting fresh pages for each, which costs more than filling them.

    At most 256 MiB stay with the process beyond what it uses. Also takes what is loaded by now out of Python's garbage
    collection. To be called once, before threads start; C libraries other than glibc are left as they are.
    """
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def have_pages_ready(size: int) -> None:
    """Fill and free so many bytes in small pieces, so that the buffers of the rounds to come need no fresh pages.

    Whatever read the tables may have given freed memory back to the system.
    """
    pieces = [np.empty(_PIECE_BYTES, np.uint8) for _ in range(-(-size // _PIECE_BYTES))]
    for piece in pieces:
        piece.fill(0)
