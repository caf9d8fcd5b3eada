"""A command that trains starts again with mimalloc, once, and says everything once."""

import os
import platform
import subprocess
import sys

import pytest

from mmseg_picie.acceleration import allocator
from mmseg_picie.cli import main

SPY = """
import os, sys
sys.argv[1:] = {words!r}
def execve(path, command, environment):
    print('restarted', command[-1], 'mimalloc' in environment.get('LD_PRELOAD', ''))
    sys.exit()
os.execve = execve
import picie_command
picie_command.main()
"""


@pytest.mark.skipif(
    allocator.find_mimalloc() is None or platform.libc_ver()[0] != 'glibc',
    reason='mimalloc is not installed',
)
@pytest.mark.parametrize(('command', 'restarts'), [('train', True), ('check-data', False)])
def test_a_command_that_trains_starts_again(tmp_path, command, restarts):
    config = tmp_path / 'config.py'
    config.write_text('a = 1\n')
    words = [command, str(config)]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*allocator.CHOICES, 'MIMALLOC_'))
    }
    done = subprocess.run(
        [sys.executable, '-c', SPY.format(words=words)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ('restarted' in done.stdout) == restarts
    assert ('Loading' in done.stdout) != restarts  # nothing is said twice


def test_a_command_that_python_calls_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'execve', None)
    config = tmp_path / 'config.py'
    config.write_text('a = 1\n')
    with pytest.raises(SystemExit):  # the config is none of a model
        main(['train', str(config), '--work-dir', str(tmp_path)])
