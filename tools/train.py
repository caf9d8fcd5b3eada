"""Train a segmentor, with the log of mmseg's own tool: python tools/train.py CONFIG [options]."""

from picie_command import main

if __name__ == '__main__':
    main('train --verbose')
