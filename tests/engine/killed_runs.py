"""Train in processes that are killed at a chosen place; a program for `test_kills.py`.

Reads a job a line as JSON from standard input: `config`, a file; `work_dir`; and `kill`, null or
{"at": "write" or "call", "number": n}: SIGKILL before the n-th time that a file is opened for
writing, flushed, moved or removed, or before the n-th call of mmengine's hooks. Each job runs in a
fork of this process, the first one also in itself, so that what it imports is there for the others.
Writes a line for each: `code` with which it ended, negative for a signal, and
`counts` of both kinds of places if it ended by itself.

It is to run on one thread, as OpenMP's threads do not outlive a fork.
"""

import builtins
import contextlib
import gc
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_picie.apis import runs

#: Calls that change what is on the disk.
CALLS = ('fsync', 'link', 'mkdir', 'remove', 'rename', 'replace', 'rmdir', 'unlink')
WRITING = os.O_WRONLY | os.O_RDWR


class Counter:
    """Counts calls, and kills this process before one of them."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, function: Callable, applies: Callable[..., bool] = lambda *_, **__: True):
        def watched(*args, **kwargs):
            if applies(*args, **kwargs):
                self()
            return function(*args, **kwargs)

        return watched


def watch_writes(counter: Counter) -> None:
    for name in CALLS:
        setattr(os, name, counter.watch(getattr(os, name)))
    os.open = counter.watch(os.open, lambda path, flags, *_, **__: bool(flags & WRITING))
    opened = counter.watch(open, lambda file, mode='r', *_, **__: not set(mode) <= set('rbt'))
    builtins.open = io.open = opened


def read_config(job: dict, work_dir: str) -> Config:
    config = Config.fromfile(job['config'])
    config.work_dir, config.resume = work_dir, True
    # mmengine keeps one logger and one visualiser for each name.
    config.experiment_name = config.visualizer.name = work_dir
    return config


def work(job: dict) -> None:
    """Do a job in this process, and write what was counted beside the work folder."""
    kill = job.get('kill') or {}
    counters = {at: Counter(kill['number'] if kill.get('at') == at else None) for at in AT}
    config = read_config(job, job['work_dir'])
    for at, counter in counters.items():
        AT[at](counter)
    runs.train(config, verbose=False)
    counts = {at: counter.count for at, counter in counters.items()}
    Path(job['work_dir'] + '.counts').write_text(json.dumps(counts))


def watch_hooks(counter: Counter) -> None:
    Runner.call_hook = counter.watch(Runner.call_hook)


AT = dict(write=watch_writes, call=watch_hooks)


def fork(job: dict) -> int:
    """Do a job in a child of this process; its output goes beside the work folder."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        with open(job['work_dir'] + '.log', 'a') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        work(job)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == '__main__':
    # The texts of configs take half of the time of a tiny run.
    Config.pretty_text = property(lambda config: '')
    for number, line in enumerate(sys.stdin):
        job = json.loads(line)
        if number == 0:
            with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
                runs.train(read_config(job, job['work_dir'] + '_before'), verbose=False)
            gc.collect()
            gc.freeze()  # mmengine collects for every data set
        found = dict(code=os.waitstatus_to_exitcode(fork(job)))
        if found['code'] == 0:
            found['counts'] = json.loads(Path(job['work_dir'] + '.counts').read_text())
        print(json.dumps(found), flush=True)
