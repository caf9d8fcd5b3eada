"""An epoch beside the network's own passes: python benchmarks/epoch.py CONFIG.

Every round is a process of its own. It runs two epochs of the real training, with all hooks of the
config (checkpoints, pictures, validation), and then **the bound**: the bare encoder on tensors in
memory, in float32, in the faster of two memory layouts, with the same batch sizes and threads, for
the passes that the method needs. These are, for each view of each image: one forward pass for
clustering (of the images that it uses), one for labels, one forward and backward for training. A
frozen backbone needs one forward pass for all of these, in the precision that frozen passes have;
what follows it needs the others. `ratio` is that of the second epoch without its evaluation and of
the bound; `with_evaluation` is that of the whole epoch and of the bound with a forward pass over
the validation images. Both are medians of the ratios of each round.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import common
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS
from torch import nn

from mmseg_picie.acceleration.precision import FrozenCopyIn

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = common.make_parser(__doc__)
    common.add_config(parser)
    args = parser.parse_args(argv)
    common.compare(
        args, lambda config: dict(epoch=partial(common.run_child, measure, config)), make_rows
    )


def measure(config: Config) -> dict[str, Any]:
    """One round: the parts of two epochs, and of the bound."""
    epochs = common.train(config, 2)
    gc.collect()  # the runner, and its workers with it
    layout, bound = measure_bound(config)
    return dict(epochs=epochs, layout=layout, bound=bound)


def measure_bound(config: Config) -> tuple[str, dict[str, float]]:
    """The faster layout, and seconds of the passes that the method needs."""
    model = MODELS.build(config.model).to('cuda' if torch.cuda.is_available() else 'cpu')
    encoder = model.encoder
    num_train, num_val = (
        len(DATASETS.build(config[name].dataset)) if config.get(name) else 0
        for name in ('train_dataloader', 'val_dataloader')
    )
    train = batch_sizes(num_train, config.train_dataloader.batch_size)
    label, cluster, val, view = train, [], [], common.size_of(config)
    if model.needs_centroids:
        hook = config.default_hooks.clustering
        used = min(num_train, hook.get('images_per_epoch') or num_train)
        batch = hook.get('batch_size', 128)
        cluster = batch_sizes(used, min(batch, hook.get('forward_batch_size') or batch))
    else:
        label = []
    if num_val:
        val = batch_sizes(num_val, config.val_dataloader.batch_size)
    evaluated = common.size_of(config, 'ResizeCenterCrop', 'size', default=view)
    if model.has_frozen_backbone:
        return 'contiguous', measure_frozen(model, train, label, cluster, val, view, evaluated)
    times: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    for _ in range(3):
        for name, layout in LAYOUTS.items():
            # Trained first, so that the running statistics have seen data before use.
            seconds = (time_passes(encoder, train[:1], view, layout, way) for way in (True, False))
            times[name].append(sum(seconds))
    best = min(times, key=lambda name: min(times[name]))
    run = partial(time_passes, encoder, layout=LAYOUTS[best])
    return best, dict(
        clustering=run(cluster * model.num_views, view),
        labelling=run(label * model.num_views, view),
        training=run(train * model.num_views, view, training=True),
        evaluation=run(val, evaluated),
    )


def measure_frozen(
    model: Any,
    train: list[int],
    label: list[int],
    cluster: list[int],
    val: list[int],
    view: tuple[int, int],
    evaluated: tuple[int, int],
) -> dict[str, float]:
    """Seconds of the passes of a frozen backbone, and of what follows it."""
    backbone = FrozenCopyIn('auto', model.backbone)
    device = next(backbone.parameters()).device

    def make_maps(size: int) -> list[torch.Tensor]:
        return backbone(torch.randn(size, 3, *view, device=device))

    views = model.num_views
    after = partial(time_passes, model.encoder, shape=view, make_inputs=make_maps)
    return dict(
        backbone=time_passes(backbone, train * views, view),
        clustering=after(cluster * views),
        labelling=after(label * views),
        training=after(train * views, training=True),
        evaluation=time_passes(backbone, val, evaluated),
    )


def time_passes(
    encoder: nn.Module,
    sizes: Sequence[int],
    shape: tuple[int, int],
    layout: torch.memory_format = torch.contiguous_format,
    training: bool = False,
    make_inputs: Callable[[int], Any] | None = None,
) -> float:
    """Seconds of passes over batches of these sizes; what they need is made before."""
    encoder.to(memory_format=layout).train(training)
    device = next(encoder.parameters()).device

    def make_images(size: int) -> torch.Tensor:
        return torch.randn(size, 3, *shape, device=device).contiguous(memory_format=layout)

    images, gradients = {}, {}
    for size in set(sizes):
        images[size] = (make_inputs or make_images)(size)
        with torch.no_grad():  # which is a warm-up, too
            gradients[size] = [torch.randn_like(level) for level in encoder(images[size])]

    def run() -> None:
        for size in sizes:
            with torch.set_grad_enabled(training):
                maps = list(encoder(images[size]))
            if training:
                torch.autograd.backward(maps, gradients[size])
                encoder.zero_grad(set_to_none=True)
        if device.type == 'cuda':
            torch.cuda.synchronize()

    return common.seconds_of(run)


def batch_sizes(num_images: int, batch_size: int) -> list[int]:
    """Sizes of the batches of one pass; the last may be smaller."""
    whole, rest = divmod(num_images, batch_size)
    return [batch_size] * whole + ([rest] if rest else [])


def make_rows(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians over the rounds: the second epoch, the bound, and their ratios."""
    first, second = ([record['epochs'][i] for record in found['epoch']] for i in (0, 1))
    bounds = [record['bound'] for record in found['epoch']]
    ratios, with_evaluation = (
        common.round_ratios(*([sum(_leave(parts, out)) for parts in of] for of in (second, bounds)))
        for out in ('evaluation', None)
    )
    return [
        dict(
            **common.medians(second),
            **{f'bound_{name}': seconds for name, seconds in common.medians(bounds).items()},
            layout=found['epoch'][0]['layout'],
            ratio=statistics.median(ratios),
            with_evaluation=statistics.median(with_evaluation),
            first_epoch=statistics.median([sum(parts.values()) for parts in first]),
        )
    ]


def _leave(parts: dict[str, float], out: str | None) -> list[float]:
    return [seconds for name, seconds in parts.items() if name != out]


if __name__ == '__main__':
    main()
