"""Read config files; whatever is wrong with one is told in a sentence with file and line."""

import traceback
from pathlib import Path

from mmengine.config import Config

from .ready_configs import find_config


def read_config_file(path: str) -> Config:
    """Read a config file of mmengine.

    A config is a program, which can fail in any way.

    Args:
        path (str): the file, or the name of a ready config (see :func:`.find_config`).

    Returns:
        Config: what it says.

    Raises:
        FileNotFoundError: If there is no such file or name.
        ValueError: If it cannot be read, a base of it is missing, or a module of its
            ``custom_imports`` cannot be imported.
    """
    file = find_config(path)
    try:
        return Config.fromfile(file)
    except (Exception, SystemExit) as error:
        raise ValueError(f'argument config: {path} cannot be read: {_describe(error)}') from error


def _describe(error: BaseException) -> str:
    """What is wrong, where, and what to do."""
    text = ' '.join(str(error).split())
    if isinstance(error, RecursionError):
        return 'its _base_ files lead back to itself; take out one of them'
    if isinstance(error, SyntaxError):
        return _describe_syntax(error)
    if isinstance(error, UnicodeDecodeError):
        return 'it is not text in UTF-8; save it as such'
    if isinstance(error, ImportError) and text.startswith('Failed to import custom modules'):
        return (
            f'a module of its custom_imports cannot be imported ({error.__cause__}); correct the '
            'name, or set PYTHONPATH to the folder that holds the module'
        )
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return f'{text}; correct _base_, whose paths count from the folder of the config'
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}; check the path and its permissions'
    if isinstance(error, KeyError):
        text = f'{error.args[0] if error.args else ""}'
    where = _find_line(error)
    return f'{type(error).__name__}: {text}{where}; correct it'


def _describe_syntax(error: SyntaxError) -> str:
    """Where the syntax is wrong: the error that mmengine replaced by its own knows the line."""
    found = error
    while found.lineno is None and isinstance(found.__context__, SyntaxError):
        found = found.__context__
    file = found.filename if found.filename not in (None, '<unknown>') else ''
    where = ''.join([f' of {file}' if file else '', f', line {found.lineno}'])
    return f'it is not correct Python{where}: {found.msg}; correct it'


def _find_line(error: BaseException) -> str:
    """The line of a config that failed; an empty text if it was none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_config = frame.name == '<module>' and Path(frame.filename).is_file()
        if is_config and 'site-packages' not in frame.filename:
            return f' (line {frame.lineno} of {frame.filename})'
    return ''
