"""torch's and mmseg's tools that trace a model work on it, and see what it computes."""

import runpy
import sys
from pathlib import Path

import mmseg
import pytest
import torch

GET_FLOPS = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'analysis_tools' / 'get_flops.py'


def images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(make_picie, fit):
    return fit(make_picie(dict(centroids_per_cluster=2))).eval()


def test_a_traced_model_computes_the_same(model):
    with torch.no_grad():
        traced = torch.jit.trace(model, (images(64, 96),))
        assert torch.equal(traced(images(64, 96)), model(images(64, 96)))


def test_a_model_compiles_as_one_graph(model):
    """Before any other pass, and at a size that is to be fitted to the stride."""
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    with torch.no_grad():
        for size in ((64, 96), (50, 70)):
            found = compiled(images(*size))
            torch.testing.assert_close(found, model(images(*size)), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_model_trains_and_predicts(make_picie, fit, pair):
    model = fit(make_picie())
    expected = {name: value.item() for name, value in model.loss(*pair).items()}
    compiled = torch.compile(model, backend='aot_eager')
    losses = compiled(*pair, mode='loss')
    assert {name: pytest.approx(value.item(), abs=1e-5) for name, value in losses.items()} == (
        expected
    )
    sum(losses.values()).backward()
    model.eval()
    with torch.no_grad():
        found, plain = (each(pair[0][0], mode='predict') for each in (compiled, model))
    assert torch.equal(found[0].pred_sem_seg.data, plain[0].pred_sem_seg.data)


@pytest.mark.slow
def test_mmseg_counts_the_operations_of_an_untrained_model(tiny_config, monkeypatch, capsys):
    if not GET_FLOPS.is_file():
        pytest.skip('this mmseg ships without its tools')
    config = tiny_config()
    words = ['get_flops.py', config.filename, '--shape', '64', '96']
    monkeypatch.setattr(sys, 'argv', words)
    runpy.run_path(str(GET_FLOPS), run_name='__main__')
    printed = capsys.readouterr().out
    assert 'Input shape: (64, 96)' in printed and 'Flops: ' in printed
    flops = printed.split('Flops: ')[1].split()[0]
    assert float(flops.rstrip('KMG')) > 0
