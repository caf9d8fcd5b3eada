"""Activations that are computed again: the same training in less memory."""

import copy
import gc

import pytest
import torch

from mmseg_picie.models.recompute import recompute_activations

PARTS = tuple(f'backbone.layer{i}' for i in (1, 2, 3, 4))


class SavedBytes:
    """Bytes that a graph keeps for its backward pass, but for weights."""

    def __init__(self, model):
        self.weights = {weight.data_ptr() for weight in model.parameters()}
        self.total = 0

    def pack(self, tensor):
        self.total += tensor.nbytes * (tensor.data_ptr() not in self.weights)
        return tensor


@pytest.fixture
def models(make_picie, fit):
    """The same model twice, the second one with activations computed again."""
    return [
        fit(make_picie(activation_checkpointing=parts, **options)).train()
        for parts, options in (((), {}), (PARTS, {}))
    ]


def test_training_is_the_same(models, pair):
    plain, again = models
    assert list(plain.state_dict()) == list(again.state_dict())
    for model in models:
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimiser.zero_grad()
            model.found = model.loss(*pair)
            sum(model.found.values()).backward()
            optimiser.step()
    for name, value in plain.found.items():
        torch.testing.assert_close(again.found[name], value)
    # Weights, running statistics and the number of batches that these have seen.
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)


def test_less_is_kept_for_the_backward_pass(models, pair):
    kept = []
    for model in models:
        gc.collect()
        saved = SavedBytes(model)
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            model.backbone(pair[0][0])
        kept.append(saved.total)
    assert kept[1] < 0.5 * kept[0]


def test_a_copy_has_weights_of_its_own(models, pair):
    model = models[1]
    twin = copy.deepcopy(model.backbone)
    twin.eval()
    before = [level.clone() for level in twin(pair[0][0])]
    with torch.no_grad():
        for weight in model.backbone.parameters():
            weight.zero_()
    for found, expected in zip(twin(pair[0][0]), before, strict=True):
        assert torch.equal(found, expected)


def test_a_part_that_is_not_there_is_refused(make_picie):
    with pytest.raises(ValueError, match="activation_checkpointing of PiCIE must.*'backbone.head'"):
        make_picie(activation_checkpointing=('backbone.head',))


def test_norms_of_several_ranks_count_a_batch_once():
    """They refuse to be without a counter."""
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.SyncBatchNorm(4)).train()
    again = copy.deepcopy(plain)
    recompute_activations(again)
    images = torch.randn(2, 3, 5, 5)
    for network in (plain, again):
        network(images).square().sum().backward()
    for found, expected in zip(again.buffers(), plain.buffers(), strict=True):
        assert torch.equal(found, expected)
    for found, expected in zip(again.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
