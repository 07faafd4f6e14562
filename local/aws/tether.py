"""Run a command that dies with its parent: `python tether.py PARENT_PID COMMAND...`.

A parent that is killed outright cannot stop its children. On Linux the kernel does it: this script
asks for SIGKILL on the parent's death and then becomes the command (the request survives exec).
Elsewhere it only becomes the command. It runs by path, so it imports the standard library alone.

The command receives the signals that stop it, also where this process was started by somebody who ignores them: ignored
signals and blocked ones survive exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
STOPS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and replace it by the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            sys.exit(1)
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)  # noqa: S606 - the local run's own command line


if __name__ == "__main__":
    main(sys.argv[1:])
