"""`python -m mmseg_picie.cli` is the command `picie`."""

from . import main

if __name__ == '__main__':
    main(is_program=True)
