"""Judge a checkpoint without labels: python tools/judge.py CONFIG CHECKPOINT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('judge')
