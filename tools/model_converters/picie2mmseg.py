"""Convert a checkpoint of the released layout: picie2mmseg.py SRC DST [--force]."""

from picie_command import main

if __name__ == '__main__':
    main('convert released')
