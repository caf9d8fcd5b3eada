"""Cut the ISPRS Potsdam scenes into tiles: potsdam3.py SRC OUT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('convert potsdam3')
