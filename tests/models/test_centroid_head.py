"""Properties of the head whose classifier is the centroids."""

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from scipy.spatial.distance import cdist
from torch import nn

from mmseg_picie.clustering import UNMATCHED
from mmseg_picie.models import CentroidHead

K, D = 5, 12


def make_head(fitted=True, **kwargs):
    head = CentroidHead(**{'num_clusters': K, 'in_channels': D, **kwargs})
    if fitted:
        generator = torch.Generator().manual_seed(0)
        head.set_centroids(
            torch.randn(head.centroids.shape, generator=generator),
            torch.randint(1, 50, head.cluster_counts.shape, generator=generator),
        )
    return head


def maps(seed=1, dim=D):
    return torch.randn(2, dim, 4, 7, generator=torch.Generator().manual_seed(seed))


def pixels(feature_map):
    """(N, C, H, W) as (N H W, C) numpy."""
    return feature_map.permute(0, 2, 3, 1).flatten(0, 2).numpy()


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_it_has_no_parameters():
    assert list(make_head().parameters()) == []


def test_features_are_brought_to_unit_length_in_float32():
    feature_map = maps()
    embedding = make_head().embed([feature_map.half()])
    assert embedding.dtype == torch.float32
    np.testing.assert_allclose(pixels(embedding), unit(pixels(feature_map)), rtol=0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(pixels(embedding), axis=1), 1, rtol=1e-6)


def test_the_map_of_in_index_is_used():
    head = make_head(in_index=1)
    torch.testing.assert_close(head.embed([maps(1), maps(2)]), head.embed([None, maps(2)]))


def test_logits_are_dot_products_of_unit_features_with_the_centroids():
    head = make_head()
    logits = head([maps()])
    expected = unit(pixels(maps())) @ head.centroids[0].numpy().T
    np.testing.assert_allclose(pixels(logits), expected, rtol=0, atol=1e-5)


def test_logits_of_several_views_stand_one_after_the_other():
    head = make_head(num_views=3, predict_views=(2, 0))
    logits = head([maps()])
    assert head.out_channels == logits.shape[1] == 2 * K
    for i, view in enumerate((2, 0)):
        expected = unit(pixels(maps())) @ head.centroids[view].numpy().T
        found = pixels(logits[:, i * K : (i + 1) * K])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_prediction_without_centroids_is_refused():
    head = make_head(fitted=False)
    assert not head.is_fitted
    with pytest.raises(RuntimeError, match='this model has no centroids'):
        head.predict([maps()], [dict(img_shape=(16, 28))], {})


@pytest.mark.parametrize('view', [0, 1])
def test_labels_are_the_nearest_centroids(view):
    head = make_head()
    embedding = head.embed([maps()])
    labels = head.label(embedding, view)
    expected = cdist(pixels(embedding), head.centroids[view].numpy(), 'sqeuclidean').argmin(1)
    assert labels.shape == (2, 4, 7) and labels.dtype == torch.int64
    np.testing.assert_array_equal(labels.flatten(), expected)


def test_new_centroids_reset_the_classes_of_the_clusters():
    head = make_head()
    assert (head.cluster_to_class == UNMATCHED).all()
    head.cluster_to_class[:] = 3
    head.set_centroids(torch.ones(2, K, D), torch.ones(2, K, dtype=torch.int64))
    assert head.is_fitted
    assert (head.cluster_to_class == UNMATCHED).all()
    assert (head.centroids == 1).all() and (head.cluster_counts == 1).all()


def test_state_dict_round_trip(tmp_path):
    head = make_head()
    head.cluster_to_class[0] = torch.arange(K)
    head.cluster_counts[0, 0] = 2**40
    head.logit_bias[1] = torch.arange(K)
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    other = make_head(fitted=False)
    other.load_state_dict(torch.load(tmp_path / 'head.pth', weights_only=True))
    assert other.is_fitted
    names = {'centroids', 'cluster_counts', 'logit_bias', 'cluster_to_class', 'map_classes'}
    assert set(head.state_dict()) == names
    for name, value in head.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_a_checkpoint_without_bias_has_none():
    state = make_head().state_dict()
    del state['logit_bias']
    head = make_head()
    head.logit_bias.fill_(1)
    head.load_state_dict(state, strict=True)
    assert not head.logit_bias.any()


def test_a_bias_is_added_to_the_logits_until_the_next_clustering():
    head = make_head(predict_views=(1,))
    inputs = [torch.randn(1, D, 3, 4)]
    before = head(inputs)
    bias = torch.arange(K, dtype=torch.float32)
    head.logit_bias[1] = bias
    torch.testing.assert_close(head(inputs), before + bias[:, None, None])
    head.set_centroids(head.centroids.clone(), head.cluster_counts.clone())
    torch.testing.assert_close(head(inputs), before)


@pytest.mark.parametrize('change', [dict(num_clusters=6), dict(in_channels=8), dict(num_views=1)])
def test_a_checkpoint_of_other_shape_is_refused_with_both_shapes(tmp_path, change):
    # As a part of a model, so that its keys have a prefix.
    source, target = (
        nn.ModuleDict(dict(decode_head=head)) for head in (make_head(), make_head(**change))
    )
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'model.pth')
    shapes = [tuple(model['decode_head'].centroids.shape) for model in (source, target)]
    # mmengine's loading is not strict and would leave the centroids as they are.
    for load in (
        lambda: load_checkpoint(target, str(tmp_path / 'model.pth')),
        lambda: target.load_state_dict(source.state_dict(), strict=False),
    ):
        with pytest.raises(ValueError, match=r'\(views, K, D\)') as error:
            load()
        assert str(shapes[0]) in str(error.value) and str(shapes[1]) in str(error.value)


def test_a_checkpoint_without_centroids_leaves_the_head_as_it_is():
    head = make_head()
    before = head.centroids.clone()
    head.load_state_dict({}, strict=False)
    assert torch.equal(head.centroids, before)


@pytest.mark.parametrize('views', [(), (2,), (0, -1), (0, 1, 2)])
def test_views_that_are_not_there_cannot_predict(views):
    with pytest.raises(ValueError, match='predict_views must name some of the views 0 to 1'):
        make_head(predict_views=views)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(class_weight='inverse'), "class_weight must be one of .*'inverse'"),
        (dict(num_clusters=1), 'num_clusters must be a whole number of at least 2, but got 1'),
        (dict(num_clusters=2.5), 'num_clusters must be a whole number of at least 2, but got 2.5'),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        make_head(**change)


def cross_entropy(feature_map, centroids, labels, weights):
    """Weighted mean over pixels, by hand in float64."""
    logits = unit(pixels(feature_map).astype(float)) @ centroids.double().numpy().T
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    losses, weight = -log_probs[np.arange(len(labels)), labels], weights[labels]
    return (weight * losses).sum() / weight.sum()


@pytest.mark.parametrize('class_weight', ['frequency', 'none'])
@pytest.mark.parametrize('num_views', [1, 2, 3])
def test_losses_equal_those_computed_by_hand(class_weight, num_views):
    """Labels come from the frozen maps; within: a view's own clusters, cross: all others'."""
    head = make_head(
        num_views=num_views, class_weight=class_weight, within_weight=0.3, cross_weight=0.9
    )
    live, frozen = ([maps(10 * kind + v) for v in range(num_views)] for kind in (1, 2))
    losses = head.loss_by_views([[m] for m in live], head.make_labels([[m] for m in frozen]))
    ones = np.ones(K)
    within, cross = [], []
    for b in range(num_views):
        centroids, counts = head.centroids[b], head.cluster_counts[b].numpy()
        labels = cdist(unit(pixels(frozen[b])), centroids.numpy()).argmin(1)
        weights = counts / counts.sum() if class_weight == 'frequency' else ones
        for a in range(num_views):
            entropy = cross_entropy(live[a], centroids, labels, weights)
            (within if a == b else cross).append(entropy)
    assert losses['loss_within'].item() == pytest.approx(0.3 * np.mean(within), rel=1e-5)
    if num_views == 1:
        assert set(losses) == {'loss_within'}
    else:
        assert set(losses) == {'loss_within', 'loss_cross'}
        assert losses['loss_cross'].item() == pytest.approx(0.9 * np.mean(cross), rel=1e-5)


def test_gradients_reach_the_live_maps_alone():
    head = make_head()
    live, frozen = ([maps(v).requires_grad_() for v in range(2)] for _ in range(2))
    sum(
        head.loss_by_views([[m] for m in live], head.make_labels([[m] for m in frozen])).values()
    ).backward()
    assert all(m.grad.abs().sum() > 0 for m in live)
    assert all(m.grad is None for m in frozen)
    assert not head.centroids.requires_grad


def test_mixed_precision_changes_neither_labels_nor_losses():
    """The encoder may work in half precision; from its maps on everything is float32."""
    head, views = make_head(), [[maps(v).bfloat16()] for v in (1, 2)]
    floats = [[m[0].float()] for m in views]
    plain = head.loss_by_views(floats, head.make_labels(floats))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = head.loss_by_views(views, head.make_labels(views))
    for name, value in plain.items():
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], value, rtol=1e-6, atol=0)


def test_merged_centroids_predict_the_cluster_of_the_nearest_and_learn_apart():
    head, plain = make_head(centroids_per_cluster=2), make_head(num_clusters=10)
    assert head.out_channels == head.num_clusters == K and head.cluster_to_class.shape == (2, K)
    views = [[maps(1)], [maps(2)]]
    logits, apart = head(views[0]), plain(views[0])
    assert torch.equal(head.merged[0].unique(), torch.arange(K))
    assert torch.equal(logits.argmax(1), head.merged[0][apart.argmax(1)])
    labels = head.make_labels(views)
    assert all(torch.equal(a, b) for a, b in zip(labels, plain.make_labels(views), strict=True))
    expected = plain.loss_by_views(views, labels)
    for name, value in head.loss_by_views(views, labels).items():
        torch.testing.assert_close(value, expected[name])


def test_views_have_their_own_merges():
    head = make_head(centroids_per_cluster=2, predict_views=(1, 0))
    logits = head([maps()])
    scores = unit(pixels(maps())) @ head.centroids[1].numpy().T
    best = head.merged[1].numpy()[scores.argmax(1)]
    np.testing.assert_array_equal(pixels(logits[:, :K]).argmax(1), best)
    assert not torch.equal(head.merged[0], head.merged[1])


def test_merges_are_stored_and_others_refused(tmp_path):
    head = make_head(centroids_per_cluster=2)
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    state = torch.load(tmp_path / 'head.pth')
    other = make_head(fitted=False, centroids_per_cluster=2)
    other.load_state_dict(state)
    assert torch.equal(other([maps()]), head([maps()]))
    with pytest.raises(ValueError, match='merges its centroids to K = 5 clusters, .* to 2'):
        make_head(num_clusters=2, centroids_per_cluster=5).load_state_dict(state)
    with pytest.raises(RuntimeError, match='merged'):
        make_head(num_clusters=10).load_state_dict(
            {**state, 'cluster_to_class': torch.zeros(2, 10)}
        )
    with pytest.raises(ValueError, match='centroids_per_cluster must be at least 1, but got 0'):
        make_head(centroids_per_cluster=0)
