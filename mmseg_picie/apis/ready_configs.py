"""The ready configs, which are in the repository and not in the package."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def find_ready(path: str) -> Path:
    """Find a ready config, in the current folder or in the checkout that this package is run from.

    Args:
        path (str): such as 'configs/picie_fpn_r18_scenes.py'.

    Returns:
        Path: the file.

    Raises:
        FileNotFoundError: If it is in neither.
    """
    for folder in (Path(), ROOT):
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(
        f'there is no {path}; it is part of the repository, so run this in a folder that holds its '
        'configs.'
    )
