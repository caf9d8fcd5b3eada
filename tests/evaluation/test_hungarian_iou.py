"""Properties of the metric."""

import contextlib

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

import mmseg_picie  # noqa: F401 - registers the metric

CLASSES = ('sky', 'road', 'car')


def make_metric(metainfo=None, **kwargs):
    metric = METRICS.build(dict(type='HungarianIoUMetric', **kwargs))
    metric.dataset_meta = dict(classes=CLASSES, **(metainfo or {}))
    return metric


def make_sample(labels, views, num_clusters, path='images/a.jpg', stored=None, map_classes=None):
    """What a model's test step gives of one image, as plain dicts."""
    views = torch.tensor(np.array(views))
    logits = torch.zeros(num_clusters, *views.shape[1:])
    sample = dict(
        img_path=path,
        gt_sem_seg=dict(data=torch.tensor(np.array(labels))[None]),
        pred_sem_seg=dict(data=views[:1]),
        seg_logits=dict(data=logits),
    )
    if len(views) > 1:
        sample['pred_view_sem_seg'] = dict(data=views)
    if stored is not None:
        sample['cluster_to_class'] = np.array(stored)
        sample['map_classes'] = map_classes
    return sample


def score(metric, images):
    for image in images:
        metric.process({}, [image])
    return metric.evaluate(len(images))


@contextlib.contextmanager
def logged(caplog):
    """Within, the toolbox's log goes to `caplog`."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


def score_batch(metric, batch):
    metric.process({}, batch)
    return metric.evaluate(len(batch))


# Labels and clusters of two images of 10 pixels, of which one is ignored.
FIRST = ([[0, 0, 0, 0, 0], [1, 1, 1, 1, 255]], [[2, 2, 2, 2, 0], [0, 0, 0, 1, 1]])
SECOND = ([[1, 1, 1, 2, 2], [2, 2, 0, 0, 0]], [[0, 0, 0, 3, 3], [1, 3, 2, 2, 3]])


def samples():
    return [make_sample(labels, [clusters], 4) for labels, clusters in (FIRST, SECOND)]


def test_scores_equal_those_computed_by_hand():
    """Sky: 6 of 8 pixels, union 8. Road: 6 of 7, union 8. Car: 3 of 4, union 5."""
    metric = make_metric()
    scores = score(metric, samples())
    assert metric.cluster_to_class.tolist() == [[1, -1, 0, 2]]
    ious, recalls = np.array([6 / 8, 6 / 8, 3 / 5]), np.array([6 / 8, 6 / 7, 3 / 4])
    assert scores == {
        'aAcc': round(100 * 15 / 19, 2),
        'mIoU': round(100 * ious.mean(), 2),
        'mAcc': round(100 * recalls.mean(), 2),
    }


def test_images_are_matched_together_not_one_by_one():
    """Cluster 0 covers four pixels of sky in one image and two of road in the other.

    One by one, all seven pixels would be right.
    """
    images = [
        make_sample([[0, 0, 0, 0]], [[[0, 0, 0, 0]]], 2),
        make_sample([[1, 1, 0]], [[[0, 0, 1]]], 2),
    ]
    metric = make_metric()
    assert score(metric, images)['aAcc'] == round(100 * 4 / 7, 2)
    assert metric.cluster_to_class.tolist() == [[0, 1]]


def test_one_batch_equals_single_images():
    assert score(make_metric(), samples()) == score_batch(make_metric(), samples())


def test_samples_as_the_evaluator_gives_them():
    """The evaluator of mmengine turns data samples into dicts."""
    given = []
    for sample in samples():
        wrapped = SegDataSample(metainfo=dict(img_path=sample['img_path']))
        wrapped.set_data(
            {key: PixelData(**value) for key, value in sample.items() if key != 'img_path'}
        )
        given.append(wrapped.to_dict())
    assert score(make_metric(), given) == score(make_metric(), samples())


@pytest.mark.parametrize('from_metainfo', [True, False])
def test_groups_are_scored_after_the_match_over_all_classes(from_metainfo):
    """Stuff has 15 pixels; one of sky is predicted as car, hence left out of both groups.

    Of the other 14, one of sky is predicted as road, one of road is in no class. Of 4 pixels of
    things, one is in no class.
    """
    groups = dict(things=[2], stuff=[0, 1])
    if from_metainfo:
        metric = make_metric(dict(groups=groups))
    else:
        metric = make_metric(dict(groups=dict(other=[0])), groups=groups)
    scores = score(metric, samples())
    assert {name: value for name, value in scores.items() if '/' in name} == {
        'stuff/aAcc': round(100 * 12 / 14, 2),
        'stuff/mIoU': round(100 * (6 / 7 + 6 / 8) / 2, 2),
        'things/aAcc': 75,
        'things/mIoU': 75,
    }


@pytest.mark.parametrize('classes', [[], [3], [-1, 0], [0, 7]])
def test_a_group_of_unknown_classes_is_refused_by_name(classes):
    metric = make_metric(groups=dict(things=classes))
    with pytest.raises(ValueError, match="group 'things' must list class ids from 0 to 2"):
        score(metric, [make_sample(FIRST[0], [FIRST[1]], 4)])


def test_score_under_the_stored_map_is_reported_beside_the_match():
    """The stored map is not the best one: it takes cluster 0 for car and knows no road."""
    stored = [[2, -1, 0, -1]]
    scores = score(make_metric(), [make_sample(FIRST[0], [FIRST[1]], 4, stored=stored)])
    assert scores['aAcc'] == round(100 * 7 / 9, 2)
    assert scores['stored/aAcc'] == round(100 * 4 / 9, 2)
    # Sky 4 of 5; road 0 of 4; car is predicted (4 pixels) but never there.
    assert scores['stored/mIoU'] == round(100 * (4 / 5) / 3, 2)


def test_a_stored_map_speaks_of_its_own_classes():
    """The map above, said with another list of names, in which `tree` is none of the data's."""
    names, stored = ['tree', 'car', 'sky'], [[1, 0, 2, -1]]
    sample = make_sample(FIRST[0], [FIRST[1]], 4, stored=stored, map_classes=names)
    scores = score(make_metric(), [sample])
    assert scores['stored/aAcc'] == round(100 * 4 / 9, 2)


@pytest.mark.parametrize(
    ('stored', 'names'), [([[1, 0, 1, -1]], ['tree', 'water']), ([[5, 0, 1, -1]], None)]
)
def test_a_map_of_other_classes_is_left_out_with_a_warning(caplog, tmp_path, stored, names):
    metric = make_metric(output_dir=str(tmp_path))
    with logged(caplog):
        scores = score(
            metric, [make_sample(FIRST[0], [FIRST[1]], 4, stored=stored, map_classes=names)]
        )
    assert not any(name.startswith('stored') for name in scores)
    assert 'none of which this data set has' in caplog.text
    written = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, FIRST[1])  # clusters


def test_predictions_keep_the_tree_of_the_images(tmp_path):
    root = tmp_path / 'data' / 'images'
    metric = make_metric(dict(image_folder=str(root)), output_dir=str(tmp_path / 'out'))
    for name, cluster in (('a/0.jpg', 1), ('b/0.jpg', 2), ('0.jpg', 3)):
        metric.process({}, [make_sample([[0, 1]], [[[cluster] * 2]], 4, path=str(root / name))])
    metric.evaluate(3)
    found = {
        str(path.relative_to(tmp_path / 'out')): cv2.imread(str(path), -1).tolist()
        for path in (tmp_path / 'out').rglob('*.png')
    }
    assert found == {'a/0.png': [[1, 1]], 'b/0.png': [[2, 2]], '0.png': [[3, 3]]}


def test_predictions_of_images_beside_the_folder_stay_within_the_output(tmp_path):
    metric = make_metric(dict(image_folder=str(tmp_path / 'in')), output_dir=str(tmp_path / 'out'))
    for name in ('in/../beside/0.jpg', 'in/1.jpg'):
        metric.process({}, [make_sample([[0]], [[[1]]], 4, path=str(tmp_path / name))])
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')} == {
        'out/beside/0.png',
        'out/1.png',
    }


def test_without_a_common_folder_equal_names_are_refused(tmp_path):
    metric = make_metric(output_dir=str(tmp_path))
    metric.process({}, [make_sample([[0, 1]], [[[1, 1]]], 4, path='a/0.jpg')])
    with pytest.raises(ValueError, match='predictions of a/0.jpg and b/0.jpg would both'):
        metric.process({}, [make_sample([[0, 1]], [[[1, 1]]], 4, path='b/0.jpg')])


def test_a_merged_prediction_of_one_view_only_is_refused():
    sample = make_sample(FIRST[0], [FIRST[1], FIRST[1]], 4)
    sample['pred_sem_seg'] = dict(data=torch.zeros(1, 2, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match='ViewTTAModel'):
        score(make_metric(), [sample])


LABELS = np.repeat(np.arange(3), 100)[None]


@pytest.mark.parametrize(
    ('clusters', 'is_collapsed'),
    [
        (LABELS, False),
        (np.where(np.arange(300) < 271, 0, 1)[None], True),  # 90.3 % are one cluster
        (np.where(np.arange(300) < 205, 0, LABELS[0])[None], False),
        (np.zeros((1, 300), int), True),
    ],
)
def test_clusters_that_have_collapsed_are_warned_of(caplog, clusters, is_collapsed):
    with logged(caplog):
        score(make_metric(), [make_sample(LABELS, [clusters], 3)])
    assert ('the clusters have collapsed' in caplog.text) == is_collapsed


def test_classes_that_mostly_score_nothing_are_warned_of(caplog):
    labels = np.repeat(np.arange(6), 50)[None]
    metric = make_metric()
    metric.dataset_meta = dict(classes=tuple('abcdef'))
    with logged(caplog):
        score(metric, [make_sample(labels, [labels % 2], 6)])
    assert '4 of 6 classes score 0' in caplog.text


def test_fewer_clusters_than_classes_are_no_collapse(caplog):
    labels = np.repeat(np.arange(6), 50)[None]
    metric = make_metric()
    metric.dataset_meta = dict(classes=tuple('abcdef'))
    with logged(caplog):
        score(metric, [make_sample(labels, [labels % 2], 2)])
    assert 'collapsed' not in caplog.text


def test_a_map_that_knows_no_class_is_not_scored():
    sample = make_sample(FIRST[0], [FIRST[1]], 4, stored=[[-1] * 4])
    assert not any(name.startswith('stored') for name in score(make_metric(), [sample]))


def test_further_views_are_matched_on_their_own():
    other = [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    metric = make_metric()
    scores = score(metric, [make_sample(FIRST[0], [FIRST[1], other], 4)])
    assert scores['aAcc'] == round(100 * 7 / 9, 2)
    assert scores['view1/aAcc'] == 100
    assert scores['view1/mIoU'] == 100
    assert metric.cluster_to_class.shape == (2, 4)
    assert metric.cluster_to_class[0, [2, 0]].tolist() == [0, 1]
    assert metric.cluster_to_class[1, [1, 0]].tolist() == [0, 1]


def test_further_views_are_scored_under_their_own_number():
    """A model that predicts with view 2 first and with view 0 as well."""
    other = [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    sample = dict(make_sample(FIRST[0], [FIRST[1], other], 4), predict_views=(2, 0))
    scores = score(make_metric(), [sample])
    assert scores['aAcc'] == round(100 * 7 / 9, 2)
    assert scores['view0/aAcc'] == 100
    assert not any(name.startswith(('view1', 'view2')) for name in scores)


def test_many_to_one_is_reported_beside_the_match():
    """Cluster 1 has two pixels, both of road, so accuracy rises by these."""
    metric = make_metric(matching=('one-to-one', 'many-to-one'))
    scores = score(metric, samples())
    assert metric.cluster_to_class.tolist() == [[1, -1, 0, 2]]
    assert scores['aAcc'] == round(100 * 15 / 19, 2)
    labels = np.concatenate([np.ravel(labels) for labels, _ in (FIRST, SECOND)])
    clusters = np.concatenate([np.ravel(clusters) for _, clusters in (FIRST, SECOND)])
    pure = sum(np.bincount(labels[(clusters == k) & (labels != 255)]).max() for k in set(clusters))
    assert scores['many-to-one/aAcc'] == round(100 * pure / 19, 2)


def test_image_level_match_counts_images():
    """Pixels would match class 1 with cluster 2; two images of three speak for cluster 1."""
    small = [make_sample([[0, 0, 0, 1]], [[[0, 0, 0, 1]]], 3) for _ in range(2)]
    other = make_sample([[0, 2, 2, 2]], [[[0, 1, 2, 2]]], 3)
    large = make_sample([[0, 1, 1, 1, 1, 1, 1]], [[[0, 2, 2, 2, 2, 2, 2]]], 3)
    metric = make_metric(matching='image-level')
    scores = score(metric, [*small, other, large])
    assert metric.cluster_to_class.tolist() == [[0, 1, 2]]
    assert scores['aAcc'] == round(100 * 12 / 19, 2)
    pixels = make_metric()
    score(pixels, [*small, other, large])
    assert pixels.cluster_to_class.tolist() == [[0, 2, 1]]
    fixed = make_metric(matching='image-level', background_cluster=2)
    score(fixed, [*small, other, large])
    assert fixed.cluster_to_class[0, 2] == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(matching='hungarian'), "matching must be one or some of .* got 'hungarian'"),
        (dict(matching=()), 'matching must be one or some of'),
        (dict(keep_results=False), 'keep_results must be True, but got False'),
        (dict(background_cluster=0), "only used by matching='image-level', but got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_metric(**options)


def test_legacy_groups_stand_beside_the_right_ones():
    """Sky, road and car are clusters 2, 0 and 1, so the released "stuff" is road and car."""
    groups = dict(things=[2], stuff=[0, 1])
    image = make_sample([[0, 0, 0, 1, 1, 2, 2]], [[[2, 2, 1, 0, 0, 1, 0]]], 3)
    scores = score(make_metric(groups=groups, legacy_groups=True), [image])
    assert scores['stuff/aAcc'] == 100.0
    assert scores['legacy_stuff/aAcc'] == round(100 * 3 / 4, 2)
    assert scores['legacy_stuff/mIoU'] == round(100 * (2 / 3 + 1 / 2) / 2, 2)


def test_legacy_groups_need_as_many_clusters_as_classes():
    metric = make_metric(groups=dict(things=[2]), legacy_groups=True)
    with pytest.raises(ValueError, match='4 clusters and 3 classes'):
        score(metric, samples())


def test_any_ignored_label_and_any_prefix():
    labels = np.where(np.array(FIRST[0]) == 255, 99, FIRST[0])
    metric = make_metric(ignore_index=99, prefix='val')
    scores = score(metric, [make_sample(labels, [FIRST[1]], 4)])
    assert scores['val/aAcc'] == round(100 * 7 / 9, 2)


def test_a_label_out_of_range_is_refused():
    labels = [[0, 0, 0, 0, 0], [1, 1, 1, 3, 255]]
    with pytest.raises(ValueError, match=r'every label must lie in \[0, 3\), but got 3'):
        score(make_metric(), [make_sample(labels, [FIRST[1]], 4)])


def test_evaluating_again_starts_from_nothing():
    metric = make_metric()
    sample = make_sample(FIRST[0], [FIRST[1]], 4)
    assert score(metric, [sample]) == score(metric, [sample])


@pytest.mark.parametrize(
    ('stored', 'expected'),
    [
        (None, FIRST[1]),  # no map: clusters
        ([[-1] * 4], FIRST[1]),
        ([[1, -1, 0, 2]], [[0, 0, 0, 0, 1], [1, 1, 1, 255, 255]]),  # unmatched: 255
    ],
)
def test_predictions_are_written_as_label_maps(tmp_path, stored, expected):
    metric = make_metric(output_dir=str(tmp_path / 'new' / 'labels'))
    images = [
        make_sample(FIRST[0], [FIRST[1]], 4, path=f'some/folder/{name}', stored=stored)
        for name in ('a.jpg', 'b.c.png')
    ]
    score(metric, images)
    written = sorted(path.name for path in (tmp_path / 'new' / 'labels').iterdir())
    assert written == ['a.png', 'b.c.png']
    for name in written:
        image = cv2.imread(str(tmp_path / 'new' / 'labels' / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, expected)


def test_scores_per_class_are_logged(caplog):
    with logged(caplog):
        score(make_metric(), samples())
    rows = [line.split('|')[1:4] for line in caplog.text.splitlines() if '|' in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ['Class', 'IoU', 'Acc'],
        ['sky', '75.0', '75.0'],
        ['road', '75.0', '85.71'],
        ['car', '60.0', '75.0'],
    ]


def test_labels_without_any_class_are_refused():
    with pytest.raises(ValueError, match='no pixel of the labels has a class'):
        score(make_metric(), [make_sample(np.full_like(LABELS, 255), [LABELS], 3)])


@pytest.mark.parametrize(('other', 'is_told'), [(255, True), (0, True), (1, False)])
def test_labels_of_one_class_alone_are_told_of(caplog, other, is_told):
    """As those of a mask of black and white, whose white is no class."""
    labels = np.where(np.arange(300) < 100, other, 0)[None]
    with logged(caplog):
        score(make_metric(), [make_sample(labels, [LABELS], 3)])
    assert ('so the scores tell nothing' in caplog.text) == is_told


def test_a_label_outside_of_the_classes_is_refused_with_its_file():
    sample = make_sample(np.where(LABELS == 1, 7, LABELS), [LABELS], 3)
    sample['seg_map_path'] = 'labels/7.png'
    with pytest.raises(ValueError, match=r'labels/7.png cannot be scored: .* \[0, 3\), but got 7'):
        score(make_metric(), [sample])


@pytest.mark.parametrize(
    ('labels', 'shape', 'sentence'),
    [
        (np.full((4, 6), 7), (4, 6), r'a.png cannot be scored: every label must lie in \[0, 3\)'),
        (
            np.zeros((4, 6), int),
            (8, 6),
            r'a.png cannot be scored: labels and clusters must have on',
        ),
        (np.full((4, 6), 255), (4, 6), None),
        (np.full((4, 6), 2), (4, 6), None),
    ],
)
@pytest.mark.parametrize('place', [0, 5, 9])
def test_label_maps_are_checked_before_they_are_scored(labels, shape, sentence, place):
    def sample(index: int) -> dict:
        meta = dict(ori_shape=shape if index == place else (4, 6), seg_map_path='a.png')
        data = torch.from_numpy(labels if index == place else np.zeros((4, 6), int))
        return dict(
            data_samples=SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=data[None]))
        )

    metric = make_metric()
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    samples = [sample(index) for index in range(10)]
    if sentence is None:
        metric.check(samples, num_clusters=5, most=10)
    else:
        with pytest.raises(ValueError, match=sentence):
            metric.check(samples, num_clusters=5, most=10)
