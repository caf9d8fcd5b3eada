"""Proofs for the clustering pass, in this process, on tiny data."""

import pytest
import torch
from mmengine.runner import Runner

from mmseg_picie.apis.fresh_centroids import without_augmentation
from mmseg_picie.clustering import streaming
from mmseg_picie.engine import KMeansCentroidHook
from mmseg_picie.engine.clustering_pass import build_clustering_loader, cluster_views

PIXELS = 8 * 16  # of a feature map; the network sees 32 x 64 pixels


@pytest.fixture
def held(monkeypatch):
    """What initial fits are given, in their order."""
    points = []
    fit = streaming.initial_fit

    def spy(given, *args):
        points.append(given)
        return fit(given, *args)

    monkeypatch.setattr(streaming, 'initial_fit', spy)
    return points


@pytest.fixture
def cluster(tiny_config):
    """Run a pass of a hook over some of the 20 images, always with the same weights."""
    return make_pass(tiny_config())


def make_pass(config):
    runner = Runner.from_cfg(config)
    runner.model.init_weights()

    def run(num_images=None, **options):
        hook = KMeansCentroidHook(**(dict(batch_size=6, num_init_batches=2, num_iters=5) | options))
        loader = build_clustering_loader(
            runner, hook.batch_size, num_images, hook.forward_batch_size
        )
        result = cluster_views(runner.model, loader, hook.settings(seed=0, epoch=0))
        return result['decode'], loader

    return run


@pytest.mark.parametrize('num_images', [20, 19, 12, 5])
def test_clusters_do_not_depend_on_how_many_images_are_forwarded_at_once(cluster, num_images):
    """Also where the number divides neither batch nor images, and the last batch is small."""
    whole, _ = cluster(num_images, forward_batch_size=None)
    for size in (1, 4, 5):
        parts, loader = cluster(num_images, forward_batch_size=size)
        assert loader.batch_size == size
        for first, second in zip(whole, parts, strict=True):
            torch.testing.assert_close(first.centroids, second.centroids, rtol=0, atol=1e-5)
            assert first.counts.tolist() == second.counts.tolist()
            assert first.inertia == pytest.approx(second.inertia, rel=1e-5)
            assert first.num_updates == second.num_updates
            assert first.counts.sum() == num_images * PIXELS


def test_left_over_images_are_dropped_whatever_is_forwarded_at_once(cluster):
    """Of batches of 6, 6, 6 and 2 images, one is fitted, two are an update, one is left over."""
    for size in (None, 1, 5):
        for view in cluster(forward_batch_size=size, num_init_batches=1, batches_per_update=2)[0]:
            assert view.num_updates == 1
            assert view.counts.sum() == 18 * PIXELS


def test_with_norms_in_train_mode_a_batch_is_forwarded_whole(cluster):
    """Its statistics are the batch's."""
    one, loader = cluster(norm_eval=False, forward_batch_size=1)
    assert loader.batch_size == 6
    whole, _ = cluster(norm_eval=False, forward_batch_size=None)
    assert torch.equal(one[0].centroids, whole[0].centroids)


def test_the_initial_fit_holds_at_most_so_many_points(cluster, held):
    views, _ = cluster(max_init_points=250)
    # Of each of 12 images as many pixels as fit; all 20 images count with all of their pixels.
    assert [len(points) for points in held] == [12 * 20] * 2
    assert [int(view.counts.sum()) for view in views] == [20 * PIXELS] * 2
    # Seen again with a bound that is not reached: these are some of all points, of all images.
    cluster(max_init_points=12 * PIXELS)
    cluster()
    for sample, bounded, everything in zip(held[:2], held[2:4], held[4:], strict=True):
        assert torch.equal(bounded, everything)
        nearest = torch.cdist(sample, everything).min(1)
        torch.testing.assert_close(nearest.values, torch.zeros(240), rtol=0, atol=2e-3)
        assert (nearest.indices // PIXELS == torch.arange(240) // 20).float().mean() > 0.9


def test_the_sample_of_the_initial_fit_is_alike_in_all_views_and_repeatable(tiny_config, held):
    """Without draws, and at the size of the base, both views show the same."""
    config = without_augmentation(tiny_config())
    config.train_dataloader.dataset.pipeline[1].base_size = (32, 48)
    cluster = make_pass(config)
    cluster(max_init_points=100)
    cluster(max_init_points=100, forward_batch_size=1)
    assert len(held) == 4
    for points in held:
        torch.testing.assert_close(points, held[0], rtol=0, atol=1e-5)


def test_a_bound_below_a_pixel_of_each_image_is_refused():
    with pytest.raises(ValueError, match=r'max_init_points .* at least .* = 12, .* but got 11'):
        KMeansCentroidHook(batch_size=6, num_init_batches=2, max_init_points=11)


@pytest.mark.parametrize('name', ['forward_batch_size', 'max_init_points'])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f'{name} of KMeansCentroidHook must be at least 1'):
        KMeansCentroidHook(**{name: 0})


def test_a_warm_start_keeps_clusters_what_they_were(tiny_config):
    """With features that stay the same, centroids are found near their earlier places."""
    shifts = {}
    for warm in (False, True):
        options = {
            'train_cfg.max_epochs': 1,
            'optim_wrapper.optimizer.lr': 0.0,
            'model.backbone.norm_eval': True,
            'default_hooks.clustering.warm_start': warm,
        }
        runner = Runner.from_cfg(tiny_config(options, str(warm)))
        runner.train()
        head = runner.model.decode_head
        before = head.centroids.clone()
        (hook,) = [h for h in runner.hooks if isinstance(h, KMeansCentroidHook)]
        hook.before_train_epoch(runner)  # that of a second epoch, with other views
        assert not torch.equal(head.centroids, before)
        nearest = torch.cdist(head.centroids, before).argmin(2)
        shifts[warm] = int((nearest != torch.arange(9)).sum())
    assert shifts[True] <= 2 < shifts[False]


def test_the_first_epoch_has_nothing_to_start_from(tiny_config):
    found = []
    for warm in (False, True):
        options = {'train_cfg.max_epochs': 1, 'default_hooks.clustering.warm_start': warm}
        runner = Runner.from_cfg(tiny_config(options, str(warm)))
        runner.train()
        found.append(runner.model.decode_head.centroids)
    assert torch.equal(*found)
