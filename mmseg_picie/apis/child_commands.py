"""Commands that run others, each in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

from ..parents import make_environment

#: The command line in a process of its own.
PICIE = (sys.executable, '-m', 'picie_command')
#: Exit code of a command that a user's mistake has ended; argparse's own.
MISTAKE = 2
#: Seconds that a command has to end when it is asked to.
_PATIENCE = 1.4


def run_child(words: list[str], log: Path | None = None) -> int:
    """Run a command to its end, or end it together with this process.

    Args:
        words (list[str]): of its command line, without `picie`.
        log (Path, optional): file that its output is added to; by default it goes where this
            process's goes.

    Returns:
        int: its exit code.
    """
    output = None if log is None else open(log, 'a', encoding='utf-8')  # noqa: SIM115
    try:
        with subprocess.Popen(
            [*PICIE, *words], stdout=output, stderr=output, env=make_environment()
        ) as process:
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
    finally:
        if output is not None:
            output.close()


def read_mistake(log: Path) -> str:
    """Read the sentence with which a command was ended by a user's mistake.

    Args:
        log (Path): as of :func:`run_child`.

    Returns:
        str: without the name of the command; empty if there is none.
    """
    lines = log.read_text('utf-8', errors='replace').rstrip().splitlines()
    found = re.match(r'picie [\w -]+: error: (.*)', lines[-1]) if lines else None
    return found[1] if found else ''
