"""Train a segmentor, with mmseg's log: python tools/train.py CONFIG [options]."""

from picie_command import main

if __name__ == '__main__':
    main('train --verbose')
