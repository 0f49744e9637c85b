"""Runs the child and talks with it, line by line."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Child:
    """A child under way."""

    def __init__(self, process):
        self.process = process

    def line(self):
        """The words of its next line; none at its end."""
        return self.process.stdout.readline().split()

    def ask(self):
        """Send it a line and return the words of its answer."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()


@contextmanager
def child(*arguments):
    """`python -m tests.store.child ARGUMENTS`; killed at the end, if it still runs."""
    command = [sys.executable, "-m", "tests.store.child", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.kill()
