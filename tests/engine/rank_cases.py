"""Train many cases on ranks that are started once; a program for `test_rank_cases.py`.

Run by torchrun or another launcher: `rank_cases.py LAUNCHER CONFIG CASES OUT`. CASES is a JSON file
of name -> settings of the config. For each case it writes into OUT/results.json how it went.
"""

import json
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook

from mmseg_picie.apis.launchers import leave_process_group, prepare_launcher
from mmseg_picie.apis.runners import build_runner
from mmseg_picie.cli import main
from mmseg_picie.engine.distributed import unwrap_model


class Watch(Hook):
    """Keeps losses and counts the steps of the optimiser."""

    def __init__(self) -> None:
        self.losses, self.steps, self.images = [], 0, []

    def before_train(self, runner) -> None:
        optimizer = runner.optim_wrapper.optimizer
        optimizer.register_step_post_hook(self._count)

    def _count(self, *_) -> None:
        self.steps += 1

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append(outputs['loss'].item())
        self.images += [sample.sample_idx for sample in data_batch['data_samples']]


def state_of(runner) -> dict[str, torch.Tensor]:
    """Parameters, buffers and the encoder that makes pseudo-labels."""
    model = unwrap_model(runner)
    tensors = dict(model.state_dict())
    if model.labeler_weights is not None:
        tensors |= {f'labeler.{k}': v for k, v in model.labeler_weights.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def run(launcher: str, config: Path, options: dict, work_dir: Path) -> dict:
    """Train a case; what is to be told of it, the same on every rank."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    cfg.launcher, cfg.work_dir = launcher, str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = work_dir.name
    try:
        prepare_launcher(cfg)
        runner = build_runner(cfg, verbose=False)
        watch = Watch()
        runner.register_hook(watch)
        runner.train()
    except (RuntimeError, TypeError, ValueError) as error:
        return dict(error=str(error))
    state = state_of(runner)
    told = all_gather_object((watch.losses, watch.steps, watch.images))
    others = all_gather_object(state)
    if get_rank() == 0:
        torch.save(state, work_dir.with_suffix('.pth'))
    apart = [name for name in state if not all(torch.equal(state[name], o[name]) for o in others)]
    return dict(
        losses=[losses for losses, _, _ in told],
        steps=[steps for _, steps, _ in told],
        images=[images for _, _, images in told],
        apart=apart,
        wrapper=type(runner.model).__name__,
        finds_unused=runner.model.find_unused_parameters,
    )


if __name__ == '__main__':
    launcher, config, cases, out = sys.argv[1], *map(Path, sys.argv[2:])
    Config.pretty_text = property(lambda config: '')  # takes half of the time of a tiny run
    results = {}
    for name, options in json.loads(cases.read_text()).items():
        results[name] = run(launcher, config, options, out / name)
    if get_rank() == 0:
        (out / 'results.json').write_text(json.dumps(results))
    if (out / 'images').is_dir():
        words = ['predict', config, out / 'plain' / 'epoch_2.pth', out / 'images']
        main([*map(str, words), '--out-dir', str(out / 'predicted'), '--share', 'ranks'])
    leave_process_group()
