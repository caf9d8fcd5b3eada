"""The decoder against values measured on the released implementation."""

import numpy as np
import pytest
import torch

from mmseg_picie.models import SumFPN


@pytest.mark.parametrize('sizes', ['even', 'odd'])
def test_sum_fpn_equals_the_released_decoder(golden, sizes):
    """Tolerance 1e-5 on values of magnitude 4: sums of 960 products in float32."""
    data = golden('sum_fpn')
    neck = SumFPN((64, 128, 256, 512), out_channels=8)
    weights = {}
    for i in range(4):
        weights[f'laterals.{i}.weight'] = torch.from_numpy(data[f'weight{i}']).float()
        weights[f'laterals.{i}.bias'] = torch.from_numpy(data[f'bias{i}']).float()
    neck.load_state_dict(weights)
    levels = [torch.from_numpy(data[f'{sizes}_level{i}']).float() for i in range(4)]
    with torch.no_grad():
        (ours,) = neck(levels)
    first = int(data[f'{sizes}_first_row'])
    np.testing.assert_allclose(ours[:, :, first:], data[f'{sizes}_out'], rtol=0, atol=1e-5)
