"""Check the data that a config reads, before a run does."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..datasets import KeyedSegDataset, SampleKey
from ..datasets.base import unchecked_files
from ..datasets.image_files import read_size
from ..datasets.image_reading import read_file
from ..engine.progress import track
from ..printing import show_name

#: Images of a split that are looked at if a sample is asked for.
SAMPLE = 200
# So many files and sizes of a kind are named.
_NAMED = 20


@dataclass
class SplitReport:
    """What was found about the data of one data loader.

    Attributes:
        facts (list[str]): lines to print: numbers, sizes, shares of classes.
        warnings (list[str]): sentences about what a run would bear, but its user hardly wants.
        problems (list[str]): sentences about what would end a run, or make its scores worthless.
        contents (dict[str, str]): for each content of an image file, by its hash, the first name.
    """

    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)


def check_split(cfg: Config, split: str, workers: int, fast: bool = False) -> SplitReport:
    """Read the data of one data loader as a run does: every file, through the whole pipeline.

    Args:
        cfg: The whole config.
        split: train, val or test.
        workers: Threads.
        fast: Look at :data:`SAMPLE` images, spread evenly, instead of all.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: If a folder or list is missing.
        ValueError: If the data set refuses its arguments, or a list cannot be read.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    loader = cfg[f'{split}_dataloader']
    with unchecked_files():
        dataset = DATASETS.build(loader.dataset)
    number = len(dataset)
    chosen = range(number)
    if fast and number > SAMPLE:
        chosen = np.linspace(0, number - 1, SAMPLE).round().astype(int).tolist()
    infos = {index: dataset.get_data_info(index) for index in chosen}
    report = SplitReport()
    _compare_with_published(
        cfg, split, dataset, any('seg_map_path' in i for i in infos.values()), report
    )
    if len(infos) < number:
        report.facts.append(f'looked at: {len(infos):,} of them')
    whole = _leave_out_bad(dataset, infos, split, report)
    paths = [info['img_path'] for info in whole.values()]
    sizes = Counter(size for size in map(read_size, paths) if size)
    if sizes:
        report.facts.append(f'width x height: {_list_sizes(sizes)}')
    _find_duplicates(paths, report)
    keyed = (loader.get('sampler') or {}).get('type') == 'EpochKeySampler'
    _read_all(dataset, split, whole, workers, keyed, report)
    return report


def compare_splits(reports: dict[str, SplitReport]) -> list[str]:
    """Lines about images that two splits share.

    Args:
        reports: Of :func:`check_split`, by split.

    Returns:
        A line for each pair that shares some.
    """
    lines, splits = [], list(reports)
    for position, first in enumerate(splits):
        for second in splits[position + 1 :]:
            shared = reports[first].contents.keys() & reports[second].contents.keys()
            if shared:
                lines.append(f'{first} and {second} share {len(shared):,} images')
    return lines


def _compare_with_published(
    cfg: Config, split: str, dataset: Any, labelled: bool, report: SplitReport
) -> None:
    """Count the images, beside their published number if the config knows it."""
    fact = f'{len(dataset):,} images' + (' with label maps' if labelled else '')
    # By the type of data set, as a child config may have other data than its base.
    published = (cfg.get('published_images') or {}).get(type(dataset).__name__) or {}
    expected = published.get(split)
    if expected is not None:
        fact += f' (published: {expected:,})'
        if len(dataset) != expected:
            report.warnings.append(
                f'the {split} data have {len(dataset):,} images, those published {expected:,}; '
                'unpack all packages, unless a part of them is meant.'
            )
    report.facts.insert(0, fact)


def _leave_out_bad(
    dataset: Any, infos: dict[int, dict], split: str, report: SplitReport
) -> dict[int, dict]:
    """Report files that cannot be used; the entries of the other ones."""
    source = _innermost(dataset)
    if not isinstance(source, KeyedSegDataset):
        return infos
    entries = list(infos.values())
    faults = track(source.find_bad_samples(entries), f'Looking at {split}', len(entries))
    bad = {index: error for index, error in zip(infos, faults, strict=True) if error is not None}
    if not bad:
        return infos
    skips = source.on_bad_image == 'skip' and len(bad) < len(infos)
    (report.warnings if skips else report.problems).extend(str(error) for error in bad.values())
    fate = 'a run leaves them out' if skips else 'a run refuses them'
    report.facts.append(f'cannot be used: {len(bad):,} ({fate})')
    return {index: info for index, info in infos.items() if index not in bad}


def _innermost(dataset: Any) -> Any:
    """The data set that others wrap; the first of several."""
    while not isinstance(dataset, KeyedSegDataset):
        inside = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
        if inside[0] is None:
            break
        dataset = inside[0]
    return dataset


def _list_sizes(sizes: Counter) -> str:
    """The most frequent sizes of images, and how far the others reach."""
    named = sizes.most_common(3)
    text = ', '.join(f'{width} x {height} ({count:,})' for (width, height), count in named)
    others = sorted(sizes.keys() - dict(named), key=lambda size: size[0] * size[1])
    if others:
        (low, high), count = (others[0], others[-1]), sum(sizes[size] for size in others)
        text += f', others from {low[0]} x {low[1]} to {high[0]} x {high[1]} ({count:,})'
    return text


def _find_duplicates(paths: Sequence[str], report: SplitReport) -> None:
    """Report files that hold the same bytes as another, and remember the contents of all."""
    again = []
    for path in paths:
        content = hashlib.blake2b(read_file(path), digest_size=16).hexdigest()
        first = report.contents.setdefault(content, path)
        if first != path:
            again.append(f'{show_name(path)} = {show_name(first)}')
    if again:
        report.facts.append(f'duplicates: {len(again):,} files are equal to another')
        report.warnings.append(
            f'{len(again):,} images hold the same bytes as another, and count twice: '
            f'{_name_some(again)}.'
        )


def _name_some(names: Sequence[str]) -> str:
    """The first of them, and how many there are beside."""
    more = len(names) - _NAMED
    return ', '.join(names[:_NAMED]) + (f', and {more:,} more' if more > 0 else '')


def _read_all(
    dataset: Any,
    split: str,
    infos: dict[int, dict],
    workers: int,
    keyed: bool,
    report: SplitReport,
) -> None:
    """Put every image and label map through the data set's pipeline, and count the labels."""

    def read(index: int) -> Counter | Exception | None:
        try:
            item = dataset[SampleKey(0, 0, index) if keyed else index]
            labels = getattr(item.get('data_samples'), 'gt_sem_seg', None)
            if labels is None:
                return None
            counts = np.bincount(labels.data.numpy().ravel())  # much faster than np.unique
        except Exception as error:  # of whatever transform
            return error
        return Counter({value: int(counts[value]) for value in map(int, np.flatnonzero(counts))})

    # Items that share a generator must not be made side by side.
    threads = workers if getattr(dataset, 'has_independent_items', False) else 1
    found: dict[int, Counter] = {}
    with ThreadPoolExecutor(threads) as pool:
        results = track(pool.map(read, infos), f'Reading {split}', len(infos))
        for index, result in zip(infos, results, strict=True):
            if isinstance(result, Exception):
                # Messages of files name them; the words of others may not.
                path = show_name(infos[index]['img_path'])
                named = any(str(p) in str(result) for p in _paths(infos[index]))
                report.problems.append(str(result) if named else f'{path}: {result!r}.')
            elif result is not None:
                found[index] = result
    if found:
        names = {index: show_name(infos[index].get('seg_map_path', '')) for index in found}
        sampled = len(infos) < len(dataset)
        _judge_labels(_innermost(dataset), split, found, names, sampled, report)


def _paths(info: dict) -> Iterable[str]:
    """The files of an entry."""
    return (info[key] for key in ('img_path', 'seg_map_path') if info.get(key))


def _describe_outsider(name: str, wrong: Sequence[int], number: int) -> str:
    """Say that a label map holds values that are no class."""
    return (
        f'label map {name} holds the value {wrong[0]}, but there are {number} classes, from 0 to '
        f'{number - 1}; convert the label maps, or add RemapLabels to the pipeline.'
    )


def _judge_labels(
    dataset: Any,
    split: str,
    found: dict[int, Counter],
    names: dict[int, str],
    sampled: bool,
    report: SplitReport,
) -> None:
    """Report the share of each class, and labels that cannot be meant.

    Args:
        dataset: That has the classes.
        split: Its name.
        found: Of each label map, how many pixels have each value.
        names: Their files.
        sampled: Whether there are label maps that were not read.
        report: That is added to.
    """
    classes, void = dataset.metainfo.get('classes') or (), getattr(dataset, 'ignore_index', 255)
    if not classes:
        report.problems.append(
            f'the {split} data have label maps but no classes; set metainfo=dict(classes=...) of '
            'the data set.'
        )
        return
    report.problems += [
        _describe_outsider(names[index], wrong, len(classes))
        for index, counts in found.items()
        if (wrong := [value for value in sorted(counts) if len(classes) <= value != void])
    ]
    total = sum(found.values(), Counter())
    blank = [names[index] for index, counts in found.items() if set(counts) <= {void}]
    absent = [name for index, name in enumerate(classes) if not total[index]]
    if len(blank) == len(found):
        report.problems.append(
            f'no pixel of the {split} data has a class, as in {blank[0]}: all are {void}; check '
            'the label maps, and that RemapLabels and RAW_LABELS fit them.'
        )
    elif set(total) == {0, void} and len(classes) > 1 and not sampled:
        report.problems.append(
            f'the label maps of the {split} data hold 0 and {void} alone, as '
            f'{next(iter(names.values()))}, and {void} is no class, so only {classes[0]} would be '
            f'scored; if they are masks of black and white, convert {void} to 1.'
        )
    else:
        if blank:
            report.warnings.append(
                f'{len(blank):,} {split} label maps have no class at all: {_name_some(blank)}.'
            )
        if absent and not sampled:
            report.warnings.append(
                f'classes that never occur in the {split} data: {", ".join(absent)}.'
            )
    pixels = total.total()
    shares = [f'{name} {100 * total[i] / pixels:.1f}' for i, name in enumerate(classes)]
    report.facts.append(
        '% of pixels: ' + ', '.join([*shares, f'void {100 * total[void] / pixels:.1f}'])
    )
