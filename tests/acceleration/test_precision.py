"""Proofs for the precision of clusters, pseudo-labels and training."""

from functools import partial

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from mmseg_picie.acceleration import precision
from mmseg_picie.acceleration.hook import AccelerationHook

CPU = torch.device('cpu')


def autocast_dtype(dtype, device=CPU):
    """The precision of a product in the context."""
    matrix = torch.ones(2, 2)
    with precision.forward_precision(dtype, device):
        return (matrix @ matrix).dtype


@pytest.mark.parametrize('is_fast', [True, False])
def test_auto_is_bfloat16_where_that_is_faster(monkeypatch, is_fast):
    monkeypatch.setattr(precision, 'bfloat16_is_fast', lambda: is_fast)
    assert autocast_dtype('float32') == torch.float32
    assert autocast_dtype('bfloat16') == torch.bfloat16
    assert autocast_dtype('auto') == (torch.bfloat16 if is_fast else torch.float32)
    assert autocast_dtype('auto', torch.device('cuda')) == torch.float32


@pytest.mark.parametrize(
    'amx, avx512, vendor, is_fast',
    [
        (True, True, 'GenuineIntel', True),
        (False, True, 'GenuineIntel', False),
        (False, True, 'AuthenticAMD', True),
        (False, False, 'AuthenticAMD', False),
        (False, False, '', False),
    ],
)
def test_bfloat16_is_fast_where_it_has_units_enough(monkeypatch, amx, avx512, vendor, is_fast):
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: avx512, raising=False)
    monkeypatch.setattr(precision, '_vendor', lambda: vendor)
    assert precision.bfloat16_is_fast.__wrapped__() == is_fast


def record_dtypes(module):
    """A list that gets the precision of each output of a module."""
    dtypes = []

    def record(module, inputs, output):
        dtypes.append(output.dtype)

    module.register_forward_hook(record)
    return dtypes


def accelerated(model, dtype):
    """A model with the frozen copy that :class:`AccelerationHook` gives it."""
    model.make_frozen = partial(precision.FrozenCopyIn, dtype)
    model.freeze_encoder()
    return model


def test_frozen_passes_alone_are_in_bfloat16(make_picie, fit, pair):
    model = accelerated(fit(make_picie()), 'bfloat16')
    trained = record_dtypes(model.neck.laterals[0])
    frozen = record_dtypes(model._frozen_encoder[0].encoder[1].laterals[0])
    losses = model.loss(*pair)
    assert set(trained) == {torch.float32}
    assert set(frozen) == {torch.bfloat16}
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize('training_dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('frozen', ['float32', 'bfloat16'])
def test_training_in_another_precision_does_not_change_that_of_frozen_passes(
    make_picie, fit, pair, training_dtype, frozen
):
    """Clusters are found outside of the training step, and labels within: they must be alike."""
    model = accelerated(fit(make_picie()), frozen)
    dtypes = record_dtypes(model._frozen_encoder[0].encoder[1].laterals[0])
    with torch.autocast('cpu', training_dtype, enabled=training_dtype != torch.float32):
        model.loss(*pair)
    assert set(dtypes) == {getattr(torch, frozen)}


def test_a_plain_frozen_copy_is_float32_under_mixed_precision(make_picie, fit, pair):
    model = fit(make_picie())
    dtypes = record_dtypes(model._frozen_encoder[0].encoder[1].laterals[0])
    with torch.autocast('cpu', torch.bfloat16):
        model.loss(*pair)
    assert set(dtypes) == {torch.float32}


def test_features_in_bfloat16_are_near_those_in_float32(make_picie, fit, pair):
    model = fit(make_picie()).eval()
    features = []
    for dtype in ('float32', 'bfloat16'):
        frozen = accelerated(model, dtype)._frozen_encoder[0]
        features.append(list(model.extract_views(*pair, frozen)))
    for exact, near in zip(*features, strict=True):
        first, second = model.decode_head.embed(exact), model.decode_head.embed(near)
        assert near[0].dtype == torch.float32
        similarity = (first * second).sum(1)
        assert 0.99 < similarity.mean() < 1


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="frozen_dtype .* must be one of .*, but got 'half'"):
        AccelerationHook(frozen_dtype='half')


def test_training_in_bfloat16_on_a_cpu_keeps_weights_and_losses_in_float32(make_picie, fit, pair):
    model = fit(make_picie()).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plain = OptimWrapper(optimizer)
    mixed = OPTIM_WRAPPERS.build(dict(type='CPUAmpOptimWrapper', optimizer=optimizer))
    products = record_dtypes(model.neck.laterals[0])
    for wrapper, dtype in ((plain, torch.float32), (mixed, torch.bfloat16)):
        products.clear()
        with wrapper.optim_context(model):
            losses = model.loss(*pair)
        assert set(products) == {dtype}
        total = sum(losses.values())
        assert total.dtype == torch.float32
        wrapper.update_params(total)
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
