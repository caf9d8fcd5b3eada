"""Threads of Python beside those of torch, for work that lets go of the interpreter's lock."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import torch


def get_threads() -> ThreadPoolExecutor:
    """As many threads as torch uses; they stay for the next call."""
    return _start(torch.get_num_threads())


@functools.lru_cache(maxsize=1)
def _start(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix='mmseg_picie')


if hasattr(os, 'register_at_fork'):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_start.cache_clear)
