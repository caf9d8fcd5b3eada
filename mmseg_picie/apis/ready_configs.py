"""The ready configs: where they are, and how one is found by its name.

This is the one place that decides what CONFIG of a command, the argument of ``get_config``, and
``_base_`` in a config file mean.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from ..printing import printable
from .near_names import suggest

#: Begins the name of a ready config in ``_base_``, in OpenMMLab's way.
SCOPE = 'mmseg_picie::'
_PACKAGE = Path(__file__).parents[1]
#: Folders of parts of configs.
_PARTS = '_base_'
_SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def find_carried(name: str) -> Path:
    """Find a folder that a wheel carries along.

    Args:
        name (str): its name in the repository, such as 'configs'.

    Returns:
        Path: in the package if a wheel was installed, else the one of the checkout.
    """
    carried = _PACKAGE / '.mim' / name
    return carried if carried.is_dir() else _PACKAGE.parent / name


def find_folder() -> Path:
    """Find the folder of the ready configs.

    Returns:
        Path: as of :func:`find_carried`.
    """
    return find_carried('configs')


def list_ready() -> dict[str, Path]:
    """List the ready configs, and the parts that they are made of.

    Returns:
        dict[str, Path]: file of each by its path in the folder without the suffix, such as
            'picie_fpn_r18_cocostuff' or 'backbones/picie_fpn_r50_cocostuff'.
    """
    folder = find_folder()
    paths = sorted(folder.rglob('*.py'))
    return {path.relative_to(folder).with_suffix('').as_posix(): path for path in paths}


def find_config(name: str | Path) -> Path:
    """Find a config file.

    Args:
        name (str or Path): path of a file; or name of a ready config, such as
            'picie_fpn_r18_cocostuff'. The name may begin with 'configs/' or the folder below it, as
            in 'backbones/picie_fpn_r50_cocostuff', and end in '.py'. A file goes before a name, and
            what begins with './' is a file, unless it goes on with 'configs/'.

    Returns:
        Path: the file.

    Raises:
        FileNotFoundError: If there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    ready = list_ready()
    given = Path(str(name).removeprefix(SCOPE)).as_posix()  # without './'
    wanted = PurePosixPath(given.removeprefix('configs/'))
    if wanted.suffix == '.py':
        wanted = wanted.with_suffix('')
    # In folders, too: file names of whole configs are unique.
    stems = {path.stem: path for key, path in ready.items() if _PARTS not in key.split('/')}
    is_name = given.startswith('configs/') or not str(name).startswith(('./', '.\\'))
    found = ready.get(str(wanted)) or stems.get(str(wanted))
    if is_name and found:
        return found
    shown, near = printable(str(name)), suggest(wanted.name, stems)
    if Path(name).suffix in _SUFFIXES or Path(name).exists():
        raise FileNotFoundError(f'there is no file {shown}{near}; check the path')
    raise FileNotFoundError(
        f'there is no file and no ready config {shown}{near}; check it, or take a name of those in '
        f'{find_folder()}'
    )


def read_bases_by_name() -> None:
    """Let ``_base_`` of config files name ready configs, as ``'mmseg_picie::NAME'``.

    mmengine has this form for OpenMMLab's own packages alone. Done again it changes nothing.
    """
    from mmengine.config import Config  # late, as commands find configs before the toolbox is there

    config: Any = Config
    theirs: Callable[[str, str], tuple[str, str | None]] = config._get_cfg_path
    if getattr(theirs, 'reads_ready', False):
        return

    def find_base(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(SCOPE):
            return str(find_config(cfg_path)), None
        return theirs(cfg_path, filename)

    find_base.reads_ready = True  # type: ignore[attr-defined]
    config._get_cfg_path = staticmethod(find_base)
