"""Every public function that sees tensors keeps them on their device, shown on an imitated one."""

import importlib.util
import io
import traceback
from contextlib import nullcontext, redirect_stdout
from types import CodeType

import numpy as np
import pytest
import torch
from imitated_device import imitate
from mmengine.config import Config
from trace_calls import called, public_functions

from mmseg_picie.apis import devices, prediction, runners
from mmseg_picie.apis.device_check import CASES, parity, report, segmentor_cases
from mmseg_picie.apis.device_check.cases import LeftOut, compare
from mmseg_picie.apis.device_check.rows import FAILED, LEFT_OUT

ROOMS = ('clustering', 'views', 'acceleration', 'models')
#: Functions of these rooms that need no case -> why.
WITHOUT_CASE = {
    'numbers and numpy arrays alone': (
        'clustering.cluster_numbers.spaced_numbers',
        'clustering.cluster_numbers.prediction_strength',
        'clustering.matching.match_many_to_one',
        'clustering.matching.match_images',
        'clustering.matching.legacy_group_confusion',
        'clustering.naming.translate_map',
        'views.geometric.cover',
        'views.geometric.cover_size',
        'views.geometric.resize',
        'views.geometric.crop_flip_image',
        'views.params.PhotometricSpace.draw',
        'views.params.GeometricSpace.draw',
        'views.photometric.apply_photometric',
        'views.photometric.adjust_brightness',
        'views.photometric.adjust_contrast',
        'views.photometric.adjust_saturation',
        'views.photometric.shift_hue',
        'views.photometric.to_grayscale',
        'views.photometric.gaussian_blur',
    ),
    'processes, threads and processors': (
        'acceleration.allocator.find_mimalloc',
        'acceleration.allocator.choose_environment',
        'acceleration.allocator.restart_with_mimalloc',
        'acceleration.allocator.release_freed_memory',
        'acceleration.loading.load_on_threads',
        'acceleration.loading.count_cores',
        'acceleration.precision.bfloat16_is_fast',
        'acceleration.waiting.wait_briefly',
    ),
    'weights on the CPU, before a model is moved': (
        'models.efficientnet_lite0.to_timm_key',
        'models.efficientnet_lite0.load_from_efficientnet_lite0',
        'models.frozen_encoder.FrozenEncoder.init_weights',
        'models.normalisation.check_normalisation',
        'models.normalisation.wanted_normalisation',
        'models.parts.check_encoder',
        'models.parts.check_heads',
        'models.parts.check_pretrained',
        'models.parts.describe_backbone',
        'models.parts.list_pretrained',
        'models.picie.PiCIE.init_weights',
        'models.timm_vit.TIMMViT.init_weights',
        'models.timm_vit.TIMMViT.out_channels',
    ),
    'overridden by every class that is used': (
        'models.frozen_passes.FrozenPasses.num_views',
        'models.view_head.ViewHead.is_fitted',
        'models.view_head.ViewHead.parameters_of_epoch',
        'models.view_head.ViewHead.classify_by_centroids',
        'models.view_head.ViewHead.loss_by_views',
        'models.view_head.ViewHead.make_labels',
        'models.view_head.ViewHead.loss_of_view',
    ),
    'called in the epoch below': (
        'acceleration.hook.AccelerationHook.before_run',
        'acceleration.hook.AccelerationHook.before_train_epoch',
        'acceleration.hook.AccelerationHook.after_train_epoch',
        'acceleration.hook.load_between_steps',
        'acceleration.hook.freeze_in_half',
        'acceleration.hook.train_views_apart',
        'acceleration.hook.save_in_place',
        'acceleration.hook.recompute',
        'acceleration.hook.lay_out_channels_last',
    ),
}


def run_case(
    name: str, kind: str, has_float64: bool = True, codes: set[CodeType] | None = None
) -> None:
    """Compare a case with the CPU."""
    expected = CASES[name].run(torch.device('cpu'))
    with imitate(kind, has_float64) as device:
        with nullcontext(set()) if codes is None else called() as seen:
            found = CASES[name].run(device.device)
        difference = compare(expected, found, CASES[name].slack)
    if codes is not None:
        codes |= seen
    assert difference.worst <= 1, (name, difference)


def failures(kind: str, has_float64: bool, codes: set[CodeType] | None = None) -> dict[str, str]:
    """Cases that go wrong, and where; `codes` gets what was called on the device."""
    found = {}
    for name in CASES:
        try:
            with redirect_stdout(io.StringIO()):  # a table of scores
                run_case(name, kind, has_float64, codes)
        except LeftOut:
            continue
        except Exception as error:
            places = [x for x in traceback.extract_tb(error.__traceback__) if 'mmseg_picie' in x[0]]
            found[name] = f'{error} at {[f"{x.filename}:{x.lineno}" for x in places[-2:]]}'
    return found


def test_every_function_is_right_on_a_device_without_float64():
    functions = public_functions(ROOMS)
    excepted = {name for names in WITHOUT_CASE.values() for name in names}
    assert excepted <= set(functions)
    codes: set[CodeType] = set()
    assert failures('mps', has_float64=False, codes=codes) == {}
    seen = {name for name, code in functions.items() if code in codes}
    missing = set(functions) - excepted - seen
    if not _has_optional():  # timm and the CRF are what some cases need
        missing = {name for name in missing if 'timm' not in name and 'crf' not in name}
    assert missing == set(), 'give them a case in apis/device_check, or a reason above'


def _has_optional() -> bool:
    return all(importlib.util.find_spec(name) for name in ('pydensecrf', 'timm'))


@pytest.mark.slow
def test_every_function_is_right_on_a_device_with_float64():
    assert failures('cuda', has_float64=True) == {}


def test_the_list_of_functions_sees_new_ones():
    functions = public_functions(['clustering', 'models'])
    for name in ('clustering.kmeans.assign', 'models.picie.PiCIE.loss', 'models.dense_crf'):
        assert any(found.startswith(name) for found in functions)
    assert not any('._' in name.replace('.__call__', '') for name in functions)
    with called() as codes:
        CASES['nearest centroid of each point'].run(torch.device('cpu'))
    assert functions['clustering.kmeans.assign'] in codes
    assert functions['clustering.kmeans.cluster_sums'] not in codes


@pytest.mark.parametrize(
    ('place', 'fault', 'name', 'kind', 'message'),
    [
        ('clustering.kmeans.to_float64', torch.Tensor.double, 'sums of clusters', 'mps', 'float64'),
        (
            'models.centroid_head.frequency_weights',
            lambda counts: torch.ones(counts.shape),
            'training step',
            'cuda',
            'same device',
        ),
        (
            'clustering.lloyd.choose_points',
            lambda number, size, seed: np.arange(size),
            "Lloyd's k-means",
            'cuda',
            'no attribute',
        ),
        (
            'models.centroid_head.merge_scores',
            lambda scores, merged, size: torch.from_numpy(scores.detach().numpy()[:, :size]),
            'head of centroids',
            'mps',
            'to numpy',
        ),
        (
            'models.picie.crop_flip_features',
            lambda maps, draws, size: maps[:, :, : size[0], : size[1]] * torch.ones(2, 1, 1, 1),
            'training step',
            'mps',
            'same device',
        ),
    ],
)
def test_planted_faults_are_found(monkeypatch, place, fault, name, kind, message):
    monkeypatch.setattr(f'mmseg_picie.{place}', fault)
    with pytest.raises((AttributeError, RuntimeError, TypeError), match=message):
        run_case(name, kind, has_float64=kind != 'mps')


def test_the_host_never_waits_for_the_device_in_a_training_step():
    with imitate('cuda') as device:
        model = segmentor_cases.build(device.device)
        before = device.waits
        losses = segmentor_cases.train_once(model)
        assert device.waits == before
        float(losses['losses']['decode.loss_cross'])
        assert device.waits == before + 1


def test_shapes_of_a_training_step_need_no_values():
    """On `meta`, which has shapes alone, and no mixed precision either."""
    on_cpu = segmentor_cases.train_once(segmentor_cases.build(torch.device('cpu')))
    on_meta = segmentor_cases.train_once(segmentor_cases.build(torch.device('meta')))
    for name, loss in on_cpu['losses'].items():
        found = on_meta['losses'][name]
        assert (found.device.type, found.shape, found.dtype) == ('meta', loss.shape, loss.dtype)
    assert len(on_meta['gradients']) == len(on_cpu['gradients'])


#: What the recipes use beside PiCIE's own.
RECIPE = {
    'model.decode_head.centroids_per_cluster': 2,
    'model.auxiliary_head': dict(type='IICHead', num_clusters=5, in_channels=16),
    'default_hooks.clustering.warm_start': True,
    'default_hooks.clustering.num_clusterings': 2,
    'default_hooks.clustering.max_init_points': 900,
    'default_hooks.principal': dict(type='PrincipalDecoderHook', num_images=4),
    'train_cfg.max_epochs': 2,
}


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cuda', 'mps'])
def test_a_training_and_a_prediction_stay_on_the_device(kind, tiny_config, tmp_path, monkeypatch):
    found = {}
    for place in ('cpu', kind):
        config = tiny_config({**RECIPE, 'work_dir': str(tmp_path / place)}, name=place)
        out = tmp_path / f'{place}_segments'
        if place == 'cpu':
            found[place] = _train_and_predict(config, torch.device('cpu'), out)
            continue
        monkeypatch.setattr('mmengine.device.utils.DEVICE', kind)
        with imitate(kind, has_float64=kind != 'mps') as device, called() as codes:
            found[place] = _train_and_predict(config, device.device, out)
        functions = public_functions(['acceleration'])
        assert all(functions[name] in codes for name in WITHOUT_CASE['called in the epoch below'])
    assert found['cpu'][0] == pytest.approx(found[kind][0], rel=1e-3)
    assert found['cpu'][1].shape == found[kind][1].shape
    assert (found['cpu'][1] == found[kind][1]).mean() > 0.98


def _train_and_predict(config: Config, device: torch.device, out) -> tuple[list[float], np.ndarray]:
    """Losses of the steps, and the label map of an image."""
    from PIL import Image

    from mmseg_picie.datasets.scenes import draw_scene

    with redirect_stdout(io.StringIO()):
        runner = runners.build_runner(config.copy())
        runner.train()
    assert next(runner.model.parameters()).device == device
    losses = runner.message_hub.get_scalar('train/loss').data[0].tolist()
    image = out.with_suffix('.png')
    Image.fromarray(draw_scene(3, 0, 64, 96)[0]).save(image)
    config.test_pipeline = config.test_dataloader.dataset.pipeline
    model = prediction.load_model(config, f'{config.work_dir}/epoch_2.pth', 'cpu').to(device)
    prediction.predict_files(model, prediction.find_sources([str(image)]), str(out))
    return losses, np.array(Image.open(out / 'labels' / f'{image.stem}.png'))


@pytest.mark.slow
def test_the_check_of_a_device_runs_on_one(monkeypatch):
    some = ("Lloyd's k-means", 'training step')
    monkeypatch.setattr(parity, 'CASES', {name: CASES[name] for name in some})
    monkeypatch.setattr(torch.mps, 'synchronize', lambda: None)
    with imitate('mps', has_float64=False) as device:
        found = report.check(device.device, quick=True)
    assert [row for row in found.rows if row.result == FAILED] == []
    left_out = {row.check for row in found.rows if row.result == LEFT_OUT}
    assert left_out == {'step in mixed precision', 'k-means of faiss-gpu'}
    losses = next(row for row in found.rows if row.check == 'losses of the epoch')
    assert max(losses.values.values()) < 1e-4


def test_a_device_is_waited_for_before_the_clock_is_read(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda device: calls.append(str(device)))
    seconds, result = devices.time_call(lambda: calls.append('step') or 7, torch.device('cuda', 1))
    assert calls == ['cuda:1', 'step', 'cuda:1'] * 2
    assert result == 7 and 0 <= seconds < 60
