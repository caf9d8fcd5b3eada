"""The main job on the embedded scenes: python tools/demo.py [--seed 0] [--work-dir DIR]."""

from picie_command import main

if __name__ == '__main__':
    main('demo')
