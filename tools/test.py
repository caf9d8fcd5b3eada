"""Test a segmentor, with mmseg's log: python tools/test.py CONFIG CHECKPOINT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('test --verbose')
