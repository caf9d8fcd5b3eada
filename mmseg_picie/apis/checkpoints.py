"""Write checkpoints again with what was found about them."""

import os

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..checkpoint_loading import read_checkpoint
from ..engine.checkpoint_files import save_whole
from ..engine.distributed import unwrap_model
from ..engine.facts import log_file
from ..engine.hooks.cluster_to_class_hook import describe_clusters, find_hungarian_metric
from .launchers import leave_process_group
from .runners import build_runner
from .runs import Done


def store_map(cfg: Config, checkpoint: str, out: str, verbose: bool = True) -> Done:
    """Name a model's clusters by the validation images, and write the model with the names.

    Args:
        cfg (Config): with a validation.
        checkpoint (str): file of the model.
        out (str): file to write.
        verbose (bool): as of :func:`.runs.build_runner`.

    Returns:
        Done: the scores.

    Raises:
        ValueError: If the validation does not match clusters with classes, or no pixel of its
            images has one; nothing is written.
    """
    cfg.load_from, cfg.resume = checkpoint, False
    runner = build_runner(cfg, verbose)
    if find_hungarian_metric(runner.val_evaluator.metrics) is None:
        raise ValueError(
            'val_evaluator must match clusters with classes, but has no HungarianIoUMetric; set it '
            "to dict(type='HungarianIoUMetric')."
        )
    metrics = runner.val()
    if is_main_process():
        save_for_prediction(runner, checkpoint, out)
    done = Done(metrics, log_file(runner), out, is_main_process())
    del runner
    leave_process_group()
    return done


def save_for_prediction(runner: Runner, source: str | None, path: str) -> None:
    """Write a checkpoint again with the centroids and the map that the model has now.

    Args:
        runner (Runner): whose model and validation data.
        source (str, optional): checkpoint that the weights came from, a local file; None if they
            are of no checkpoint.
        path (str): file to write; it is replaced whole or not at all. It holds no optimiser,
            unless it is the source: a training can then still be resumed from it.
    """
    checkpoint = {} if source is None else read_checkpoint(source)
    state = {key: value.cpu() for key, value in unwrap_model(runner).state_dict().items()}
    meta = checkpoint.get('meta', {}) | dict(dataset_meta=describe_clusters(runner))
    is_source = source is not None and os.path.exists(path) and os.path.samefile(source, path)
    kept = checkpoint if is_source else {}
    save_whole(kept | dict(meta=meta, state_dict=state), path)
