"""Properties of the data preprocessor."""

import numpy as np
import pytest
import torch
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample

from mmseg_picie.models import PairedViewDataPreProcessor

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def images(num=2, size=(6, 9), seed=0):
    """Byte images (3, H, W)."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.integers(0, 256, (3, *size), np.uint8)) for _ in range(num)]


def samples(num=2):
    return [SegDataSample() for _ in range(num)]


def as_views(batch):
    return dict(inputs=[batch, batch], data_samples=samples(len(batch)))


def as_images(batch):
    return dict(inputs=batch, data_samples=samples(len(batch)))


def run(preprocessor, data, training=False):
    """The normalised batch, of the first view where there are views."""
    inputs = preprocessor(data, training)['inputs']
    return inputs if isinstance(inputs, torch.Tensor) else inputs[0]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('pack', [as_views, as_images])
def test_blue_green_red_becomes_normalised_red_green_blue(pack, training):
    """A pixel of B, G, R = 10, 20, 30, computed by hand."""
    if pack is as_images and training:
        training = False  # single images are for evaluation
    image = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 4, 6)
    found = run(PairedViewDataPreProcessor(), pack([image, image]), training)
    red, green, blue = ((v - m) / s for v, m, s in zip((30, 20, 10), MEAN, STD, strict=True))
    assert found.shape == (2, 3, 4, 6)
    expected = torch.tensor([red, green, blue])[:, None, None].expand(2, 3, 4, 6)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('pack', [as_views, as_images])
def test_the_order_of_channels_is_kept_if_asked_for(pack):
    batch = images()
    kept = PairedViewDataPreProcessor(mean=(1, 2, 3), std=(4, 5, 6), bgr_to_rgb=False)
    expected = (torch.stack(batch) - torch.tensor([1.0, 2, 3])[:, None, None]) / torch.tensor(
        [4.0, 5, 6]
    )[:, None, None]
    torch.testing.assert_close(run(kept, pack(batch)), expected)


@pytest.mark.parametrize('pack', [as_views, as_images])
@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_values_equal_mmsegs(pack, bgr_to_rgb):
    """For images that are not square."""
    batch = images()
    theirs = SegDataPreProcessor(mean=MEAN, std=STD, bgr_to_rgb=bgr_to_rgb)
    ours = PairedViewDataPreProcessor(bgr_to_rgb=bgr_to_rgb)
    expected = theirs(as_images(batch), False)['inputs']
    torch.testing.assert_close(run(ours, pack(batch)), expected, rtol=0, atol=1e-6)


def test_each_view_is_its_own():
    first, second = images(seed=1), images(seed=2, size=(8, 5))
    preprocessor = PairedViewDataPreProcessor()
    data = preprocessor(dict(inputs=[first, second], data_samples=samples()), True)
    for found, batch in zip(data['inputs'], (first, second), strict=True):
        torch.testing.assert_close(found, run(preprocessor, as_views(batch)))
    assert len(data['data_samples']) == 2


def test_evaluated_images_are_padded_to_a_multiple():
    data = PairedViewDataPreProcessor(size_divisor=8)(as_images(images()), False)
    assert data['inputs'].shape == (2, 3, 8, 16)
    unpadded = run(PairedViewDataPreProcessor(), as_images(images()))
    torch.testing.assert_close(data['inputs'][:, :, :6, :9], unpadded)
    assert data['inputs'][:, :, 6:].abs().sum() == 0
    assert list(data['data_samples'][0].img_padding_size) == [0, 7, 0, 2]


def test_bytes_of_the_batch_are_left_unchanged():
    batch = images()
    copies = [image.clone() for image in batch]
    run(PairedViewDataPreProcessor(), as_views(batch))
    assert all(torch.equal(image, copy) for image, copy in zip(batch, copies, strict=True))


def test_images_without_samples_are_padded_alike():
    preprocessor = PairedViewDataPreProcessor(size_divisor=14)
    images = [torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8) for _ in range(2)]
    bare = preprocessor(dict(inputs=images), False)
    full = preprocessor(dict(inputs=images, data_samples=[SegDataSample(), SegDataSample()]), False)
    assert bare['inputs'].shape == (2, 3, 28, 42) and bare['data_samples'] is None
    assert torch.equal(bare['inputs'], full['inputs'])
