"""Name clusters by labels: python tools/store_map.py CONFIG CHECKPOINT OUT."""

from picie_command import main

if __name__ == '__main__':
    main('store-map')
