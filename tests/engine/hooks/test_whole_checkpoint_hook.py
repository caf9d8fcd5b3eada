"""Checkpoints of whole runs in this process: what is kept, resumed from and refused."""

import errno
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmseg_picie import whole_files
from mmseg_picie.cli import main
from mmseg_picie.engine import WholeCheckpointHook, disk_space, folder_lock
from mmseg_picie.engine.checkpoint_files import is_whole

TINY = {
    'train_cfg.max_epochs': 2,
    'train_dataloader.dataset.num_images': 4,
    'val_dataloader.dataset.num_images': 2,
    'default_hooks.clustering.num_init_batches': 1,
    'default_hooks.visualization.draw': False,
}


@pytest.fixture(autouse=True)
def quick_texts(monkeypatch):
    """Write configs without making them pretty, which takes half of the time of a tiny run."""
    text = property(lambda config: '\n'.join(f'{k} = {v!r}' for k, v in config.to_dict().items()))
    monkeypatch.setattr(Config, 'pretty_text', text)


@pytest.fixture
def run(tiny_config):
    """Train a tiny model; options replace parts of its config."""
    count = iter(range(99))

    def train(options: dict | None = None, resume: bool = False) -> Runner:
        config: Config = tiny_config(TINY | (options or {}))
        config.experiment_name = config.visualizer.name = f'{config.experiment_name}{next(count)}'
        config.resume = resume
        runner = Runner.from_cfg(config)
        runner.train()
        return runner

    return train


def hook_of(runner: Runner) -> CheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))


def read(runner: Runner, name: str) -> dict:
    return torch.load(Path(runner.work_dir, name), weights_only=False)


def warnings_of(runner: Runner) -> str:
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    return '\n'.join(line for line in log.splitlines() if 'WARNING' in line)


def test_it_takes_the_place_of_mmengines_hook_in_any_config(tiny_config):
    for options in ({}, {'default_hooks.checkpoint': dict(type='CheckpointHook', interval=3)}):
        config = tiny_config(TINY | options)
        config.experiment_name = config.visualizer.name = f'{config.experiment_name}{len(options)}'
        assert isinstance(hook_of(Runner.from_cfg(config)), WholeCheckpointHook)


class Removals:
    """Looks at the folder whenever a checkpoint is removed."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        remove = os.remove

        def removed(path, *args, **kwargs):
            if str(path).endswith('.pth'):
                others = [one.name for one in Path(path).parent.glob('*.pth') if is_whole(one)]
                self.seen.append((os.path.basename(path), sorted(others)))
            remove(path, *args, **kwargs)

        monkeypatch.setattr(os, 'remove', removed)


def test_the_old_checkpoint_goes_when_the_new_one_is_whole(run, monkeypatch):
    removals = Removals(monkeypatch)
    runner = run({'default_hooks.checkpoint.max_keep_ckpts': 1, 'train_cfg.max_epochs': 3})
    assert removals.seen == [
        ('epoch_1.pth', ['epoch_1.pth', 'epoch_2.pth']),
        ('epoch_2.pth', ['epoch_2.pth', 'epoch_3.pth']),
    ]
    assert [path.name for path in Path(runner.work_dir).glob('*.pth')] == ['epoch_3.pth']


@pytest.mark.parametrize('save_best', ['mIoU', ['mIoU', 'aAcc']], ids=['one', 'two'])
@pytest.mark.parametrize('interval', [1, -1], ids=['with epochs', 'alone'])
def test_the_old_best_goes_when_the_new_one_is_whole(run, monkeypatch, save_best, interval):
    removals = Removals(monkeypatch)
    options = dict(save_best=save_best, rule='less', interval=interval, save_last=False)
    scores = iter([3.0, 2.0, 2.0, 1.0, 0.5, 0.5])
    hooks = {f'default_hooks.checkpoint.{name}': value for name, value in options.items()}
    evaluate = 'mmseg_picie.evaluation.hungarian_iou.HungarianIoUMetric.compute_metrics'
    with monkeypatch.context() as patch:
        plain = __import__('mmseg_picie.evaluation', fromlist=['x']).HungarianIoUMetric
        compute = plain.compute_metrics

        def falling(self, results):
            score = next(scores)
            return compute(self, results) | dict(mIoU=score, aAcc=score)

        patch.setattr(evaluate, falling)
        runner = run(hooks)
    names = [save_best] if isinstance(save_best, str) else save_best
    for name in names:
        seen = [
            others for removed, others in removals.seen if removed == f'best_{name}_epoch_1.pth'
        ]
        assert len(seen) == 1 and f'best_{name}_epoch_2.pth' in seen[0]
    left = {path.name for path in Path(runner.work_dir).glob('best*')}
    assert left == {f'best_{name}_epoch_2.pth' for name in names}


def test_a_validated_checkpoint_is_not_validated_again(run):
    meta = read(run(), 'epoch_2.pth')['meta']
    assert meta['validated'] is True and meta['world_size'] == 1
    again = run(resume=True)
    assert 'val/mIoU' in again.message_hub.log_scalars
    assert 'validation' not in warnings_of(again)


@pytest.mark.parametrize('interval', [1, 2])
def test_only_a_validation_that_was_due_is_made_up_for(run, interval):
    options = {'train_cfg.val_interval': interval, 'train_cfg.max_epochs': 3}
    before = run(options)
    path = Path(before.work_dir, 'epoch_1.pth')
    checkpoint = torch.load(path, weights_only=False)
    assert checkpoint['meta']['validated'] is (interval == 1)
    checkpoint['meta'].pop('validated')  # as earlier versions wrote it
    torch.save(checkpoint, path)
    Path(before.work_dir, 'last_checkpoint').write_text(str(path))
    after = run(options, resume=True)
    assert ('validation of' in warnings_of(after)) == (interval == 1)
    first, second = (read(one, 'epoch_3.pth')['state_dict'] for one in (before, after))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_damaged_checkpoint_is_told_of_and_the_one_before_is_taken(run):
    before = run()
    expected = read(before, 'epoch_2.pth')
    path = Path(before.work_dir, 'epoch_2.pth')
    path.write_bytes(path.read_bytes()[:1000])
    after = run(resume=True)
    assert f'{path} is missing or damaged, so the training goes on from' in warnings_of(after)
    found = read(after, 'epoch_2.pth')
    assert found['meta']['dataset_meta'] == expected['meta']['dataset_meta']
    states = found['state_dict'], expected['state_dict']
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])


def test_leftovers_of_a_killed_run_are_gone(run, tmp_path):
    for place in ('.', '20260101_120000/vis_data', '20260101_120000/vis_data/vis_image'):
        (tmp_path / 'tiny' / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / 'tiny' / place / '.epoch_1.pth.partial-1-01234567').write_text('half')
    run()
    assert not list((tmp_path / 'tiny').rglob('.*partial*'))


def test_a_folder_in_use_is_refused_before_anything_is_written(tiny_config, tmp_path, monkeypatch):
    config = tiny_config(TINY)
    locked = folder_lock.FileLock(tmp_path / 'lock')
    folder = Path(config.work_dir)
    folder.mkdir()
    with folder_lock.FileLock(folder / '.training.lock'), pytest.raises(folder_lock.FolderInUse):
        from mmseg_picie.apis import runs

        runs.train(config)
    assert sorted(os.listdir(folder)) in ([], ['.training.lock'])
    assert not locked.is_locked


def test_a_full_disk_is_refused_with_figures(run, monkeypatch):
    class Usage:
        free = 1_000_000

    monkeypatch.setattr(disk_space.shutil, 'disk_usage', lambda folder: Usage)
    with pytest.raises(OSError, match=r'has 1.0 MB free, but a training needs 2 checkpoints of'):
        run()


def test_a_disk_that_gets_full_leaves_the_checkpoint_before_whole(run, monkeypatch):
    place = {}
    replace = os.replace

    def fill(source, target):
        if str(target).endswith('epoch_2.pth'):
            place['folder'] = Path(target).parent
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(whole_files.os, 'replace', fill)
    with pytest.raises(OSError, match='No space left') as caught:
        run({'default_hooks.checkpoint.max_keep_ckpts': 1})
    assert os.path.basename(caught.value.filename) == 'epoch_2.pth'
    assert [path.name for path in place['folder'].glob('*.pth')] == ['epoch_1.pth']
    assert (place['folder'] / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    folder_lock.free_folder(str(place['folder']))


@pytest.mark.parametrize('command', ['store-map', 'fit-centroids'])
@pytest.mark.parametrize('is_link', [False, True])
def test_a_checkpoint_that_is_written_in_place_can_still_be_resumed(
    run, tiny_config, tmp_path, command, is_link
):
    runner = run()
    checkpoint = Path(runner.work_dir, 'epoch_2.pth')
    before = torch.load(checkpoint, weights_only=False)
    out = checkpoint
    if is_link:
        out = tmp_path / 'link.pth'
        out.symlink_to(checkpoint)
    config = tiny_config(TINY, 'other')
    config.experiment_name = config.visualizer.name = f'{tmp_path.name}{command}{is_link}'
    config.dump(tmp_path / 'other.py')
    words = [command, str(tmp_path / 'other.py'), str(checkpoint)]
    main([*words, *(['--out'] if command == 'fit-centroids' else []), str(out)])
    after = torch.load(checkpoint, weights_only=False)
    assert after.keys() == before.keys()
    assert after['optimizer']['state'].keys() == before['optimizer']['state'].keys() != set()
    assert run({'train_cfg.max_epochs': 3}, resume=True).epoch == 3


def test_weights_alone_cannot_be_resumed_from(run):
    runner = run()
    path = Path(runner.work_dir, 'epoch_2.pth')
    for content, missing in (
        (lambda c: c['state_dict'], 'message_hub, optimizer'),
        (lambda c: {k: c[k] for k in ('meta', 'state_dict', 'message_hub')}, 'optimizer'),
        (lambda c: c | dict(meta={}), 'epoch and iter'),
    ):
        checkpoint = torch.load(path, weights_only=False)
        torch.save(content(checkpoint), path)
        with pytest.raises(ValueError, match=rf'holds no state of a training \({missing}\)'):
            run({'train_cfg.max_epochs': 3}, resume=True)
        torch.save(checkpoint, path)
