"""The tutorial runs from its first cell to its last."""

import os
from pathlib import Path

import pytest

nbclient = pytest.importorskip('nbclient')
nbformat = pytest.importorskip('nbformat')

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tutorial():
    """The notebook."""
    return nbformat.read(ROOT / 'docs/tutorial.ipynb', as_version=4)


def test_the_tutorial_is_kept_without_results(tutorial):
    cells = [cell for cell in tutorial.cells if cell.cell_type == 'code']
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_the_tutorial_runs(tutorial, tmp_path, monkeypatch):
    pytest.importorskip('ipykernel')
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    client = nbclient.NotebookClient(
        tutorial,
        timeout=600,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(tmp_path))),
    )
    client.execute()
    cells = [cell for cell in tutorial.cells if cell.cell_type == 'code']
    shown = [output for cell in cells for output in cell.outputs]
    texts = ''.join(output.get('text', '') for output in shown)
    # Its results: pictures, scores of both recipes, centroids of two views of 9 clusters by 5.
    assert sum('image/png' in output.get('data', {}) for output in shown) == 2
    assert sum('data:image/jpeg' in output.get('data', {}).get('text/html', '') for output in shown)
    assert 'quick {' in texts and 'trained {' in texts
    assert 'PiCIE CentroidHead (2, 45, 128)' in texts
    assert len(list((tmp_path / 'trained/labels').glob('*.png'))) == 32
    assert len(list((tmp_path / 'more/labels').glob('*.png'))) == 4
