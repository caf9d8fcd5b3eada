"""The sampler: keys that determine every draw, and an order that any number of ranks shares."""

import itertools
import math
import pickle

import numpy as np
import pytest
from mmseg.registry import DATA_SAMPLERS

from mmseg_picie.datasets import EpochKeySampler, SampleKey, sampler


class Images:
    """A data set of so many images."""

    takes_sample_keys = True

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number


class ImagesWithoutKeys:
    def __len__(self) -> int:
        return 4


@pytest.fixture
def on_rank(monkeypatch):
    """Make a sampler as it would be made on one of several ranks."""

    def make(rank: int, world_size: int, number: int, **options) -> EpochKeySampler:
        monkeypatch.setattr(sampler, 'get_dist_info', lambda: (rank, world_size))
        return EpochKeySampler(Images(number), seed=5, **options)

    return make


def indices(keys) -> list[int]:
    return [key.sample_idx for key in keys]


def test_draws_are_those_of_a_generator_seeded_by_seed_epoch_and_index():
    np.random.seed(0)
    key = SampleKey(seed=7, epoch=2, sample_idx=31)
    expected = np.random.default_rng((7, 2, 31)).random(6)
    np.testing.assert_array_equal(key.rng().random(6), expected)
    np.random.seed(1)
    np.testing.assert_array_equal(key.rng().random(6), expected)


def test_keys_that_differ_in_any_part_draw_differently():
    keys = [SampleKey(*parts) for parts in itertools.product(range(3), repeat=3)]
    assert len({tuple(key.rng().random(3)) for key in keys}) == len(keys)


def test_key_reaches_a_worker_unchanged():
    key = pickle.loads(pickle.dumps(SampleKey(1, 2, 3)))
    assert isinstance(key, SampleKey) and key == SampleKey(1, 2, 3)


def test_keys_carry_the_seed_the_epoch_and_plain_integers():
    keys = EpochKeySampler(Images(3), seed=4)
    keys.set_epoch(6)
    for key in keys:
        assert key[:2] == (4, 6)
        assert type(key.sample_idx) is int


def test_order_is_a_pure_function_of_seed_and_epoch():
    first, second = (EpochKeySampler(Images(50), seed=3) for _ in range(2))
    second.set_epoch(4)
    np.random.seed(9)
    list(second)
    second.set_epoch(0)
    assert list(first) == list(first) == list(second)


def test_order_is_a_permutation_that_changes_with_epoch_and_with_seed():
    orders = []
    for seed, epoch in itertools.product((0, 1), (0, 1)):
        keys = EpochKeySampler(Images(50), seed=seed)
        keys.set_epoch(epoch)
        orders.append(indices(keys))
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(map(tuple, orders))) == 4


def test_without_shuffling_the_order_is_that_of_the_data_set():
    keys = EpochKeySampler(Images(9), seed=0, shuffle=False)
    for epoch in (0, 3):
        keys.set_epoch(epoch)
        assert indices(keys) == list(range(9))


@pytest.mark.parametrize('world_size', [2, 3, 5])
def test_ranks_partition_the_order(on_rank, world_size):
    parts = [
        list(on_rank(rank, world_size, 13, round_up=False, shuffle=shuffle))
        for shuffle in (True, False)
        for rank in range(world_size)
    ]
    for shares in (parts[:world_size], parts[world_size:]):
        together = [index for share in shares for index in indices(share)]
        assert sorted(together) == list(range(13))  # each once
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(('world_size', 'batch'), [(2, 3), (3, 2), (4, 1)])
def test_global_batch_over_ranks_holds_the_images_of_one_process(on_rank, world_size, batch):
    alone = list(on_rank(0, 1, 24))
    shares = [list(on_rank(rank, world_size, 24)) for rank in range(world_size)]
    size = world_size * batch
    for start in range(0, 24 // size):
        together = [key for share in shares for key in share[start * batch : (start + 1) * batch]]
        assert set(together) == set(alone[start * size : (start + 1) * size])
        assert len(together) == size


@pytest.mark.parametrize(('number', 'world_size'), [(13, 1), (13, 4), (12, 4), (2, 5)])
def test_rounding_up_repeats_the_first_images_until_ranks_have_equally_many(
    on_rank, number, world_size
):
    order = indices(on_rank(0, 1, number))
    samplers = [on_rank(rank, world_size, number) for rank in range(world_size)]
    shares = [indices(keys) for keys in samplers]
    each = math.ceil(number / world_size)
    assert [len(keys) for keys in samplers] == [len(share) for share in shares]
    assert {len(share) for share in shares} == {each}
    interleaved = [share[i] for i in range(each) for share in shares]
    assert interleaved == list(itertools.islice(itertools.cycle(order), each * world_size))


@pytest.mark.parametrize(('number', 'world_size'), [(13, 4), (12, 4), (2, 5)])
def test_without_rounding_up_lengths_add_up_to_the_number_of_images(on_rank, number, world_size):
    samplers = [on_rank(rank, world_size, number, round_up=False) for rank in range(world_size)]
    assert [len(keys) for keys in samplers] == [len(list(keys)) for keys in samplers]
    assert sum(len(keys) for keys in samplers) == number


def test_num_samples_takes_another_choice_of_images_each_epoch():
    keys = EpochKeySampler(Images(40), seed=2, num_samples=10)
    choices = []
    for epoch in range(3):
        keys.set_epoch(epoch)
        choices.append(indices(keys))
        assert len(choices[-1]) == len(keys) == len(set(choices[-1])) == 10
    assert len({frozenset(choice) for choice in choices}) == 3
    # In no epoch are they simply the first ten.
    assert all(set(choice) != set(range(10)) for choice in choices)


def test_num_samples_is_the_start_of_the_whole_order(on_rank):
    # So an epoch on part of the images clusters some of those that it trains on, in their order.
    whole = indices(on_rank(0, 1, 40))
    assert indices(on_rank(0, 1, 40, num_samples=7)) == whole[:7]
    shares = [indices(on_rank(rank, 2, 40, num_samples=7)) for rank in range(2)]
    assert shares == [whole[0:7:2], [*whole[1:7:2], whole[0]]]


def test_num_samples_above_the_number_of_images_takes_them_all():
    keys = EpochKeySampler(Images(4), seed=0, num_samples=9)
    assert len(keys) == 4
    assert sorted(indices(keys)) == [0, 1, 2, 3]


@pytest.mark.parametrize('seed', [None, -1])
def test_missing_or_negative_seed_is_refused_with_the_remedy(seed):
    with pytest.raises(ValueError, match=rf'got {seed}; set randomness = dict\(seed=0\)'):
        EpochKeySampler(Images(4), seed=seed)


def test_data_set_that_takes_no_keys_is_refused_by_name():
    with pytest.raises(TypeError, match='KeyedSegDataset.*is a ImagesWithoutKeys'):
        EpochKeySampler(ImagesWithoutKeys(), seed=0)


@pytest.mark.parametrize('num_samples', [0, -3])
def test_num_samples_below_one_is_refused_with_its_value(num_samples):
    with pytest.raises(ValueError, match=f'num_samples must be at least 1.*got {num_samples}'):
        EpochKeySampler(Images(4), seed=0, num_samples=num_samples)


def test_misspelt_option_is_refused_by_name():
    with pytest.raises(TypeError, match='shufle'):
        DATA_SAMPLERS.build(
            dict(type='EpochKeySampler', shufle=False),
            default_args=dict(dataset=Images(4), seed=0),
        )
