"""The dense CRF: what it is told, what it does to borders, and how predictions get it."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_picie.models import DenseCRF, PairedViewDataPreProcessor


class FakeCRF:
    """Keeps what it is told, and returns what the unary potentials say, colder each iteration."""

    told: list = []

    def __init__(self, width, height, number):
        self.shape = (number, height * width)
        self.told.append(('size', (width, height, number)))

    def setUnaryEnergy(self, unary):
        assert unary.shape == self.shape and unary.dtype == np.float32
        self.unary = unary

    def addPairwiseGaussian(self, **options):
        self.told.append(('gaussian', options))

    def addPairwiseBilateral(self, rgbim, **options):
        assert rgbim.dtype == np.uint8 and rgbim.flags['C_CONTIGUOUS']
        self.told.append(('bilateral', options | dict(image=rgbim)))

    def inference(self, number):
        self.told.append(('iterations', number))
        return np.exp(-self.unary)


@pytest.fixture
def fake(monkeypatch):
    module = ModuleType('pydensecrf.densecrf')
    module.DenseCRF2D = FakeCRF
    package = ModuleType('pydensecrf')
    package.densecrf = module
    monkeypatch.setitem(sys.modules, 'pydensecrf', package)
    monkeypatch.setitem(sys.modules, 'pydensecrf.densecrf', module)
    monkeypatch.setattr(FakeCRF, 'told', [])
    return FakeCRF


def test_potentials_are_of_scaled_logits_and_kernels_those_of_the_field(fake):
    logits = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0))
    found = DenseCRF(scale=3.0)(np.zeros((5, 7, 3), np.uint8), logits)
    torch.testing.assert_close(found, (3 * logits).softmax(0))
    told = dict(fake.told)
    assert told['size'] == (7, 5, 4) and told['iterations'] == 10
    assert told['gaussian'] == dict(sxy=1, compat=3)
    assert {k: v for k, v in told['bilateral'].items() if k != 'image'} == dict(
        sxy=67, srgb=3, compat=4
    )


@pytest.mark.parametrize('views', [(0,), (0, 1)])
def test_predictions_are_refined_by_the_colours_of_their_image(fake, make_picie, views):
    """The image that the CRF is given is the one before normalisation and padding."""
    torch.manual_seed(0)
    head = dict(predict_views=views)
    preprocessor = PairedViewDataPreProcessor(
        mean=(120.0, 110.0, 100.0),
        std=(50.0, 60.0, 70.0),
        size_divisor=32,
    )
    model = make_picie(head, data_preprocessor=preprocessor, crf=dict()).eval()
    model.requires_grad_(False)
    model.decode_head.set_centroids(
        torch.randn_like(model.decode_head.centroids), torch.ones(2, 5).long()
    )
    image = torch.randint(0, 256, (3, 40, 56), dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(img_shape=(40, 56), ori_shape=(40, 56)))
    (refined,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    given = [value['image'] for name, value in fake.told if name == 'bilateral']
    assert len(given) == len(views)
    # Images are loaded as BGR, and the network's are RGB.
    np.testing.assert_array_equal(given[0], image.flip(0).permute(1, 2, 0).numpy())
    model.crf = None
    sample = SegDataSample(metainfo=dict(img_shape=(40, 56), ori_shape=(40, 56)))
    (plain,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    # This CRF changes nothing.
    assert torch.equal(refined.pred_sem_seg.data, plain.pred_sem_seg.data)
    torch.testing.assert_close(refined.seg_logits.data, (2 * plain.seg_logits.data).softmax(0))
    assert ('pred_view_sem_seg' in refined) == (len(views) > 1)
    if len(views) > 1:
        assert torch.equal(refined.pred_view_sem_seg.data, plain.pred_view_sem_seg.data)
        assert 'view_seg_logits' not in refined


def test_a_missing_package_is_named_with_the_way_to_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    monkeypatch.setitem(sys.modules, 'pydensecrf.densecrf', None)
    with pytest.raises(ImportError, match=r'crf needs the package pydensecrf2.*mmseg_picie\[crf\]'):
        DenseCRF()


@pytest.mark.parametrize('options', [dict(scale=0), dict(num_iters=0), dict(gaussian=(1, -1))])
def test_numbers_that_are_not_positive_are_refused(fake, options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} of crf must be positive'):
        DenseCRF(**options)


def test_a_border_moves_to_that_of_the_colours():
    """With the real package: half black, half white, and a prediction that is 3 pixels off."""
    pytest.importorskip('pydensecrf.densecrf')
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 16:] = 255
    logits = torch.zeros(2, 32, 32)
    logits[0, :, :19], logits[1, :, 19:] = 0.5, 0.5
    found = DenseCRF()(image, logits).argmax(0)
    expected = torch.zeros(32, 32).long()
    expected[:, 16:] = 1
    assert (found != expected).float().mean() < 0.01
