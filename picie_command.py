"""The command `picie`, which reads its arguments before the toolbox is imported.

Importing `mmseg_picie` imports torch and mmseg, as configs rely on it. That takes seconds, and
`picie --help` and a misspelt option need none of it, so this module asks to postpone it.
"""

import os
import sys
from collections.abc import Sequence


def main(command: str = '', argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        command: Its name, such as 'train'; without one it is the first word of the command line.
        argv: Words of the command line; None takes those of this process.
    """
    is_first = 'mmseg_picie' not in sys.modules
    if is_first:
        os.environ['MMSEG_PICIE_POSTPONED'] = '1'
    from mmseg_picie import cli

    words = [*command.split(), *(sys.argv[1:] if argv is None else argv)]
    cli.main(words, is_program=is_first and argv is None)


if __name__ == '__main__':
    main()
