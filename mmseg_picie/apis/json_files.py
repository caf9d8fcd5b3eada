"""Write results as JSON."""

import json
import math
from pathlib import Path
from typing import Any


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file under a temporary name and move it into place.

    Args:
        path (str or Path): file to write; its folder is made if missing.
        content (Any): dicts, lists, text and numbers; a score of nothing (NaN) becomes null.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_text(json.dumps(_without_nan(content), indent=2, allow_nan=False) + '\n')
    temporary.replace(path)


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
