"""Whose mistake an error is, and what to say of it.

An error is a user's mistake if the file system, this package or the toolbox has raised it on
purpose, or if it came up while something was read or built as the config says. The traceback tells
which. Everything else is None: an error of this package.
"""

from __future__ import annotations

import linecache
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from ..apis import near_names
from ..apis.extras import explain_missing

_PACKAGE = str(Path(__file__).parents[1])
_TOOLBOX = re.compile(r'[/\\](mmengine|mmcv|mmseg)[/\\]')
#: Files of the toolbox and of torch -> their functions within which an error is of what is read or
#: built; None for all of them.
_BUILDING: dict[str, set[str] | None] = {
    'mmengine/config/': None,
    'mmengine/registry/': None,
    'mmengine/runner/checkpoint.py': None,
    'mmengine/runner/runner.py': {
        *('__init__', 'from_cfg', 'setup_env', 'set_randomness', 'scale_lr'),
        *('build_dataloader', 'build_optim_wrapper', 'build_param_scheduler', 'wrap_model'),
        *('load_checkpoint', 'resume', 'load_or_resume'),
    },
    'mmengine/dataset/base_dataset.py': None,
    'mmseg/apis/inference.py': {'init_model'},
    'mmseg_picie/apis/launchers.py': {'prepare_launcher'},
    'mmseg_picie/datasets/base.py': {'__getitem__'},
    'torch/serialization.py': None,
    'torch/utils/data/dataloader.py': {'__init__'},
}
#: What torch says where parts of a model do not fit each other or the data.
_MISFIT = re.compile(r'size|shape|channel|dimension', re.IGNORECASE)
_WORKER = re.compile(r'^Caught \w+ in .*\.\nOriginal Traceback .*\n', re.DOTALL)
_FRAME = re.compile(r'^  File "(.+)", line \d+, in (.+)\n(?:    (\S.*)\n)?', re.MULTILINE)


class Mistake(Exception):
    """A user's mistake; the message names the argument or file, the rule, the value and the fix."""


class Step(NamedTuple):
    """A function on the way to an error.

    Attributes:
        file: Its file.
        function: Its name.
        code: The line that was run.
        frame: With its variables; None if it was in another process.
    """

    file: str
    function: str
    code: str
    frame: FrameType | None

    def is_in(self, *packages: str) -> bool:
        """Whether it is of this package ('own') or of the toolbox ('toolbox')."""
        own = self.file.startswith(_PACKAGE)
        toolbox = not own and bool(_TOOLBOX.search(self.file))
        return ('own' in packages and own) or ('toolbox' in packages and toolbox)

    @property
    def builds(self) -> bool:
        """Whether it reads or builds what the config says."""
        path = self.file.replace('\\', '/')
        return any(
            end in path and (functions is None or self.function in functions)
            for end, functions in _BUILDING.items()
        )


def find_cause(error: BaseException, config: str | None = None) -> str | None:
    """Say in a sentence what a user can mend.

    Args:
        error: What ended the work.
        config: The config file, if there is one.

    Returns:
        The sentence; None if it is no user's mistake.
    """
    if isinstance(error, Mistake):
        return str(error)
    steps, text = _trace(error)
    if isinstance(error, MemoryError) or type(error).__name__ == 'OutOfMemoryError':
        return f'the memory does not suffice ({text}); use smaller batches or images'
    last = steps[-1]
    if last.is_in('own') and last.code.startswith('raise') and text:
        return text
    checkpoint = _find_checkpoint(steps)
    if checkpoint:
        return f'{checkpoint} {_describe_loading(error, text, steps)}'
    if isinstance(error, OSError) and (error.strerror or text.startswith('[Errno')):
        reason = error.strerror or text.partition('] ')[2]
        name = f'{error.filename}: ' if error.filename else ''
        return f'{name}{reason}; check the path, its permissions and the space on its disk'
    subject = f'argument config: {config}' if config else 'the settings'
    named = near_names.explain(error, text, _built(steps)) or explain_missing(text)
    if named:
        return f'{subject}: {named}'
    if last.is_in('own') and isinstance(error, AssertionError):
        return None
    if any(step.builds for step in steps):
        return f'{subject}: {_describe_building(error, text, steps)}'
    if last.is_in('toolbox') and last.code.startswith(('raise', 'assert')) and text:
        return f'{subject}: {text}; correct its settings'
    return _find_cause_in_torch(error, text, steps, subject)


def _find_cause_in_torch(
    error: BaseException, text: str, steps: list[Step], subject: str
) -> str | None:
    """What torch reports of models, workers and other processes."""
    if type(error).__name__.startswith('Dist'):  # torch.distributed's errors
        return f'the processes of the job cannot reach each other: {text}'
    if not isinstance(error, RuntimeError):
        return None
    if re.search(r'Connection (closed|reset) by peer', text):  # gloo's
        return f'another process of the job has ended, see what it says ({text[:80]} ...)'
    if text.startswith('DataLoader worker'):
        return f'{text}; the memory may not suffice: lower num_workers or batch_size of the loader'
    if any(step.function == '_call_impl' for step in steps) and _MISFIT.search(text):
        return f'{subject}: parts of the model do not fit each other or the images: {text}'
    return None


def _trace(error: BaseException) -> tuple[list[Step], str]:
    """The way to an error, the last step being where it was raised, and its words on one line."""
    # KeyError quotes its words.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    steps = list(_steps(error))
    if _WORKER.match(text):  # it came up in a data loader's worker, and brings its traceback along
        steps = [Step(file, name, code, None) for file, name, code in _FRAME.findall(text)] or steps
        name = re.escape(type(error).__name__)
        text = re.split(rf'^(?:[\w.]+\.)?{name}: ?', text, flags=re.MULTILINE)[-1]
        text = text.strip().strip('\'"') if isinstance(error, KeyError) else text
    return steps or [Step('', '', '', None)], ' '.join(text.split())


def _steps(error: BaseException) -> Iterator[Step]:
    for frame, number in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        code = linecache.getline(file, number, frame.f_globals).strip()
        yield Step(file, frame.f_code.co_name, code, frame)


def _built(steps: list[Step]) -> dict[str, Any]:
    """Variables of mmengine's innermost function that builds an object from its settings."""
    for step in reversed(steps):
        if step.function == 'build_from_cfg' and step.frame is not None:
            return step.frame.f_locals
    return {}


def _find_checkpoint(steps: list[Step]) -> str:
    """The checkpoint that was being read, if one was."""
    for step in steps:
        path = step.file.replace('\\', '/')
        loads = path.endswith(('torch/serialization.py', 'mmengine/runner/checkpoint.py')) or (
            path.endswith('mmengine/runner/runner.py')
            and step.function in ('load_checkpoint', 'resume')
        )
        if loads and step.frame is not None:
            values = step.frame.f_locals
            found = values.get('filename', values.get('f'))
            if isinstance(found, str | os.PathLike):
                return os.fspath(found)
    return ''


def _describe_loading(error: BaseException, text: str, steps: list[Step]) -> str:
    """Why a checkpoint cannot be read, or resumed from."""
    reason = f'{type(error).__name__}: {text}'
    if isinstance(error, KeyError) and any(step.function == 'resume' for step in steps):
        return (
            f'cannot be resumed from, as it has no {text}; resume a checkpoint of a training, or '
            'start from this one by load_from without --resume'
        )
    return (
        f'cannot be loaded as a checkpoint of this model ({reason}); check that it is whole and of '
        'this config'
    )


def _describe_building(error: BaseException, text: str, steps: list[Step]) -> str:
    """What was built or read, and why it could not be."""
    last, what = steps[-1], 'it cannot be used'
    if last.function in ('__missing__', '__getattr__') and 'mmengine/config' in last.file:
        name = re.findall(r'\w+', text)[-1]
        return f'it has no {name}, which this command needs; add it'
    built = _built(steps)
    kind = built.get('obj_type')
    if kind is not None:
        name = kind if isinstance(kind, str) else getattr(kind, '__name__', kind)
        what = f'{name} cannot be built{_list_plain(built.get("args"))}'
    if type(error).__name__ == 'LocalEntryNotFoundError':  # of huggingface_hub
        return (
            f'{what}, as its weights are not on this machine and cannot be downloaded; set '
            "pretrained=False of it, and init_cfg=dict(type='Pretrained', checkpoint=FILE) for "
            'weights of a file'
        )
    reason = f'{type(error).__name__}: {text or f"{last.function}: {last.code}"}'
    return f'{what} ({reason}); correct its settings'


def _list_plain(options: Any) -> str:
    """The options that are words and numbers, for a message."""
    plain = [
        f'{name}={value!r}'
        for name, value in (options or {}).items()
        if isinstance(value, str | int | float)
    ]
    return f' with {", ".join(plain)[:200]}' if plain else ''
