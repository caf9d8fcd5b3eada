"""Write results as JSON, and read those of earlier runs."""

import json
import math
from pathlib import Path
from typing import Any

from ..whole_files import write_whole


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file, complete or not at all.

    Args:
        path (str or Path): file to write; its folder is made if missing.
        content (Any): dicts, lists, text and numbers; a score of nothing (NaN) becomes null.
    """
    write_whole(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + '\n')


def read_json(path: str | Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote, perhaps saved again by another program.

    Args:
        path (str or Path): file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Returns:
        dict[str, Any]: its content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no JSON object.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (RecursionError, ValueError) as error:
        raise ValueError(
            f'{path} must be a JSON file, but cannot be read as one ({error}); correct it, or '
            'remove it.'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} must hold a JSON object, but holds a {type(content).__name__}; correct it, or '
            'remove it.'
        )
    return content


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
