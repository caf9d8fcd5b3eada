"""Compare starting weights at few labels: python tools/few_labels.py CONFIG [options]."""

from picie_command import main

if __name__ == '__main__':
    main('few-labels')
