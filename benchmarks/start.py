"""The allocator that tools/train.py starts itself with, for what is measured."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / 'tools'))

from allocator import choose_environment, restart_with_mimalloc

__all__ = ['choose_environment', 'restart_with_mimalloc']
