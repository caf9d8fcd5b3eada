"""What options of the commands change in a config."""

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

#: Wrapper of mixed precision -> the kinds of devices that it works on.
_MIXED = {'AmpOptimWrapper': ('cuda', 'npu', 'mlu', 'musa'), 'CPUAmpOptimWrapper': ('cpu',)}


def enable_amp(cfg: Config) -> None:
    """Turn the config's optimiser wrapper into the one with automatic mixed precision.

    Args:
        cfg (Config): changed in place.

    Raises:
        ValueError: If its wrapper is not the plain one.
    """
    wrapper = cfg.get('optim_wrapper')
    kind = wrapper.get('type', 'OptimWrapper') if wrapper else None
    if kind in _MIXED:
        print_log(f'--amp: the config uses {kind} already.', 'current', logging.WARNING)
    elif kind != 'OptimWrapper':
        raise ValueError(
            f'optim_wrapper.type must be OptimWrapper, got {kind}; '
            'leave --amp out, or set the type to AmpOptimWrapper in the config'
        )
    elif get_device() == 'cpu':
        wrapper.update(type='CPUAmpOptimWrapper')
    else:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def require_device_for_amp(cfg: Config) -> None:
    """Refuse a config that asks for mixed precision of another kind of device.

    Args:
        cfg (Config): the whole config.

    Raises:
        ValueError: If it does.
    """
    kind, device = str((cfg.get('optim_wrapper') or {}).get('type')), get_device()
    if kind in _MIXED and device not in _MIXED[kind]:
        fitting = [name for name, devices in _MIXED.items() if device in devices]
        fitting += ['OptimWrapper, and leave --amp out']
        raise ValueError(
            f'optim_wrapper.type: {kind} works on {", ".join(_MIXED[kind])} alone, and the device '
            f'here is {device}; set it to {fitting[0]}'
        )


def show_predictions(cfg: Config, folder: str | None, window: bool, seconds: float) -> None:
    """Have the visualisation hook draw every prediction.

    Args:
        cfg (Config): changed in place.
        folder (str, optional): where drawings are written.
        window (bool): whether they are shown in a window.
        seconds (float): for how long each.

    Raises:
        ValueError: If the config lacks that hook or a visualiser.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if not hook or not cfg.get('visualizer'):
        raise ValueError(
            'the config must have visualizer and '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if window:
        hook.show = True
        hook.wait_time = seconds
    if folder:
        cfg.visualizer.save_dir = folder


def use_tta(cfg: Config) -> None:
    """Put the test-time augmentation's pipeline and model in place of the plain ones.

    Args:
        cfg (Config): changed in place.

    Raises:
        ValueError: If it lacks them.
    """
    missing = [key for key in ('tta_pipeline', 'tta_model') if not cfg.get(key)]
    if missing:
        raise ValueError(f'the config has no {" and no ".join(missing)}; add it')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if cfg.tta_model.type == 'SegTTAModel':  # does the same, and for every view
        cfg.tta_model.type = 'ViewTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def write_predictions(cfg: Config, folder: str) -> None:
    """Have the metrics keep the predictions as files.

    Args:
        cfg (Config): changed in place.
        folder (str): where they go.

    Raises:
        ValueError: If mmseg's metric would write two predictions to one file.
    """
    found = cfg.test_evaluator
    evaluators: list[dict] = [found] if isinstance(found, dict) else found
    for evaluator in evaluators:
        evaluator['output_dir'] = folder
        if evaluator['type'] == 'IoUMetric':
            _require_different_names(cfg)
        if evaluator['type'] == 'CityscapesMetric':  # deletes its folder at the end otherwise
            evaluator['keep_results'] = True


def _require_different_names(cfg: Config) -> None:
    """Mmseg's IoUMetric names a prediction after its image, without the folder."""
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    seen: dict[str, str] = {}
    for index in range(len(dataset)):
        path = dataset.get_data_info(index)['img_path']
        name = Path(path).stem
        if seen.setdefault(name, path) != path:
            raise ValueError(
                f'{seen[name]} and {path} would both be written as {name}.png; rename one of the '
                'images, or test the folders apart.'
            )
