"""Test a segmentor, with the log of mmseg's own tool: python tools/test.py CONFIG CHECKPOINT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('test --verbose')
