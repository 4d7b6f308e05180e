"""glibc told to keep the memory of large buffers that come and go.

By default each buffer over 128 KiB is mapped, faulted in page by page, and unmapped again: most of
what it cost to take an upload (1.5 ms of processor time a megabyte drained, 0.4 with this).
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
KEEP_BYTES = 128 << 20
"""Freed memory at the top of the heap that is not given back at once."""
HEAP_BYTES = 32 << 20
"""Buffers up to here come from the heap; glibc takes no larger figure."""


def keep_large_buffers() -> bool:
    """For this process from now on; False where the C library is not glibc or refuses."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    trimmed = mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)
    mapped = mallopt(M_MMAP_THRESHOLD, HEAP_BYTES)
    one = mallopt(M_ARENA_MAX, 1)  # a thread's own heap would be trimmed all the same
    return bool(trimmed and mapped and one)
