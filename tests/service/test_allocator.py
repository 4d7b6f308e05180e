"""Large buffers stay with the process: the next one costs no page faults."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from service.allocator import keep_large_buffers
if sys.argv[1] == "keep":
    assert keep_large_buffers()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    bytearray(4 << 20)
before = faults()
for _ in range(50):
    bytes(bytearray(4 << 20))
print(faults() - before)
"""


def faults(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_buffers_that_come_and_go_are_faulted_in_once():
    assert faults("keep") < faults("leave") / 10
