"""Draw a training: python tools/plot.py WORK_DIR [options]."""

from picie_command import main

if __name__ == '__main__':
    main('plot')
