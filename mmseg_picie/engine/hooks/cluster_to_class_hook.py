"""Bring the match of clusters and classes into the model and its checkpoints."""

import json
from pathlib import Path

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from ...clustering import UNMATCHED
from ...evaluation import HungarianIoUMetric
from ...models import ViewHead
from ...whole_files import write_whole
from ..distributed import unwrap_model

#: What the last validation counted, in the work folder.
COUNTS_FILE = 'last_validation.json'


@HOOKS.register_module()
class ClusterToClassHook(Hook):
    """Stores, after validation, which class each cluster was matched to.

    The map goes into the head's buffer ``cluster_to_class``, and :class:`WholeCheckpointHook`
    writes the checkpoint of the epoch again with it. Every checkpoint's ``dataset_meta`` names and
    colours the clusters, so that ``MMSegInferencer`` and ``inference_model`` do; without a map they
    are called 'cluster 0' to 'cluster K-1'. The counts of pixels by class and cluster of a
    training's last validation go into ``last_validation.json`` of the work folder, for plots.
    """

    def before_run(self, runner: Runner) -> None:
        """Refuse a metric that takes the numbers of clusters for those of classes.

        Raises:
            ValueError: If an evaluator has one of mmseg's metrics.
        """
        for name in ('val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if not isinstance(loop, BaseLoop):
                continue
            for metric in loop.evaluator.metrics:
                if type(metric).__module__.startswith('mmseg.'):
                    raise ValueError(
                        f'{name}_evaluator must match clusters with classes, but '
                        f'{type(metric).__name__} takes the number of a cluster for that of a '
                        f"class; set {name}_evaluator to dict(type='HungarianIoUMetric')."
                    )

    def before_train(self, runner: Runner) -> None:
        """Refuse what would end the first validation, which may be hours away.

        Raises:
            ValueError: As of :meth:`.HungarianIoUMetric.check`.
        """
        if runner.val_loop is not None:
            metric = find_hungarian_metric(runner.val_evaluator.metrics)
            if metric is not None:
                metric.check(runner.val_dataloader.dataset, _head(runner).num_clusters)

    def before_train_epoch(self, runner: Runner) -> None:
        """The clusters change, and the old match does not fit them."""
        _head(runner).cluster_to_class.fill_(UNMATCHED)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name the clusters in the checkpoint."""
        checkpoint['meta']['dataset_meta'] = describe_clusters(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Spare a resumed run mmengine's warning that the names are not the data set's."""
        if runner._resume and 'meta' in checkpoint:
            dataset = runner.train_dataloader.dataset
            checkpoint['meta']['dataset_meta'] = dataset.metainfo

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Store the match that the validation found."""
        metric = find_hungarian_metric(runner.val_evaluator.metrics)
        if metric is None:
            return
        head = _head(runner)
        views = list(head.predict_views)
        found = head.cluster_to_class[views]
        if is_main_process():
            found = torch.from_numpy(metric.cluster_to_class).to(found)
        broadcast(found)
        for each in (head, *_averages(runner)):
            each.store_map(views, found, _meta_of(runner))
        # To ask a runner that only validates for its epoch would build its training; and some build
        # it for its data alone.
        if is_main_process() and isinstance(runner._train_loop, BaseLoop) and runner.iter:
            _write_counts(runner, metric, views)


def _write_counts(runner: Runner, metric: HungarianIoUMetric, views: list[int]) -> None:
    """Write what the scores of this validation are made of."""
    assert metric.confusions is not None and metric.cluster_to_class is not None
    content = dict(
        epoch=runner.epoch,
        classes=list(metric.dataset_meta['classes']),
        views=views,
        confusions=metric.confusions.tolist(),
        cluster_to_class=metric.cluster_to_class.tolist(),
    )
    write_whole(Path(runner.work_dir, COUNTS_FILE), json.dumps(content) + '\n')


def find_hungarian_metric(metrics: list) -> HungarianIoUMetric | None:
    """The metric that matched, if there is one and it has run."""
    return next((m for m in metrics if isinstance(m, HungarianIoUMetric)), None)


def _head(runner: Runner) -> ViewHead:
    head = unwrap_model(runner).decode_head
    if not isinstance(head, ViewHead):
        raise ValueError(
            'decode_head must learn clusters, such as a CentroidHead, to be matched with classes, '
            f'but is a {type(head).__name__}; take ClusterToClassHook out of the config.'
        )
    return head


def _averages(runner: Runner) -> list[ViewHead]:
    """The heads of moving averages of the model, which checkpoints and validations are of."""
    copies = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
    return [copied.decode_head for copied in copies]


def describe_clusters(runner: Runner) -> dict:
    """Names and colours of the clusters of the predicting view.

    Args:
        runner (Runner): whose model and validation data.

    Returns:
        dict: ``classes`` and ``palette``, one entry a cluster, for ``dataset_meta``.
    """
    head = _head(runner)
    return head.name_clusters(head.predict_views[0])._asdict()


def _meta_of(runner: Runner) -> dict:
    """What the map speaks of."""
    dataset = runner.val_dataloader.dataset
    return dict(dataset.metainfo, dataset=type(dataset).__name__)
