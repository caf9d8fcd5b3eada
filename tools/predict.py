"""Segment images: python tools/predict.py CONFIG CHECKPOINT INPUT [INPUT ...] [options]."""

from picie_command import main

if __name__ == '__main__':
    main('predict')
