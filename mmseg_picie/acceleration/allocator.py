"""An allocator that suits training on a CPU.

Tensors of a training step come and go in many sizes. glibc hands every large block back to the
system, which maps it anew for the next tensor, page by page, or, if it is told to keep them, leaves
holes between blocks that the next ones do not fit into. mimalloc does neither. It can only be
chosen before a process starts, so commands that train start themselves again with it.
"""

import ctypes
import glob
import importlib.metadata
import os
import platform
import sys

# A distribution of mimalloc that pip installs, with the extra `cpu`.
DISTRIBUTION, LIBRARY = 'cmeel-mimalloc', 'libmimalloc.so'
# Milliseconds, a day: freed memory is kept for the next tensor. It is handed back when it is asked
# for, which -1 (never) would forbid.
PURGE_DELAY = '86400000'
# The user's own choice, which is left alone. An empty LD_PRELOAD is one as well.
CHOICES = ('LD_PRELOAD', 'MALLOC_', 'GLIBC_TUNABLES')
# Device files of NVIDIA's and AMD's drivers: beside a GPU, memory of the host hardly matters.
GPUS = ('/dev/nvidia[0-9]*', '/dev/kfd')


def find_mimalloc() -> str | None:
    """Find the library.

    Returns:
        str | None: its path; None where it is not installed.
    """
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (str(file.locate()) for file in files if file.name == LIBRARY)
    return next((path for path in paths if os.path.isfile(path)), None)


def choose_environment() -> dict[str, str]:
    """Choose variables that a process must be started with to use mimalloc.

    Returns:
        dict[str, str]: their values; none where the user has chosen, there is a GPU, the C library
            is another than glibc, or mimalloc is not installed.
    """
    is_chosen = any(name.startswith(CHOICES) for name in os.environ)
    has_gpu = any(glob.glob(pattern) for pattern in GPUS)
    if is_chosen or has_gpu or platform.libc_ver()[0] != 'glibc':
        return {}
    library = find_mimalloc()
    if library is None:
        return {}
    return {'LD_PRELOAD': library, 'MIMALLOC_PURGE_DELAY': PURGE_DELAY}


def restart_with_mimalloc() -> None:
    """Start this program again with mimalloc, in the same process, if there is reason to.

    To be called before anything large is imported.
    """
    variables = choose_environment()
    if not variables or sys.gettrace() is not None:  # a debugger would lose its process
        return
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**variables, **os.environ})


def release_freed_memory() -> bool:
    """Hand memory that mimalloc keeps for the next tensor back to the system.

    Behind a phase whose tensors are of other sizes than those of the next, it would add to the
    peak.

    Returns:
        bool: whether this process uses mimalloc.
    """
    if not sys.platform.startswith('linux'):
        return False
    collect = getattr(ctypes.CDLL(None), 'mi_collect', None)
    if collect is None:
        return False
    collect(True)
    return True
