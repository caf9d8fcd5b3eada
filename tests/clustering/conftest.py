"""Fixtures of the clustering tests."""

import pytest

from mmseg_picie.clustering import kmeans


@pytest.fixture(params=['compiled', 'torch'])
def either_way(request, monkeypatch):
    """With numba, and as where it is missing."""
    if request.param == 'compiled':
        pytest.importorskip('numba')
    else:
        monkeypatch.setattr(kmeans, 'compile_kernel', lambda num_clusters: None)
