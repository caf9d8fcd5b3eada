"""Checkpoints are read as data: honest ones as they were written, others not at all."""

import argparse
import io
import os
import pickle
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.apis import init_model
from mmseg.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_picie.checkpoint_loading import UnreadableCheckpoint, guard_toolbox, read_checkpoint

FLOATS, BITS = ('float16', 'float32', 'float64'), (8, 16, 32, 64)
DTYPES = [*FLOATS, 'bool', *(f'{kind}{n}' for kind in ('int', 'uint') for n in BITS)]


def assert_same(read, written) -> None:
    """Compare all the way down: types, values, dtypes, order of keys."""
    assert type(read) is type(written)
    if isinstance(written, dict):
        assert list(read) == list(written)
        for key in written:
            assert_same(read[key], written[key])
    elif isinstance(written, (list, tuple)):
        assert len(read) == len(written)
        for pair in zip(read, written, strict=True):
            assert_same(*pair)
    elif isinstance(written, torch.Tensor):
        assert read.dtype == written.dtype and torch.equal(read, written)
    elif isinstance(written, np.ndarray):
        assert read.dtype == written.dtype and read.shape == written.shape
        assert np.array_equal(read, written)
    elif isinstance(written, HistoryBuffer):
        assert_same(read.data, written.data)
        assert (read.max_length, read.mean()) == (written.max_length, written.mean())
    else:
        assert read == written


def history(*values: float) -> HistoryBuffer:
    buffer = HistoryBuffer(max_length=50)
    for value in values:
        buffer.update(value, 2)
    return buffer


def optimiser_state(kind: type, **options) -> dict:
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimiser = kind([weight], lr=0.1, **options)
    weight.sum().backward()
    optimiser.step()
    return optimiser.state_dict()


HONEST = {
    'weights': dict(state_dict=OrderedDict(w=torch.ones(2), n=torch.tensor(3))),
    'weights alone': dict(w=torch.ones(2), half=torch.ones(2).half(), i=torch.ones(2).bool()),
    'parameters': dict(state_dict=dict(w=torch.nn.Parameter(torch.ones(2)))),
    'numbers': dict(a=1, b=2.5, c=True, d=None, e='text', f=b'bytes', g=1j, h=[(1, [2])], i={1, 2}),
    'numpy scalars': {name: np.dtype(name).type(1) for name in DTYPES},
    'numpy arrays': {name: np.ones((2, 3), name) for name in DTYPES},
    'arrays of text and of another order': dict(
        a=np.array(['road', 'sky']), b=np.ones(2, '>f4'), c=np.asfortranarray(np.eye(2, 3))
    ),
    'an empty array': dict(a=np.zeros((0, 3)), b=np.zeros(())),
    'histories': dict(message_hub=dict(log_scalars=dict(a=history(0.25, 0.5), b=history(1.0)))),
    'a history of float32': dict(
        a=HistoryBuffer(np.array([1, 2], np.float32), np.array([1, 1], np.int32))
    ),
    'meta of mmseg 0.x': dict(
        meta=dict(mmseg_version='0.30', config='model = dict()', CLASSES=('road',), PALETTE=[[1]]),
        state_dict=dict(w=torch.ones(1)),
    ),
    'SGD': dict(optimizer=optimiser_state(torch.optim.SGD, momentum=0.9)),
    'Adam': dict(optimizer=optimiser_state(torch.optim.Adam)),
    'AdamW': dict(optimizer=optimiser_state(torch.optim.AdamW, amsgrad=True)),
    'RMSprop': dict(optimizer=optimiser_state(torch.optim.RMSprop, centered=True)),
    'views': dict(a=torch.arange(9.0)[2:5], b=torch.ones(2, 3).T, c=torch.ones(4, 4)[::2, ::2]),
    'nothing': dict(a=torch.ones(0), b=torch.ones(1).expand(0, 5), c=torch.ones(0).expand(9, 0)),
    'a mask of attention': dict(state_dict={'layer.attn_mask': torch.full((2, 2), -torch.inf)}),
}


@pytest.mark.parametrize('form', ['zip', 'old', 'open file'])
@pytest.mark.parametrize('kind', HONEST)
def test_honest_content_is_read_as_it_was_written(tmp_path, kind, form):
    path = tmp_path / 'a.pth'
    torch.save(HONEST[kind], path, _use_new_zipfile_serialization=form != 'old')
    source = io.BytesIO(path.read_bytes()) if form == 'open file' else path
    assert_same(read_checkpoint(source), HONEST[kind])


def test_arrays_of_numpy_1_are_read(tmp_path):
    """Their functions had another module; a file names it as text, so it can be changed there."""
    path = tmp_path / 'a.pth'
    content = dict(a=np.arange(3.0), b=np.float64(2))
    data = pickle.dumps(content, 2).replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    names = {'numpy.core.multiarray._reconstruct', 'numpy.core.multiarray.scalar'}
    assert all(name.replace('.multiarray.', '.multiarray\n').encode() in data for name in names)
    old = io.BytesIO()
    for header in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {}):
        pickle.dump(header, old, 2)
    path.write_bytes(old.getvalue() + data + pickle.dumps([], 2))
    assert_same(read_checkpoint(path), content)


def test_what_a_hub_saves_comes_back_to_a_hub(tmp_path):
    hub = MessageHub.get_instance(tmp_path.name)
    for value in (1.0, 3.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('epoch', 4)
    torch.save(dict(message_hub=hub.state_dict()), tmp_path / 'a.pth')
    other = MessageHub.get_instance(f'{tmp_path.name} again')
    other.load_state_dict(read_checkpoint(tmp_path / 'a.pth')['message_hub'])
    assert other.get_scalar('train/loss').mean() == 2.0
    other.update_scalar('train/loss', 5.0)
    assert other.get_scalar('train/loss').statistics('max') == 5.0
    assert other.get_info('epoch') == 4


def test_an_object_that_occurs_twice_is_one(tmp_path):
    tensor, array, items = torch.ones(2), np.ones(2), [1]
    items.append(items)
    torch.save(dict(a=tensor, b=tensor, c=array, d=[array, (array,)], e=items), tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')
    assert read['a'].data_ptr() == read['b'].data_ptr()
    assert read['c'] is read['d'][0] is read['d'][1][0]
    assert read['e'][1] is read['e']


def test_further_types_are_read_only_where_they_are_named(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(args=argparse.Namespace(lr=0.1)), path)
    assert read_checkpoint(path, more_types=[argparse.Namespace])['args'].lr == 0.1
    with pytest.raises(UnreadableCheckpoint, match='a.pth is refused, as it names argparse.Names'):
        read_checkpoint(path)


def test_the_lists_of_others_are_neither_used_nor_changed(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(path=Path('a')), path)
    kinds = [type(Path('a')), getattr, eval]
    others = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(kinds)
    try:
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(UnreadableCheckpoint, match='pathlib'):
            read_checkpoint(path)
        assert set(torch.serialization.get_safe_globals()) == before
        assert torch.load(path)['path'] == Path('a')  # torch's own, outside of the toolbox
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)
    assert getattr not in torch.serialization.get_safe_globals()


class Busy(io.BytesIO):
    """A file during whose reading another thread does something each time."""

    def __init__(self, data: bytes, task) -> None:
        super().__init__(data)
        self.task, self.failures = task, []

    def read(self, *args) -> bytes:
        thread = threading.Thread(target=self.work)
        thread.start()
        thread.join()
        return super().read(*args)

    def work(self) -> None:
        try:
            self.task()
        except Exception as error:
            self.failures.append(error)


def test_what_other_threads_allow_meanwhile_stays_allowed():
    content = io.BytesIO()
    torch.save(dict(w=torch.ones(1)), content)
    added: list[type] = []

    def task() -> None:
        added.append(type('Added', (), {}))
        torch.serialization.add_safe_globals(added[-1:])

    others = list(torch.serialization.get_safe_globals())
    try:
        file = Busy(content.getvalue(), task)
        assert read_checkpoint(file)['w'] == 1
        assert file.failures == []
        found = torch.serialization.get_safe_globals()
        assert len(added) > 1 and set(found) == {*others, *added}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def test_the_toolbox_reads_files_of_the_web_and_of_other_schemes_in_the_same_way(
    tmp_path, monkeypatch
):
    torch.save(dict(path=Path('a')), tmp_path / 'a.pth')

    def careless(name: str, map_location=None):
        return torch.load(tmp_path / name.removeprefix('tests://'), weights_only=False)

    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    CheckpointLoader.register_scheme('tests://', careless)
    guard_toolbox()
    assert careless('tests://a.pth') == dict(path=Path('a'))
    with pytest.raises(UnreadableCheckpoint, match='pathlib'):
        CheckpointLoader.load_checkpoint('tests://a.pth')
    assert torch.load(tmp_path / 'a.pth', weights_only=False) == dict(path=Path('a'))


@pytest.mark.parametrize('holder', ['meta', 'runtime_info'])
def test_texts_of_configs_are_for_people_only(tmp_path, holder):
    texts = dict(cfg='a = 1', config='b = 2', epoch=3)
    hub = dict(log_scalars={}, runtime_info=dict(texts), resumed_keys={})
    torch.save(dict(meta=dict(texts), message_hub=hub, w=torch.ones(1)), tmp_path / 'a.pth')
    read = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert (read['meta'] if holder == 'meta' else read['message_hub'][holder]) == dict(epoch=3)
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == texts


def whole(tmp_path: Path) -> bytes:
    torch.save(dict(state_dict=dict(weight=torch.zeros(1000))), tmp_path / 'whole.pth')
    return (tmp_path / 'whole.pth').read_bytes()


NO_CHECKPOINTS = {
    'empty': (lambda data: b'', 'is empty'),
    'pointer': (lambda data: b'version https://git-lfs.github.com/spec/v1\noid 1\n', 'Git LFS'),
    'page': (lambda data: b'\n<!DOCTYPE html><title>404</title>', 'is a web page'),
    'text': (lambda data: b'epoch: 1\n', 'must be a checkpoint of torch.save'),
    'cut': (lambda data: data[: len(data) // 2], 'must be a checkpoint of torch.save'),
    'no end': (lambda data: data[:-30], 'must be a checkpoint of torch.save'),
    'no start': (lambda data: data[10:], 'must be a checkpoint of torch.save'),
    'noise': (
        lambda data: np.random.default_rng(0).bytes(2000),
        'must be a checkpoint of torch.save',
    ),
}


@pytest.mark.parametrize('kind', NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_refused_by_a_sentence(tmp_path, kind):
    spoil, sentence = NO_CHECKPOINTS[kind]
    path = tmp_path / 'hostile.pth'
    path.write_bytes(spoil(whole(tmp_path)))
    with pytest.raises(UnreadableCheckpoint, match=sentence) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [[1], torch.ones(2), 'text', None, 3])
def test_anything_but_a_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UnreadableCheckpoint, match='must hold a dict of weights, but holds a'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('content', [[1], {1: torch.ones(2)}, torch.ones(2)])
def test_weights_must_have_names(tmp_path, content):
    torch.save(dict(state_dict=content), tmp_path / 'a.pth')
    with pytest.raises(UnreadableCheckpoint, match='must hold a dict of weights by name'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, value, dtype):
    weights = {'a': torch.ones(3, dtype=dtype), 'norm.bias': torch.ones(3, dtype=dtype)}
    weights['norm.bias'][1] = value
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises(UnreadableCheckpoint, match='not finite .* 1 of 2 tensors, .* norm.bias'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('place', ['state_dict', 'optimizer'])
def test_tensors_that_claim_far_more_than_the_file_holds_are_refused(tmp_path, place):
    content = {'state_dict': dict(w=torch.ones(2)), place: dict(b=[torch.ones(1).expand(10**13)])}
    torch.save(content, tmp_path / 'a.pth')
    assert (tmp_path / 'a.pth').stat().st_size < 3000
    words = (
        rf'its tensor {place}\.b\.0 claims to be of 40,000,000,000,000 bytes, .* holds 4 of them'
    )
    with pytest.raises(UnreadableCheckpoint, match=words):
        read_checkpoint(tmp_path / 'a.pth')


def test_many_tensors_may_not_claim_it_together(tmp_path):
    half = torch.ones(1).expand(2**27)
    torch.save(dict(a=half, c=torch.ones(1).expand(64)), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['c'].shape == (64,)
    torch.save(dict(a=half, b=[half, half]), tmp_path / 'b.pth')
    with pytest.raises(UnreadableCheckpoint, match='claims to be of 536,870,912 bytes'):
        read_checkpoint(tmp_path / 'b.pth')


def test_sparse_quantised_nested_and_meta_tensors_are_let_pass(tmp_path):
    ones = torch.ones(2, 3)
    content = dict(
        sparse=torch.eye(9).to_sparse(),
        rows=torch.eye(9).to_sparse_csr(),
        quantised=torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        nested=torch.nested.nested_tensor([ones[0], ones[0, :2]]),
        meta=torch.ones(9, device='meta'),
    )
    torch.save(content, tmp_path / 'a.pth')
    assert list(read_checkpoint(tmp_path / 'a.pth')) == list(content)


class Largest(TorchDispatchMode):
    """Notes how many truth values were made at once."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.bool:
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize('name', ['w', 'mask'])
def test_weights_are_looked_at_in_pieces(tmp_path, name):
    weight = torch.ones(3 * 10**6)
    weight[-1] = torch.nan
    torch.save({name: weight}, tmp_path / 'a.pth')
    with Largest() as seen, pytest.raises(UnreadableCheckpoint, match='not finite'):
        read_checkpoint(tmp_path / 'a.pth')
    assert 0 < seen.numbers <= 2**20


def test_a_folder_a_pipe_and_nothing_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(UnreadableCheckpoint, match='is a folder'):
        read_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match='pipe, as it is neither a file nor a folder'):
        read_checkpoint(tmp_path / 'pipe')
    with pytest.raises(FileNotFoundError, match='nothing, as it does not exist'):
        read_checkpoint(tmp_path / 'nothing')


def test_random_bytes_in_a_checkpoint_never_end_in_another_error(tmp_path):
    """300 checkpoints, each with some bytes of its pickle replaced."""
    rng = np.random.default_rng(0)
    content = dict(HONEST['histories'], **HONEST['numpy arrays'], **HONEST['Adam'])
    path = tmp_path / 'a.pth'
    torch.save(content, path, _use_new_zipfile_serialization=False)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for _ in range(300):
        spoilt = data.copy()
        where = rng.integers(0, len(data), 5)
        spoilt[where] = rng.integers(0, 256, 5)
        path.write_bytes(spoilt.tobytes())
        try:
            read_checkpoint(path)
        except UnreadableCheckpoint as error:
            refused += 1
            assert '\n' not in str(error)
    assert refused > 100


@pytest.mark.parametrize('form', ['bare', 'without meta'])
def test_weights_alone_are_enough_for_the_functions_of_mmseg(tmp_path, tiny_config, form):
    config = tiny_config()
    init_default_scope('mmseg')
    state = MODELS.build(config.model).state_dict()
    torch.save(state if form == 'bare' else dict(state_dict=state), tmp_path / 'a.pth')
    loaded = init_model(config, str(tmp_path / 'a.pth'), device='cpu')
    assert_same(dict(loaded.state_dict()), dict(state))
    assert list(loaded.dataset_meta['classes']) == [f'cluster {k}' for k in range(9)]
