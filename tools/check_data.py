"""Check the data that a config reads: python tools/check_data.py CONFIG [options]."""

from picie_command import main

if __name__ == '__main__':
    main('check-data')
