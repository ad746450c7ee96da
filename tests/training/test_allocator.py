"""Freed memory is used again: told by the pages that a process asks the kernel for."""

import subprocess
import sys

ROUNDS, BLOCKS, SIZE, PAGE = 10, 16, 4 * 2**20, 4096
STEPS_OF_A_TRAINING = f"""
import ctypes, resource
from scale_tune.training.allocator import keep_freed_memory

KEEP
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for _ in range({ROUNDS}):
    blocks = [libc.malloc({SIZE}) for _ in range({BLOCKS})]
    for block in blocks:
        libc.memset(block, 1, {SIZE})
    for block in blocks:
        libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(keep: str) -> int:
    code = STEPS_OF_A_TRAINING.replace("KEEP", keep)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_a_worker_asks_the_kernel_once_for_memory_that_every_step_needs():
    pages_of_a_step = BLOCKS * SIZE // PAGE
    assert faults("") > 3 * pages_of_a_step, "or the call is needed no longer"
    assert faults("keep_freed_memory()") < 2 * pages_of_a_step
