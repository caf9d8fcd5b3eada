"""Score k-means without training: python tools/baselines.py CONFIG [options]."""

from picie_command import main

if __name__ == '__main__':
    main('baselines')
