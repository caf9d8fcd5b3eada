"""Export a checkpoint: python tools/export.py CONFIG CHECKPOINT OUT.onnx|OUT.pt2 [options]."""

from picie_command import main

if __name__ == '__main__':
    main('export')
