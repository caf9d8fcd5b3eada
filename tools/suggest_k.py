"""Advise a number of clusters without labels: python tools/suggest_k.py FOLDER [options]."""

from picie_command import main

if __name__ == '__main__':
    main('suggest-k')
