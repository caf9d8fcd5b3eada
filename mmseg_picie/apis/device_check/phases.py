"""How fast a device is, phase by phase, and what memory it takes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from ...clustering import initial_fit
from ..devices import forget_peak, peak_mib, peak_mib_of, time_call
from ..duration import Steps, prepare_steps
from .cases import LeftOut, draw
from .rows import Found, Row, attempt
from .training import make_config

#: Clusters, channels and iterations of the k-means that is timed.
K, D, NUM_ITERS = 27, 128, 10


def check_phases(device: torch.device, quick: bool) -> Iterator[Row]:
    """Time the phases of the method, and tell the peak of memory of each.

    Args:
        device (torch.device): that is timed.
        quick (bool): few small images, and few points.

    Yields:
        Row: one a phase, and one of memory.
    """
    made: list[Steps] = []

    def prepare() -> Found:
        made.append(prepare_steps(make_config(quick), device, 8 if quick else 32))
        return _tell(made[0].load, 'an image, on one thread of the CPU', None)

    yield attempt('speed', 'loading', prepare)
    for name, make in _PHASES.items():
        yield attempt('speed', name, partial(_time_phase, made, make, device))
    yield attempt('speed', 'k-means', partial(_time_kmeans, 20_000 if quick else 200_000, device))
    yield attempt('memory', 'peak of this process on the host', _tell_peak)


def _encode(steps: Steps) -> Callable[[], Any]:
    return steps.encode


def _label(steps: Steps) -> Callable[[], Any]:
    maps = steps.encode()
    return lambda: [head.make_labels(maps) for head in steps.model.heads().values()]


def _train(steps: Steps) -> Callable[[], Any]:
    return steps.train


def _predict(steps: Steps) -> Callable[[], Any]:
    model = steps.model.eval()
    images = steps.batch['inputs'][-1]  # whole ones

    @torch.no_grad()
    def predict() -> Any:
        return model.predict(images)

    return predict


#: Phase -> makes what is timed.
_PHASES = {
    'encoding of both views': _encode,
    'pseudo-labels of encoded views': _label,
    'training step, labels included': _train,
    'prediction': _predict,
}


def _time_phase(made: list[Steps], make: Callable, device: torch.device) -> Found:
    if not made:
        raise LeftOut('there is no model, as loading has not been done')
    step = make(made[0])
    forget_peak(device)
    seconds, _ = time_call(step, device, 3)
    return _tell(seconds / made[0].number, f'an image, of {made[0].number}', peak_mib_of(device))


def _time_kmeans(number: int, device: torch.device) -> Found:
    points = F.normalize(draw(0, number, D), dim=1).to(device)
    forget_peak(device)
    seconds, _ = time_call(lambda: initial_fit(points.clone(), K, NUM_ITERS, 0), device)
    what = f'for {number} points of {D} channels, {K} clusters, {NUM_ITERS} iterations'
    return _tell(seconds, what, peak_mib_of(device))


def _tell(seconds: float, what: str, peak: float | None) -> Found:
    memory = '' if peak is None else f'; peak {peak:.0f} MiB on the device'
    values = dict(seconds=seconds) | ({} if peak is None else dict(peak_mib=peak))
    return Found(True, f'{1000 * seconds:.2f} ms {what}{memory}', '', values)


def _tell_peak() -> Found:
    peak = peak_mib()
    if peak != peak:
        raise LeftOut('the system does not tell it')
    return Found(True, f'{peak:.0f} MiB', '', dict(peak_mib=peak))
