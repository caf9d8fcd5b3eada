"""Checkpoint files that are whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch


def save_whole(content: Any, path: str | Path) -> None:
    """Write a file of torch, complete or not at all.

    Args:
        content (Any): what to write.
        path (str or Path): where to; its folder is made if missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    try:
        torch.save(content, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
