"""Threads of Python beside those of torch, for work that lets go of the interpreter's lock."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import torch


def get_threads() -> ThreadPoolExecutor:
    """As many threads as torch uses; they stay for the next call."""
    # A forked process has none of its parent's.
    return _start(os.getpid(), torch.get_num_threads())


@functools.lru_cache(maxsize=1)
def _start(process: int, number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix='mmseg_picie')
