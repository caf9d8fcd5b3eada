"""Convert CamVid: python tools/dataset_converters/camvid.py SRC OUT [--link]."""

from picie_command import main

if __name__ == '__main__':
    main('convert camvid')
