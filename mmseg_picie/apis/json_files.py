"""Write results as JSON."""

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


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
