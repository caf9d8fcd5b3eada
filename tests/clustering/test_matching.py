"""Properties of the match and the scores."""

import itertools

import numpy as np
import pytest
import sklearn.metrics

from mmseg_picie.clustering import (
    UNMATCHED,
    class_scores,
    confusion_matrix,
    legacy_group_confusion,
    match_clusters,
    match_images,
    match_many_to_one,
    to_class_confusion,
)


def counts(classes, clusters, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (classes, clusters))


def most_matched(confusion):
    """The most pixels that any one-to-one match covers, by trying them all."""
    if confusion.shape[0] > confusion.shape[1]:
        confusion = confusion.T
    rows, columns = confusion.shape
    return max(
        sum(confusion[row, column] for row, column in enumerate(choice))
        for choice in itertools.permutations(range(columns), rows)
    )


@pytest.mark.parametrize(
    ('classes', 'clusters'), [(1, 1), (3, 3), (6, 6), (3, 6), (6, 3), (1, 4), (5, 2)]
)
def test_match_covers_as_many_pixels_as_the_best_of_all_matches(classes, clusters):
    for seed in range(10):
        confusion = counts(classes, clusters, seed)
        cluster_to_class = match_clusters(confusion)
        assert cluster_to_class.shape == (clusters,)
        matched = [k for k in range(clusters) if cluster_to_class[k] != UNMATCHED]
        taken = cluster_to_class[matched]
        # One to one, and as many pairs as there can be.
        assert len(set(taken.tolist())) == len(matched) == min(classes, clusters)
        assert ((taken >= 0) & (taken < classes)).all()
        assert confusion[taken, matched].sum() == most_matched(confusion)


@pytest.mark.parametrize(('classes', 'clusters'), [(2, 5), (3, 6), (4, 4), (5, 2)])
def test_many_to_one_covers_as_many_pixels_as_the_best_of_all_maps(classes, clusters):
    for seed in range(5):
        confusion = counts(classes, clusters, seed)
        cluster_to_class = match_many_to_one(confusion)
        best = max(
            sum(confusion[label, cluster] for cluster, label in enumerate(choice))
            for choice in itertools.product(range(classes), repeat=clusters)
        )
        assert confusion[cluster_to_class, range(clusters)].sum() == best


def test_many_to_one_by_hand_leaves_a_cluster_without_pixels_unmatched():
    """Clusters 0 and 3 both go to class 1; nobody wants class 0."""
    confusion = np.array([[4, 0, 0, 1], [6, 0, 1, 2], [0, 0, 9, 0]])
    cluster_to_class = match_many_to_one(confusion)
    assert cluster_to_class.tolist() == [1, UNMATCHED, 2, 1]
    scores = class_scores(to_class_confusion(confusion, cluster_to_class))
    assert scores.accuracy == pytest.approx((6 + 2 + 9) / 23)
    np.testing.assert_allclose(scores.iou, [0, 8 / 14, 9 / 10])


def images(number, classes, clusters, seed):
    """Images of one foreground class each, in which any cluster may show."""
    rng = np.random.default_rng(seed)
    confusions = np.zeros((number, classes, clusters), dtype=np.int64)
    for confusion in confusions:
        confusion[0] = rng.integers(0, 50, clusters)
        confusion[rng.integers(1, classes)] = rng.integers(0, 50, clusters)
    return confusions


def most_agreeing_images(confusions, background_cluster):
    """Images that any one-to-one map of the foreground gets right, by trying them all."""
    _, classes, clusters = confusions.shape
    foreground = [k for k in range(clusters) if k != background_cluster]
    pairs = []
    for confusion in confusions:
        by_class, by_cluster = confusion.sum(1), confusion.sum(0)
        label = max(range(1, classes), key=lambda c: by_class[c])
        pairs.append((label, max(foreground, key=lambda k: by_cluster[k])))
    size = max(classes - 1, len(foreground))
    return max(
        sum(pair in set(zip(choice, foreground, strict=False)) for pair in pairs)
        for choice in itertools.permutations(range(1, size + 1), len(foreground))
    )


@pytest.mark.parametrize(('classes', 'clusters'), [(4, 4), (5, 5), (3, 6), (6, 4)])
@pytest.mark.parametrize('background_cluster', [None, 0, 2])
def test_image_level_match_agrees_with_the_best_of_all_matches(
    classes, clusters, background_cluster
):
    for seed in range(4):
        confusions = images(30, classes, clusters, seed)
        cluster_to_class = match_images(confusions, background_cluster=background_cluster)
        chosen = background_cluster
        if chosen is None:
            chosen = int(np.argmax(confusions[:, 0].sum(0)))
        assert np.flatnonzero(cluster_to_class == 0).tolist() == [chosen]
        matched = cluster_to_class[cluster_to_class != UNMATCHED]
        assert len(set(matched.tolist())) == len(matched) == min(classes, clusters)
        agreeing = 0
        for confusion in confusions:
            by_cluster = confusion.sum(0)
            by_cluster[chosen] = -1
            agreeing += cluster_to_class[by_cluster.argmax()] == confusion[1:].sum(1).argmax() + 1
        assert agreeing == most_agreeing_images(confusions, chosen)


def test_image_level_match_by_hand_differs_from_the_match_of_pixels():
    """Three small dogs in cluster 1 outvote one large one in cluster 2, which has more pixels."""
    dog, cat = [[5, 0, 0], [0, 3, 0], [0, 0, 0]], [[5, 0, 0], [0, 0, 0], [0, 1, 4]]
    large_dog = [[5, 0, 0], [0, 0, 90], [0, 0, 0]]
    unlabelled = [[7, 0, 2], [0, 0, 0], [0, 0, 0]]
    confusions = np.array([dog, dog, dog, cat, large_dog, unlabelled])
    assert match_images(confusions).tolist() == [0, 1, 2]
    assert match_clusters(confusions.sum(0)).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(background=3), r'background must lie in \[0, 3\), but got 3'),
        (dict(background_cluster=-1), r'background_cluster must lie in \[0, 4\), but got -1'),
    ],
)
def test_a_background_that_does_not_exist_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        match_images(images(2, 3, 4, 0), **options)


@pytest.mark.parametrize('shape', [(2, 1, 4), (2, 3, 1)])
def test_a_match_by_images_needs_more_than_the_background(shape):
    with pytest.raises(ValueError, match='needs a class and a cluster beside the background'):
        match_images(np.ones(shape, int))


def test_legacy_groups_pick_clusters_not_classes():
    """Class 0 is cluster 2: the released "group of class 0" scores cluster 0, which is class 1."""
    confusion = np.array([[1, 2, 30], [40, 3, 4], [5, 50, 6]])
    match = match_clusters(confusion)
    assert match.tolist() == [1, 2, 0]
    legacy = class_scores(legacy_group_confusion(confusion, match), [0, 1])
    # Rows of classes 1 and 2, columns of clusters 0 and 1.
    assert legacy.accuracy == pytest.approx(90 / 98)
    right = class_scores(to_class_confusion(confusion, match), [0, 1])
    assert right.accuracy == pytest.approx(70 / 75)


def test_confusion_matrix_equals_scikit_learns():
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(0, 5, (2, 30, 40)), rng.integers(0, 8, (2, 30, 40))
    labels[rng.random(labels.shape) < 0.1] = 255
    ours = confusion_matrix(labels, clusters, 5, 8, ignore_index=255)
    valid = labels != 255
    theirs = sklearn.metrics.confusion_matrix(labels[valid], clusters[valid], labels=range(8))
    np.testing.assert_array_equal(ours, theirs[:5])
    assert ours.shape == (5, 8) and ours.dtype == np.int64


@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.int64])
def test_confusion_matrix_does_not_overflow_small_types(dtype):
    labels = np.full((4, 4), 100, dtype)
    ours = confusion_matrix(labels, labels, 101, 101, ignore_index=127)
    assert ours[100, 100] == ours.sum() == 16


def test_confusion_matrix_of_ignored_pixels_alone_is_zero():
    labels = np.full((3, 3), 255, np.uint8)
    # What is predicted there does not matter, whatever it is.
    assert not confusion_matrix(labels, labels, 2, 3, ignore_index=255).any()


@pytest.mark.parametrize(
    ('labels', 'clusters', 'message'),
    [
        ([0, 7, 1], [0, 0, 0], r'every label must lie in \[0, 3\), but got 7'),
        ([0, -1, 1], [0, 0, 0], r'every label must lie in \[0, 3\), but got -1'),
        ([0, 1, 2], [0, 4, 0], r'every cluster must lie in \[0, 4\), but got 4'),
        ([0, 1, 2], [0, -2, 0], r'every cluster must lie in \[0, 4\), but got -2'),
        ([0, 1], [0, 1, 2], r'one shape, but got \(2,\) and \(3,\)'),
    ],
)
def test_values_out_of_range_are_refused(labels, clusters, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(labels), np.array(clusters), 3, 4, ignore_index=255)


def test_class_confusion_sums_clusters_of_a_class_and_sets_unmatched_ones_apart():
    confusion = np.array([[1, 2, 3, 4], [10, 20, 30, 40]])
    ours = to_class_confusion(confusion, np.array([1, UNMATCHED, 0, 1]))
    np.testing.assert_array_equal(ours, [[3, 5, 2], [30, 50, 20]])


def test_scores_equal_scikit_learns():
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    confusion = confusion_matrix(labels, predicted, 4, 4, ignore_index=255)
    scores = class_scores(to_class_confusion(confusion, np.arange(4)))
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    iou = sklearn.metrics.jaccard_score(labels, predicted, average=None)
    np.testing.assert_allclose(scores.iou, iou)
    recall = sklearn.metrics.recall_score(labels, predicted, average=None)
    np.testing.assert_allclose(scores.class_accuracy, recall)
    assert scores.mean_iou == pytest.approx(iou.mean())
    assert scores.mean_accuracy == pytest.approx(recall.mean())


def test_pixels_of_unmatched_clusters_are_errors():
    """Computed by hand: 30 + 40 of 100 pixels are right, 20 lie in an unmatched cluster."""
    confusion = np.array([[30, 10, 15], [0, 40, 5]])
    cluster_to_class = match_clusters(confusion)
    assert cluster_to_class.tolist() == [0, 1, UNMATCHED]
    scores = class_scores(to_class_confusion(confusion, cluster_to_class))
    assert scores.accuracy == pytest.approx(0.7)
    # Unions: class 0 has 55 labelled; class 1 has 45 labelled and 10 more predicted.
    np.testing.assert_allclose(scores.iou, [30 / 55, 40 / 55])
    np.testing.assert_allclose(scores.class_accuracy, [30 / 55, 40 / 45])


def test_fewer_clusters_than_classes_leave_classes_without_pixels():
    confusion = np.array([[30], [5], [15]])
    scores = class_scores(to_class_confusion(confusion, match_clusters(confusion)))
    assert scores.accuracy == pytest.approx(0.6)
    np.testing.assert_allclose(scores.iou, [30 / 50, 0, 0])


def test_a_class_that_does_not_occur_is_left_out_of_the_means():
    """Class 1 is neither labelled nor predicted; class 2 is predicted only, which counts."""
    class_confusion = np.array([[6, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    scores = class_scores(class_confusion)
    np.testing.assert_array_equal(scores.iou, [0.75, np.nan, 0])
    np.testing.assert_array_equal(scores.class_accuracy, [0.75, np.nan, np.nan])
    assert scores.mean_iou == pytest.approx(0.375)
    assert scores.mean_accuracy == pytest.approx(0.75)


def test_scores_of_nothing_are_nan_without_a_warning(recwarn):
    scores = class_scores(np.zeros((2, 3), np.int64))
    found = [scores.accuracy, scores.mean_iou, scores.mean_accuracy, *scores.iou]
    assert np.isnan(found).all()
    assert not recwarn.list


def test_group_counts_pixels_that_are_labelled_and_predicted_in_it_or_unmatched():
    """Computed by hand for the group of classes 2 and 0, in this order."""
    class_confusion = np.array([[50, 99, 3, 7], [99, 99, 99, 99], [4, 99, 60, 6]])
    scores = class_scores(class_confusion, [2, 0])
    assert scores.accuracy == pytest.approx((60 + 50) / (60 + 4 + 6 + 50 + 3 + 7))
    np.testing.assert_allclose(scores.iou, [60 / (70 + 3), 50 / (60 + 4)])
    np.testing.assert_allclose(scores.class_accuracy, [60 / 70, 50 / 60])


def test_the_group_of_all_classes_is_the_whole():
    class_confusion = to_class_confusion(counts(5, 7), match_clusters(counts(5, 7)))
    whole, group = class_scores(class_confusion), class_scores(class_confusion, range(5))
    assert group.accuracy == whole.accuracy
    np.testing.assert_array_equal(group.iou, whole.iou)
