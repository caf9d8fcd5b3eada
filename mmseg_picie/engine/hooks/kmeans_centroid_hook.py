"""When to cluster."""

import torch
from mmengine.dist import broadcast, get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.checkpoint import weights_to_cpu
from mmseg.registry import HOOKS
from numpy.random import SeedSequence
from torch import Tensor, nn

from ...clustering import Clustering
from ...datasets import EpochKeySampler
from ...models import PiCIE, ViewHead
from ..clustering_pass import PassSettings, build_clustering_loader, cluster_views
from ..distributed import average_statistics, check_wrapper, unwrap_model

#: Entry of a checkpoint: weights of the encoder that makes the pseudo-labels.
LABELER = 'labeler'


@HOOKS.register_module()
class KMeansCentroidHook(Hook):
    """Clusters the features before every training epoch (PiCIE section 3.1).

    It runs the present encoder over the training images, as the same views that the epoch will
    train on, writes centroids and cluster counts into the heads and freezes a copy of the encoder
    for the epoch's pseudo-labels. A function of the weights, the seed and the epoch alone, so a
    resumed run clusters as the run that was never stopped. The defaults are the released recipe but
    for ``max_init_points``.
    A model of which no head learns from centroids (IIC) is only checked and seeded. Ranks leave
    every epoch with the same running statistics of normalisation layers: their mean.

    Memory does not grow with the images. Beside what the network needs for
    ``forward_batch_size`` images, rank 0 holds 4 x D x views x min(init images x pixels,
    ``max_init_points``) bytes for the initial fit, where the init images are
    ``num_init_batches`` x ``batch_size`` or all, and the pixels those of a feature map or
    ``pixels_per_image``. With several clustering heads, each needs as much.

    Args:
        batch_size (int): images per batch of the pass, over all ranks.
        num_init_batches (int): batches of the initial fit, which rank 0 holds in memory.
        num_iters (int): Lloyd iterations of the initial fit.
        batches_per_update (int): batches per mini-batch update.
        images_per_epoch (int, optional): images that are clustered, another random choice each
            epoch; all by default.
        pixels_per_image (int, optional): pixels of each feature map that are used; all by default.
        norm_eval (bool): whether normalisation layers use their running statistics in the pass.
            If not, features depend on what is forwarded together, and a rank forwards its share of
            a batch at once, whatever ``forward_batch_size`` says.
        forward_batch_size (int, optional): images that a rank forwards at once at most; clusters
            do not depend on it. None for its share of a batch.
        max_init_points (int, optional): pixels of a view that the initial fit holds at most,
            equally many of each of its images, so at least ``num_init_batches`` x ``batch_size``.
            They are chosen at random, and their counts are scaled to the pixels that they stand
            for, so the fit weighs as much in the updates as one of all pixels. None for all, which
            is the released recipe.
        warm_start (bool): whether the initial fit begins with the centroids of the epoch before,
            so that clusters stay what they are as far as the features do. The released recipe
            begins anew with random pixels.
        num_clusterings (int, optional): epochs that begin with a clustering. Later ones keep
            clusters and pseudo-labels, whose encoder is stored in the checkpoints. None for all,
            which is the paper's.

    Raises:
        ValueError: If an argument is out of range, no seed is set, the train sampler is not an
            :class:`EpochKeySampler`, or gradients would be accumulated over an epoch's end.
    """

    def __init__(
        self,
        batch_size: int = 128,
        num_init_batches: int = 30,
        num_iters: int = 30,
        batches_per_update: int = 1,
        images_per_epoch: int | None = None,
        pixels_per_image: int | None = None,
        norm_eval: bool = True,
        forward_batch_size: int | None = 16,
        max_init_points: int | None = 1_000_000,
        warm_start: bool = False,
        num_clusterings: int | None = None,
    ) -> None:
        given = dict(
            batch_size=batch_size,
            num_init_batches=num_init_batches,
            num_iters=num_iters,
            batches_per_update=batches_per_update,
            images_per_epoch=images_per_epoch,
            pixels_per_image=pixels_per_image,
            forward_batch_size=forward_batch_size,
            max_init_points=max_init_points,
            num_clusterings=num_clusterings,
        )
        for name, value in given.items():
            if value is not None and value < 1:
                raise ValueError(
                    f'{name} of KMeansCentroidHook must be at least 1, but got {value}.'
                )
        for name, flag in (('warm_start', warm_start), ('norm_eval', norm_eval)):
            if not isinstance(flag, bool):
                raise ValueError(
                    f'{name} of KMeansCentroidHook must be True or False, but got {flag!r}.'
                )
        num_init_images = num_init_batches * batch_size
        if max_init_points is not None and max_init_points < num_init_images:
            raise ValueError(
                'max_init_points of KMeansCentroidHook must be at least num_init_batches x '
                f'batch_size = {num_init_images}, a pixel of each image, but got '
                f'{max_init_points}; raise it, or lower num_init_batches.'
            )
        self.batch_size = batch_size
        self.num_init_batches = num_init_batches
        self.num_iters = num_iters
        self.batches_per_update = batches_per_update
        self.images_per_epoch = images_per_epoch
        self.pixels_per_image = pixels_per_image
        self.norm_eval = norm_eval
        self.forward_batch_size = forward_batch_size if norm_eval else None
        self.max_init_points = max_init_points
        self.warm_start = warm_start
        self.num_clusterings = num_clusterings
        self._stored_labeler: dict[str, Tensor] | None = None

    def settings(self, seed: int, epoch: int) -> PassSettings:
        """How the pass before an epoch clusters.

        Args:
            seed (int): of the run.
            epoch (int): from 0.

        Returns:
            PassSettings: of this hook.
        """
        return PassSettings(
            batch_size=self.batch_size,
            num_init_batches=self.num_init_batches,
            num_iters=self.num_iters,
            batches_per_update=self.batches_per_update,
            pixels_per_image=self.pixels_per_image,
            max_init_points=self.max_init_points,
            norm_eval=self.norm_eval,
            seed=seed,
            epoch=epoch,
            warm_start=self.warm_start and epoch > 0,
        )

    def before_train(self, runner: Runner) -> None:
        """Refuse what would make the run wrong, and make the data loader of the pass."""
        self._check_run(runner)
        # A resumed run takes the checkpoint's seed, which its sampler does not know yet.
        runner.train_dataloader.sampler.seed = runner.seed
        if _model(runner).needs_centroids:
            self._dataloader = build_clustering_loader(
                runner, self.batch_size, self.images_per_epoch, self.forward_batch_size
            )
        else:
            runner.logger.info('No head of the model needs centroids, so nothing is clustered.')

    def _check_run(self, runner: Runner) -> None:
        """Refuse a run that would be wrong or impossible to repeat."""
        if is_model_wrapper(runner.model):
            check_wrapper(type(runner.model))
        # mmengine draws a seed of its own if none is given, and forgets it on resume.
        if runner._randomness_cfg.get('seed') is None:
            raise ValueError(
                'randomness.seed must be set, as views and clusters are functions of it, but it is '
                'None; add randomness = dict(seed=0) to the config.'
            )
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'train_cfg.type must be EpochBasedTrainLoop, as every epoch has its own clusters, '
                f'but is {type(runner.train_loop).__name__}.'
            )
        sampler = runner.train_dataloader.sampler
        if not isinstance(sampler, EpochKeySampler):
            raise ValueError(
                'train_dataloader.sampler must be EpochKeySampler, but is '
                f"{type(sampler).__name__}; set sampler=dict(type='EpochKeySampler')."
            )
        layers = _model(runner).modules()
        if not self.norm_eval and any(isinstance(layer, nn.SyncBatchNorm) for layer in layers):
            raise ValueError(
                'norm_eval of KMeansCentroidHook must be True with SyncBatchNorm, whose ranks wait '
                'for each other, as one may have a batch less, but is False; set it to True, or '
                "norm_cfg of the backbone to dict(type='BN')."
            )
        # Labels change between epochs, so gradients must not be carried over from one to the next.
        count = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
        iters = len(runner.train_dataloader)
        if not iters:
            raise ValueError(
                'an epoch must have at least one batch, but '
                f'{len(runner.train_dataloader.dataset)} images make none of '
                f'{runner.train_dataloader.batch_size}; lower train_dataloader.batch_size, or set '
                'drop_last of train_dataloader to False.'
            )
        if iters % count:
            raise ValueError(
                'optim_wrapper.accumulative_counts must divide the iterations of an epoch, but got '
                f'{count} for {iters} iterations; labels change between epochs.'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Cluster, and freeze the encoder for the pseudo-labels."""
        model = _model(runner)
        # Random layers, too, start every epoch from a state that a resumed run can tell.
        sequence = SeedSequence((runner.seed, runner.epoch, get_rank()))
        torch.manual_seed(int(sequence.generate_state(1)[0]))
        if not model.needs_centroids:
            return
        if self.num_clusterings is not None and runner.epoch >= self.num_clusterings:
            self._keep_clusters(runner, model)
            return
        sampler = self._dataloader.sampler
        assert isinstance(sampler, EpochKeySampler)
        sampler.set_epoch(runner.epoch)
        settings = self.settings(runner.seed, runner.epoch)
        what = f'Clustering before epoch {runner.epoch + 1}'
        found = cluster_views(model, self._dataloader, settings, what)
        for name, clusterings in found.items():
            model.heads()[name].set_centroids(
                torch.stack([c.centroids for c in clusterings]),
                torch.stack([c.counts for c in clusterings]),
            )
            self._log(runner, name, clusterings)
            self._restart(runner, model.heads()[name])
        if not self.norm_eval:
            average_statistics(model)
            model.freeze_encoder()

    def _keep_clusters(self, runner: Runner, model: PiCIE) -> None:
        """Go on with the encoder that made the pseudo-labels; a resumed run has stored it."""
        for name in model.heads():
            runner.message_hub.update_info(f'inertia/{name}', None)  # it was of an earlier epoch
        if model.labeler_weights is not None:
            return
        if self._stored_labeler is None:
            raise ValueError(
                f'num_clusterings of KMeansCentroidHook is {self.num_clusterings}, so epoch '
                f'{runner.epoch + 1} needs the encoder that made the pseudo-labels, but the '
                'checkpoint to resume from has none; resume with the num_clusterings that it was '
                'trained with, or start anew.'
            )
        model.freeze_encoder(self._stored_labeler)
        self._stored_labeler = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store what makes the pseudo-labels of the epochs that do not cluster."""
        weights = _model(runner).labeler_weights
        if weights is None:  # of a resumed run that has not begun an epoch yet
            weights = self._stored_labeler
        if self.num_clusterings is not None and weights is not None:
            checkpoint[LABELER] = weights_to_cpu(weights)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take it from a checkpoint that is resumed from."""
        if runner._resume:
            self._stored_labeler = checkpoint.get(LABELER)

    def after_train_epoch(self, runner: Runner) -> None:
        """Bring ranks together before anything is saved, scored or clustered.

        Raises:
            ValueError: If a weight is not finite, so that nothing is to be saved.
        """
        average_statistics(_model(runner))
        check_weights(_model(runner), runner.epoch + 1)

    @staticmethod
    def _restart(runner: Runner, head: ViewHead) -> None:
        """Let what a head learns anew with its clusters start alike on all ranks."""
        for parameter in head.parameters_of_epoch():
            broadcast(parameter.data)
            # The optimiser's moments are those of the old clusters.
            runner.optim_wrapper.optimizer.state.pop(parameter, None)

    @staticmethod
    def _log(runner: Runner, name: str, clusterings: list[Clustering]) -> None:
        """Write inertia and cluster sizes to the log and the visualisation backends."""
        scalars: dict[str, float] = {'epoch': runner.epoch + 1}  # as the training's lines have it
        for view, clustering in enumerate(clusterings):
            shares = (clustering.counts / clustering.counts.sum()).tolist()
            runner.logger.info(
                f'Epoch(cluster) [{runner.epoch + 1}] {name} view {view}: '
                f'inertia {clustering.inertia:.4f} ({clustering.num_updates} updates), '
                f'{_describe_sizes(shares)}'
            )
            prefix = f'kmeans/{name}/view{view}'
            scalars[f'{prefix}/inertia'] = clustering.inertia
            scalars |= {f'{prefix}/share_{k:03d}': share for k, share in enumerate(shares)}
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        inertia = sum(c.inertia for c in clusterings) / len(clusterings)
        runner.message_hub.update_info(f'inertia/{name}', inertia)


def check_weights(model: nn.Module, epoch: int) -> None:
    """Refuse to go on with a training that has diverged.

    Args:
        model (nn.Module): that is trained.
        epoch (int): that is over, for the message.

    Raises:
        ValueError: If a weight or a running statistic is not finite.
    """
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f'the training has diverged: {name} is not finite after epoch {epoch}; lower '
                'optim_wrapper.optimizer.lr, or set optim_wrapper.clip_grad=dict(max_norm=1.0), '
                'and start anew or from an earlier checkpoint.'
            )


def _describe_sizes(shares: list[float]) -> str:
    """Sizes of clusters in a line: all if they are few, else their range."""
    if len(shares) <= 30:
        return 'sizes in %: ' + ' '.join(f'{100 * share:.1f}' for share in shares)
    empty = sum(share == 0 for share in shares)
    return f'sizes from {100 * min(shares):.2f} to {100 * max(shares):.2f} %, {empty} empty'


def _model(runner: Runner) -> PiCIE:
    """The segmentor, unwrapped."""
    model = unwrap_model(runner)
    assert isinstance(model, PiCIE)
    return model
