"""Properties of the heads of PiCIE's baselines, and of several heads together."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.models import DeepClusterHead, IICHead
from mmseg_picie.models.losses import balanced_weights, mutual_information

K, D = 5, 12
MDC = dict(type='DeepClusterHead', num_clusters=K, in_channels=D)
IIC = dict(type='IICHead', num_clusters=K, in_channels=D)


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def information_by_loops(first, second, reach, weight):
    """The definition, pixel by pixel, in float64."""
    first, second = first.double().numpy(), second.double().numpy()
    images, clusters, height, width = first.shape
    values = []
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            joint = np.zeros((clusters, clusters))
            for n in range(images):
                for y in range(height):
                    for x in range(width):
                        if 0 <= y + down < height and 0 <= x + right < width:
                            other = second[n, :, y + down, x + right]
                            joint += np.outer(first[n, :, y, x], other)
            joint = (joint + joint.T) / 2
            joint /= joint.sum()
            marginals = np.log(joint.sum(0))[None] + np.log(joint.sum(1))[:, None]
            values.append((joint * (np.log(joint) - weight * marginals)).sum())
    return np.mean(values)


@pytest.mark.parametrize(('reach', 'weight'), [(0, 1.0), (1, 1.0), (2, 1.5)])
def test_mutual_information_equals_its_definition(reach, weight):
    first, second = (maps(2, 4, 5, 6, seed=seed).mul(3).softmax(1) for seed in (0, 1))
    # Views that have something in common.
    second = 0.5 * (first + second)
    found = mutual_information(first, second, reach, weight)
    assert found.item() == pytest.approx(information_by_loops(first, second, reach, weight), 1e-5)


def test_mutual_information_of_equal_even_clusters_is_log_k_and_of_independent_ones_zero():
    labels = torch.arange(8 * 8).view(1, 8, 8) % 4
    views = F.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    assert mutual_information(views, views, 0).item() == pytest.approx(math.log(4), abs=1e-5)
    # Clusters by row against clusters by column: knowing one says nothing of the other.
    rows = F.one_hot(torch.arange(8) % 4, 4).float().T[None, :, :, None].expand(1, 4, 8, 8)
    assert mutual_information(rows, rows.mT, 0).item() == pytest.approx(0, abs=1e-5)


def test_displaced_views_are_found_by_displacement():
    """The second view is the first, moved by a pixel: a displacement of one sees it."""
    whole = F.one_hot(torch.randint(4, (1, 20, 21), generator=torch.Generator().manual_seed(0)), 4)
    whole = whole.permute(0, 3, 1, 2).float()
    first, second = whole[..., :-1], whole[..., 1:]
    assert mutual_information(first, second, 0) < 0.1
    assert mutual_information(first, second, 1) > mutual_information(first, second, 0) + 0.1


def test_balanced_weights_give_every_cluster_the_same_say():
    weights = balanced_weights(torch.tensor([[10, 30, 0], [1, 1, 2]]))
    np.testing.assert_allclose(weights, [[2, 2 / 3, 0], [4 / 3, 4 / 3, 2 / 3]], rtol=1e-6)


def fitted_mdc(**options):
    head = DeepClusterHead(K, D, **options)
    head.set_centroids(F.normalize(maps(1, K, D, seed=3), dim=2), torch.tensor([[9, 1, 2, 3, 4]]))
    return head


@pytest.mark.parametrize('class_weight', ['none', 'balanced', 'frequency'])
def test_mdc_is_cross_entropy_of_a_linear_classifier_with_the_nearest_centroids(class_weight):
    head = fitted_mdc(class_weight=class_weight)
    live, frozen = maps(2, D, 4, 6, seed=4), maps(2, D, 4, 6, seed=5)
    (loss,) = head.loss_by_views([[live]], head.make_labels([[frozen]])).values()
    points = F.normalize(frozen, dim=1).permute(0, 2, 3, 1).reshape(-1, D)
    labels = torch.cdist(points, head.centroids[0]).argmin(1)
    features = F.normalize(live, dim=1).permute(0, 2, 3, 1).reshape(-1, D)
    logits = features @ head.classifier.weight[:, :, 0, 0].T + head.classifier.bias
    entropies = F.cross_entropy(logits, labels, reduction='none')
    counts = head.cluster_counts[0]
    factor = dict(none=torch.ones(K), frequency=counts / 19, balanced=1 / counts)[class_weight]
    weights = factor[labels]
    expected = (weights * entropies).sum() / weights.sum()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)


def test_mdc_starts_its_classifier_anew_with_new_clusters():
    head = fitted_mdc()
    before = [parameter.detach().clone() for parameter in head.parameters_of_epoch()]
    head.set_centroids(head.centroids.clone(), head.cluster_counts.clone())
    for old, new in zip(before, head.parameters_of_epoch(), strict=True):
        assert (old != new).all()


def test_mdc_predicts_by_its_classifier_or_by_its_centroids():
    inputs = [maps(1, D, 3, 4)]
    head = fitted_mdc()
    embedding = head.embed(inputs)
    torch.testing.assert_close(head(inputs), head.classifier(embedding))
    other = fitted_mdc(predict_with='centroids')
    expected = torch.einsum('ndhw,kd->nkhw', embedding, other.centroids[0])
    torch.testing.assert_close(other(inputs), expected)


def test_mdc_refuses_to_predict_before_any_clustering():
    with pytest.raises(RuntimeError, match='no centroids'):
        DeepClusterHead(K, D).predict([maps(1, D, 3, 4)], [dict(img_shape=(12, 16))], {})


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: DeepClusterHead(K, D, predict_with='kmeans'), "predict_with .* got 'kmeans'"),
        (lambda: DeepClusterHead(1, D), 'num_clusters must be a whole number of at least 2'),
        (lambda: IICHead(K, D, max_displacement=-1), 'max_displacement .* got -1'),
        (lambda: IICHead(K, D, marginal_weight=0), 'marginal_weight .* got 0'),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_mdc_learns_from_one_view(make_picie, fit, pair):
    model = fit(make_picie(decode_head=MDC)).train()
    views, samples = pair
    assert model.num_views == 1
    losses = model.loss(views[:1], samples)
    assert set(losses) == {'decode.loss_ce'}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_iic_learns_without_centroids_or_labeler(make_picie, pair):
    model = make_picie(decode_head=IIC).train()
    assert not model.needs_centroids
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = model.loss(*pair)['decode.loss_iic']
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert -math.log(K) <= losses[-1] < losses[0] <= 1e-6


def test_too_few_views_are_refused_with_the_remedy(make_picie, pair):
    views, samples = pair
    with pytest.raises(ValueError, match='2 views, but the pipeline makes 1; set num_views'):
        make_picie(decode_head=IIC).loss(views[:1], samples)


def test_two_heads_share_the_loss_by_the_logarithms_of_their_clusters(make_picie, fit, pair):
    """w1 = log K2 / (log K1 + log K2), w2 = log K1 / (log K1 + log K2)."""
    aux = dict(type='CentroidHead', num_clusters=9, in_channels=D)
    model = fit(make_picie(auxiliary_head=aux)).train()
    plain = model.loss(*pair)
    model.head_weights = 'equal'
    equal = model.loss(*pair)
    total = math.log(K) + math.log(9)
    for name, value in plain.items():
        weight = math.log(9) / total if name.startswith('decode') else math.log(K) / total
        torch.testing.assert_close(value, weight * equal[name], rtol=1e-4, atol=0)


def test_the_papers_weights_for_27_and_100_clusters(make_picie):
    aux = dict(type='CentroidHead', num_clusters=100, in_channels=D)
    head = dict(type='CentroidHead', num_clusters=27, in_channels=D)
    weights = make_picie(decode_head=head, auxiliary_head=aux)._loss_weights()
    np.testing.assert_allclose(weights, [0.583, 0.417], atol=5e-4)
    assert make_picie()._loss_weights() == [1.0]


def test_an_unknown_way_to_weigh_heads_is_refused(make_picie):
    with pytest.raises(ValueError, match="head_weights must be one of .* got 'sqrt'"):
        make_picie(head_weights='sqrt')
