"""Write the backbone of a checkpoint: extract_backbone.py CHECKPOINT [OUT]."""

from picie_command import main

if __name__ == '__main__':
    main('convert backbone')
