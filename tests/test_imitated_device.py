"""The device that tests imitate is as strict as a real one, and no stricter."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from imitated_device import OnDevice, imitate


def refused(function: Callable) -> str:
    with pytest.raises((RuntimeError, TypeError)) as error:
        function()
    return str(error.value)


def test_the_imitated_device_refuses_what_torch_refuses():
    here, scalar = torch.randn(4, 3), torch.tensor(2.0)
    with imitate('cuda') as device:
        there = here.to('cuda')
        assert there.device == torch.device('cuda', 0) and here.device.type == 'cpu'
        for mixed in (
            lambda: there + here,
            lambda: here.add_(there),
            lambda: torch.tensor(1.0).add_(there.sum()),
            lambda: torch.cat([there, here]),
            lambda: torch.stack([there[0, 0], scalar]),
            lambda: here[there[:, 0].long() * 0],
            lambda: there.__setitem__((torch.tensor([0]),), here[:1]),
            lambda: torch.nn.Linear(3, 2)(there),
        ):
            assert 'on the same device' in refused(mixed)
        assert 'Use Tensor.cpu()' in refused(there.numpy)
        assert 'Use Tensor.cpu()' in refused(lambda: np.asarray(there))
        assert device.waits == 0


def test_the_imitated_device_allows_what_torch_allows():
    here, scalar = torch.randn(4, 3), torch.tensor(2.0)
    with imitate('cuda') as device:
        there = here.to('cuda')
        results = [
            there * scalar,
            scalar - there,
            there[torch.tensor([0, 2])],
            there.new_zeros(3),
            torch.arange(3, device=there.device),
            torch.zeros(2, dtype=torch.float64).to(there),
            there.double(),
        ]
        assert all(isinstance(each, OnDevice) for each in results)
        there[:2] = here[:2]
        there[torch.tensor([0])] = scalar
        torch.testing.assert_close(there.cpu()[0], torch.full((3,), 2.0))
        network = torch.nn.Linear(3, 2).to(there.device)
        network(there).sum().backward()
        assert isinstance(network.weight.grad, OnDevice)
        assert device.waits == 0 and there.sum().item() and device.waits == 1
    with imitate('mps', has_float64=False):
        there = here.to('mps')
        for wide in (there.double, lambda: torch.zeros(2, device='mps', dtype=torch.float64)):
            assert 'float64' in refused(wide)
