"""Old names of modules: they import for one version, and say where the module is now."""

import importlib
import subprocess
import sys
import warnings

import pytest

from mmseg_picie.moved import MOVED

MODULES = {old: new for old, new in MOVED.items() if not old.rsplit('.', 1)[-1][0].isupper()}


@pytest.mark.parametrize(('old', 'new'), MODULES.items())
def test_an_old_module_is_the_new_one_and_says_so(old, new):
    sys.modules.pop(f'mmseg_picie.{old}', None)
    with pytest.warns(FutureWarning, match=f'mmseg_picie.{old} has moved to mmseg_picie.{new}'):
        found = importlib.import_module(f'mmseg_picie.{old}')
    assert found is importlib.import_module(f'mmseg_picie.{new}')
    assert found.__spec__.name == found.__name__ == f'mmseg_picie.{new}'


def test_it_says_so_once():
    sys.modules.pop('mmseg_picie.engine.seed_runs', None)
    with pytest.warns(FutureWarning):
        importlib.import_module('mmseg_picie.engine.seed_runs')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        importlib.import_module('mmseg_picie.engine.seed_runs')


def test_a_class_that_has_moved_is_found_in_its_old_room():
    import mmseg_picie.engine
    from mmseg_picie.visualization import SegmentVisualizer

    with pytest.warns(FutureWarning, match='SegmentVisualizer has moved'):
        assert mmseg_picie.engine.SegmentVisualizer is SegmentVisualizer


def test_a_name_that_never_was_is_not_found():
    import mmseg_picie.engine

    with pytest.raises(AttributeError, match='has no attribute'):
        mmseg_picie.engine.nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmseg_picie.engine.nothing')


def test_the_statements_of_old_scripts_work():
    code = (
        'from mmseg_picie.datasets.synthetic_scenes import draw_scene\n'
        'from mmseg_picie.engine import SegmentVisualizer, prediction\n'
        'from mmseg_picie.engine.centroid_hook import KMeansCentroidHook\n'
        'print(draw_scene.__name__, prediction.__name__, KMeansCentroidHook.__name__)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    expected = 'draw_scene mmseg_picie.apis.prediction KMeansCentroidHook'
    assert done.stdout.strip().splitlines()[-1] == expected
    assert done.stderr.count('has moved') == 4


@pytest.mark.parametrize(
    ('option', 'place'),
    [
        (dict(frozen_dtype='float32'), 'default_hooks.acceleration.frozen_dtype'),
        (dict(activation_budget=0), 'activation_checkpointing'),
        (dict(activation_checkpointing=['backbone']), 'activation_checkpointing'),
    ],
)
def test_options_of_the_segmentor_that_moved_say_where_to(make_picie, option, place):
    (name,) = option
    with pytest.warns(FutureWarning, match=f'model.{name} has moved to .*{place}'):
        model = make_picie(**option)
    assert model.frozen_dtype == option.get('frozen_dtype')
