"""A Ctrl-C that arrives where Python forgets exceptions still ends what it was meant for."""

import signal
import subprocess
import sys

PROGRAM = """
import os, signal, weakref
from orchestrator.cluster.interrupt import heed_interrupts, raise_if_interrupted
class Thing: pass
heed_interrupts()
raise_if_interrupted()
thing = Thing()
gone = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
del thing
print("went on", flush=True)
raise_if_interrupted()
print("and on")
"""


INSIDE = """
import importlib, os, signal
from orchestrator.cluster.interrupt import heed_interrupts, raise_if_interrupted
heed_interrupts()
imports = importlib._bootstrap._find_and_load.__code__.co_filename
inside = compile("os.kill(os.getpid(), signal.SIGINT)", imports, "exec")
exec(inside)
print("went on", flush=True)
raise_if_interrupted()
print("and on")
"""
SOON = INSIDE.replace("raise_if_interrupted()\n", "import time; time.sleep(20)\n")


def test_an_interrupt_of_an_import_comes_right_after_it() -> None:
    ran = subprocess.run([sys.executable, "-c", SOON], capture_output=True, check=False)
    assert ran.stdout.splitlines() == [b"went on"], ran.stderr
    assert ran.returncode in (-signal.SIGINT, 130)


def test_an_interrupt_does_not_break_into_the_import_system() -> None:
    ran = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, check=False)
    assert ran.stdout.splitlines() == [b"went on"], ran.stderr
    assert ran.returncode in (-signal.SIGINT, 130)


def test_an_interrupt_in_a_callback_is_raised_where_it_is_asked_for() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert ran.stdout.splitlines() == [b"went on"]
    assert ran.returncode in (-signal.SIGINT, 130)
