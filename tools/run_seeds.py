"""Train under several seeds: python tools/run_seeds.py CONFIG [CONFIG ...] --seeds 1 2 3."""

from picie_command import main

if __name__ == '__main__':
    main('compare')
