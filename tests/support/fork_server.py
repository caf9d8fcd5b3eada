"""Commands in processes that need not import the toolbox, as they are forks of one that has it.

Importing torch and mmseg takes seconds of a core, more than most commands of the tests take
afterwards. As a program, this file imports them once and forks a process for each command that it
is asked for. A command has its own working directory, environment, arguments and files for output,
and ends by its own exit code or by a signal. What a process reads while it starts, such as
``LD_PRELOAD`` and ``OMP_NUM_THREADS``, is the server's.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What says to commands of the server, and to those that they start, where it listens.
VARIABLE = 'MMSEG_PICIE_FORK_SERVER'
_SIZE = 1 << 20  # bytes of the longest request


def start(folder: Path) -> tuple[subprocess.Popen, Path]:
    """Start a server that ends with the process that has started it.

    Args:
        folder: A folder that is there.

    Returns:
        The server, and its address: as `server` for :class:`Forked`.
    """
    address = folder / 'server'
    environment = os.environ | {
        'OMP_NUM_THREADS': '1',  # OpenMP's threads do not outlive a fork
        'OMP_WAIT_POLICY': 'PASSIVE',
        VARIABLE: str(address),
    }
    server = subprocess.Popen(
        [sys.executable, __file__, str(address)], stdin=subprocess.PIPE, env=environment
    )
    return server, address


class Forked:
    """A command in a fork of the server; what ``subprocess.Popen`` offers, as far as it is used.

    Args:
        words: Python, and a script or ``-m`` and a module, and their arguments.
        stdout: File for the output; None takes that of this process.
        stderr: File for the messages, likewise.
        env: Environment; None takes that of this process.
        cwd: Working directory, likewise.
        server: Address of the server; None takes the one that :data:`VARIABLE` names.
    """

    def __init__(
        self,
        words: Sequence[str],
        stdout: object = None,
        stderr: object = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        server: Path | None = None,
    ) -> None:
        address = os.environ[VARIABLE] if server is None else str(server)
        environment = dict(os.environ if env is None else env) | {VARIABLE: address}
        # A parent is told by its number, and that of a fork is the server's.
        environment.pop('MMSEG_PICIE_PARENT', None)
        environment['LD_PRELOAD'] = ''  # or it would start its program again with mimalloc
        job = dict(words=list(words[1:]), env=environment, cwd=str(cwd or os.getcwd()))
        sys.stdout.flush()
        files = [1 if stdout is None else stdout.fileno(), 2 if stderr is None else stderr.fileno()]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SIZE)
        self._socket.connect(address)
        socket.send_fds(self._socket, [json.dumps(job).encode()], files)
        self.returncode: int | None = None

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def send_signal(self, number: int) -> None:
        """Send a signal to it."""
        if self.returncode is None:
            self._socket.send(bytes([number]))

    def terminate(self) -> None:
        """Send SIGTERM to it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends.

        Returns:
            Its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: If it takes longer than `timeout` seconds.
        """
        if self.returncode is None:
            self._socket.settimeout(timeout)
            try:
                answer = self._socket.recv(64)
            except TimeoutError:
                raise subprocess.TimeoutExpired('a command', timeout or 0) from None
            assert answer, 'the fork server has ended'
            self.returncode = int(answer)
            self._socket.close()
        return self.returncode


def run_job(job: dict, files: list[int]) -> None:
    """Become the command, in a fork."""
    for target, file in enumerate(files, 1):
        os.dup2(file, target)
        os.close(file)
    os.chdir(job['cwd'])
    os.environ.clear()
    os.environ.update(job['env'])
    name, *arguments = job['words']
    sys.path[0] = str(Path(name).resolve().parent)
    paths = job['env'].get('PYTHONPATH', '').split(os.pathsep)
    sys.path[1:1] = [path for path in paths if path and path not in sys.path]
    # The package's first lines run again, as they know by them what kind of process this is.
    sys.modules.pop('mmseg_picie')
    import numpy

    numpy.random.seed()  # it would be the same in every fork
    code: object = 0
    try:
        if name == '-m':
            sys.argv[:] = arguments
            runpy.run_module(arguments[0], run_name='__main__', alter_sys=True)
        else:
            sys.argv[:] = [name, *arguments]
            runpy.run_path(name, run_name='__main__')
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0))


def prepare() -> None:
    """Import what commands import, and let those that they start be forks as well."""
    import gc
    from importlib import import_module

    import mmseg_picie
    from mmseg_picie import cli
    from mmseg_picie.apis import child_commands

    for name in [*cli.COMMANDS, *(f'convert-{name}' for name in cli.CONVERTERS)]:
        if name != 'convert':
            import_module('mmseg_picie.cli.' + name.replace('-', '_'))
    for path in Path(mmseg_picie.__file__).parent.glob('apis/*.py'):
        import_module(f'mmseg_picie.apis.{path.stem}')
    for name in ('matplotlib.pyplot', 'mmseg.apis', 'scipy.optimize', 'sklearn.cluster'):
        import_module(name)
    # The texts of configs take most of the time of a tiny run.
    import yapf.yapflib.yapf_api

    yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, True)

    class Starting:
        Popen = Forked
        TimeoutExpired = subprocess.TimeoutExpired

    child_commands.subprocess = Starting
    gc.collect()
    gc.freeze()  # mmengine collects for every data set


def serve(address: str) -> None:
    """Fork a process for each connection, and write its exit code there."""
    prepare()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(address + '.new')
    listening.listen(64)
    os.rename(address + '.new', address)
    children: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        # A child's end interrupts the wait.
        waking, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:  # who has started it is gone
                    for pid in children:
                        os.kill(pid, signal.SIGKILL)
                    return
                if key.fileobj is waking:
                    waking.recv(4096)
                elif key.fileobj is listening:
                    connection = listening.accept()[0]
                    data, files, *_ = socket.recv_fds(connection, _SIZE, 2)
                    child = os.fork()
                    if child == 0:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        for kept in (listening, connection, waking, woken, *children.values()):
                            kept.close()
                        run_job(json.loads(data), files)
                    for file in files:
                        os.close(file)
                    children[child] = connection
                    selector.register(connection, selectors.EVENT_READ, child)
                elif key.data in children:
                    # A signal for it; nothing if who has asked for it is gone, and so must it be.
                    number = key.fileobj.recv(1)
                    os.kill(key.data, number[0] if number else signal.SIGKILL)
                    if not number:
                        selector.unregister(key.fileobj)
            while children:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    break
                connection = children.pop(child)
                if connection in [key.fileobj for key in selector.get_map().values()]:
                    selector.unregister(connection)
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
                connection.close()


def wait_for(server: subprocess.Popen, address: Path, seconds: float = 300) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + seconds
    while not address.exists():
        assert server.poll() is None and time.monotonic() < deadline, 'no fork server'
        time.sleep(0.05)


if __name__ == '__main__':
    serve(sys.argv[1])
