"""What belongs to a node."""

import os
import subprocess
import sys

from orchestrator.cluster.local import processes_below

SLEEP = "import time; time.sleep(60)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
child.wait()
"""


def test_a_process_comes_before_all_that_descend_from_it() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert processes_below(parent.pid) == [parent.pid, child]
            assert {parent.pid, child} < set(processes_below(os.getpid()))
        finally:
            os.kill(child, 9)
    assert processes_below(child) == [child]
