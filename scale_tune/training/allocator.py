"""What the process does with memory that it has freed.

Every step makes gradients and activations of the same sizes anew. By default glibc gives blocks of this size back to
the kernel at once, which then clears new pages for the next step.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's ``malloc.h``."""
LARGEST_KEPT = 32 * 2**20
"""In bytes: the most that every glibc accepts."""
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process use freed blocks again; without glibc nothing is changed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, NEVER)
