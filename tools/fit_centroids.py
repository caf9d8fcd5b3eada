"""Fit centroids afresh: python tools/fit_centroids.py CONFIG CHECKPOINT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('fit-centroids')
