"""Settings of the C library's memory allocator for a process that fills and drops large buffers all the time."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["keep_freed_memory"]

# glibc's mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_KEPT_BYTES = 256 << 20


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
