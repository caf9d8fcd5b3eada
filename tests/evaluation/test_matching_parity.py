"""Evaluation against values measured on the released implementation.

Counts and matches are exact; scores, there in percent, agree within 1e-9. Scores of things and of
stuff are compared with the right ones, and the legacy scores with the released ones, which are
computed on the wrong axis of the matrix.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_picie.clustering import (
    class_scores,
    confusion_matrix,
    legacy_group_confusion,
    match_clusters,
    to_class_confusion,
)
from mmseg_picie.models import CentroidHead

CASES = ['k6', 'k6_absent', 'k27']


def percent(fraction):
    return 100 * fraction


def read_case(golden, case):
    data = golden('evaluation')
    return {key[len(case) + 1 :]: data[key] for key in data if key.startswith(f'{case}_')}


def count(case):
    classes = len(case['hist'])
    return confusion_matrix(case['label'], case['pred'], classes, classes, ignore_index=-1)


@pytest.mark.parametrize('name', CASES)
def test_confusion_and_match_equal_the_released_ones(golden, name):
    case = read_case(golden, name)
    confusion = count(case)
    np.testing.assert_array_equal(confusion, case['hist'])
    classes, clusters = case['match'].T
    np.testing.assert_array_equal(match_clusters(confusion)[clusters], classes)


@pytest.mark.parametrize('name', CASES)
def test_scores_equal_the_released_ones(golden, name):
    case = read_case(golden, name)
    cluster_to_class = match_clusters(count(case))
    scores = class_scores(to_class_confusion(count(case), cluster_to_class))
    assert percent(scores.accuracy) == pytest.approx(float(case['acc']), abs=1e-9)
    assert percent(scores.mean_iou) == pytest.approx(float(case['miou']), abs=1e-9)
    np.testing.assert_allclose(percent(scores.iou), case['iou_by_gt'], rtol=0, atol=1e-9)
    # The released recalls stand in the order of clusters.
    recalls = percent(scores.class_accuracy[cluster_to_class])
    np.testing.assert_allclose(recalls, case['prc'], rtol=0, atol=1e-9)


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('group', ['thing', 'stuff'])
def test_group_scores_equal_the_right_ones(golden, name, group):
    case = read_case(golden, name)
    confusion, split = count(case), int(case['split'])
    classes = range(split) if group == 'thing' else range(split, len(confusion))
    scores = class_scores(to_class_confusion(confusion, match_clusters(confusion)), classes)
    assert percent(scores.accuracy) == pytest.approx(float(case[f'gt_{group}_acc']), abs=1e-9)
    assert percent(scores.mean_iou) == pytest.approx(float(case[f'gt_{group}_miou']), abs=1e-9)


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('group', ['thing', 'stuff'])
def test_legacy_group_scores_equal_the_released_ones(golden, name, group):
    case = read_case(golden, name)
    confusion, split = count(case), int(case['split'])
    classes = range(split) if group == 'thing' else range(split, len(confusion))
    scores = class_scores(legacy_group_confusion(confusion, match_clusters(confusion)), classes)
    assert percent(scores.accuracy) == pytest.approx(float(case[f'orig_{group}_acc']), abs=1e-9)
    assert percent(scores.mean_iou) == pytest.approx(float(case[f'orig_{group}_miou']), abs=1e-9)


def test_features_to_scores_equal_the_released_chain(golden):
    """Logits within 1e-5 on values of magnitude 3; from there on everything is exact."""
    case = read_case(golden, 'up')
    head = CentroidHead(num_clusters=6, in_channels=16, num_views=1)
    centroids = torch.from_numpy(case['centroids'])[None]
    head.set_centroids(centroids, torch.ones(1, 6, dtype=torch.int64))
    metas = [dict(img_shape=(40, 40))] * 2
    logits = head.predict([torch.from_numpy(case['feat'])], metas, test_cfg=None)
    np.testing.assert_allclose(logits[:1, :, :4], case['logits'], rtol=0, atol=1e-5)
    assert logits.shape[2:] == case['label'].shape[1:]
    clusters = logits.argmax(1).numpy()
    np.testing.assert_array_equal(clusters, case['pred'])
    confusion = confusion_matrix(case['label'], clusters, 6, 6, ignore_index=-1)
    scores = class_scores(to_class_confusion(confusion, match_clusters(confusion)))
    assert percent(scores.accuracy) == pytest.approx(float(case['acc']), abs=1e-9)
    assert percent(scores.mean_iou) == pytest.approx(float(case['miou']), abs=1e-9)
    whole = F.interpolate(
        head([torch.from_numpy(case['feat'])]), (40, 40), mode='bilinear', align_corners=False
    )
    torch.testing.assert_close(logits, whole)
