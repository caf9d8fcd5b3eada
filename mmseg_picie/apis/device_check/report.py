"""All checks of a device, as a table and as JSON."""

import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from typing import Any, NamedTuple

import rich.box
import torch
from rich.console import Console
from rich.table import Table

from ...toolbox import find_providers
from ...version import __version__
from .faiss_check import check_faiss
from .parity import check_parity
from .phases import check_phases
from .rows import FAILED, LEFT_OUT, OK, Row, attempt
from .training import check_mixed_precision, check_training

#: Wide enough that no cell is broken, which would break the table where it is pasted.
_WIDTH = 400


class Report(NamedTuple):
    """What was found.

    Attributes:
        header (dict[str, Any]): device, machine and versions.
        rows (list[Row]): in the order of the checks.
    """

    header: dict[str, Any]
    rows: list[Row]

    @property
    def has_failed(self) -> bool:
        """Whether a check has."""
        return any(row.result == FAILED for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Header and rows, as :func:`..json_files.write_json` takes them."""
        return dict(header=self.header, rows=[row._asdict() for row in self.rows])

    def summary(self) -> str:
        """How many checks went how."""
        numbers = [f'{sum(r.result == kind for r in self.rows)} {kind}' for kind in _KINDS]
        return f'{", ".join(numbers)} on {self.header["device"]} ({self.header["name"]})'


_KINDS = (OK, FAILED, LEFT_OUT)


def check(
    device: torch.device, quick: bool = False, tell: Callable[[Row], None] = lambda row: None
) -> Report:
    """Do all checks of a device.

    Args:
        device (torch.device): that is there.
        quick (bool): small sizes for training and speed.
        tell (Callable): called with each row once it is there.

    Returns:
        Report: everything; no error of a check is raised.
    """
    rows = []
    for row in _run(device, quick):
        tell(row)
        rows.append(row)
    return Report(make_header(device, quick), rows)


def _run(device: torch.device, quick: bool) -> Iterator[Row]:
    yield from check_parity(device)
    yield from check_training(device, quick)
    yield attempt('precision', 'step in mixed precision', partial(check_mixed_precision, device))
    yield attempt('faiss', 'k-means of faiss-gpu', partial(check_faiss, device, quick))
    yield from check_phases(device, quick)


def make_header(device: torch.device, quick: bool) -> dict[str, Any]:
    """Say what was checked, where and with which versions.

    Args:
        device (torch.device): that was checked.
        quick (bool): as of :func:`check`.
    """
    versions = {'mmseg_picie': __version__, 'torch': torch.__version__}
    for found in find_providers().values():
        versions |= found
    for name in ('numpy', 'scikit-learn'):
        versions[name] = metadata.version(name)
    return dict(
        device=str(device),
        name=_name(device),
        quick=quick,
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        cuda=torch.version.cuda if device.type == 'cuda' else None,
        versions=versions,
    )


def _name(device: torch.device) -> str:
    if device.type in ('cuda', 'xpu'):
        return getattr(torch, device.type).get_device_name(device)
    return platform.processor() or platform.machine()


def print_report(report: Report) -> None:
    """Print a table in Markdown, to be pasted where it is to be read.

    Args:
        report (Report): of :func:`check`.
    """
    header = dict(report.header)
    versions = ', '.join(f'{name} {version}' for name, version in header.pop('versions').items())
    facts = ', '.join(f'{name} {value}' for name, value in header.items() if value is not None)
    table = _make_table(report.rows)
    print(f'{facts}\n{versions}')
    Console(width=_WIDTH, color_system=None).print(table)


def _make_table(rows: Sequence[Row]) -> Table:
    table = Table(box=rich.box.MARKDOWN)
    for name in ('part', 'check', 'result', 'found', 'allowed'):
        table.add_column(name, no_wrap=True)
    for row in rows:
        cells = (row.part, row.check, row.result, row.found, row.allowed)
        table.add_row(*(cell.replace('|', '/').replace('[', r'\[') for cell in cells))
    return table
