"""Names that a person gives to clusters: read their file, and write them into a checkpoint."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from ..checkpoint_loading import read_checkpoint
from ..clustering import UNMATCHED, name_clusters
from ..clustering.naming import distinct_palette
from ..engine.checkpoint_files import save_whole
from ..models.view_head import map_from_bytes, map_to_bytes
from .json_files import read_json

#: What a file of names says that it is.
FORMAT = 'mmseg_picie names'
VERSION = 1
#: Letters of a name at most.
MAX_LETTERS = 60
_HEAD = 'decode_head.'
_MAP, _CLASSES = _HEAD + 'cluster_to_class', _HEAD + 'map_classes'
# What says which pixel belongs to which cluster, and what of it does not or is not in all files.
_PARTS = ('backbone.', 'neck.', _HEAD)
_NOT_CLUSTERS = (_MAP, _CLASSES, _HEAD + 'logit_bias', '.num_batches_tracked')
_COLOUR = re.compile('#[0-9a-fA-F]{6}')


class Named(NamedTuple):
    """A cluster that a person has named.

    Attributes:
        name (str, optional): its name; None if it is to have none.
        colour (tuple[int, int, int], optional): RGB; None without a name.
    """

    name: str | None
    colour: tuple[int, int, int] | None


class Names(NamedTuple):
    """Names for a model.

    Attributes:
        model (str): its :func:`fingerprint`.
        view (int): set of clusters that they speak of.
        clusters (dict[int, Named]): by number. Clusters of one name are one class.
    """

    model: str
    view: int
    clusters: dict[int, Named]


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """What tells a model's clusters from those of any other model.

    Args:
        state (Mapping[str, Tensor]): its state dict. What clusters are called does not count.

    Returns:
        str: 64 hexadecimal digits.
    """
    found = hashlib.sha256()
    for key in sorted(state):
        if key.startswith(_PARTS) and not key.endswith(_NOT_CLUSTERS):
            values = state[key].detach().cpu().contiguous()
            found.update(f'{key} {values.dtype} {tuple(values.shape)}\n'.encode())
            found.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def read_names(path: str | Path) -> Names:
    """Read a file of names, as the report page saves it.

    Args:
        path (str or Path): JSON file.

    Returns:
        Names: what it says.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or a name or a colour makes no sense.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path} does not exist; save it on the report page.')
    content = read_json(path)
    if content.get('format') != FORMAT:
        raise ValueError(
            f'{path} must be a file of names that the report page has saved, but its format is '
            f'{content.get("format")!r}, not {FORMAT!r}.'
        )
    if content.get('version') != VERSION:
        raise ValueError(
            f'{path} must be of version {VERSION}, but is of {content.get("version")!r}; write the '
            'report again with this version of picie, and save the names there.'
        )
    model, view, entries = (content.get(key) for key in ('model', 'view', 'clusters'))
    if not (isinstance(model, str) and _is_count(view) and isinstance(entries, list)):
        raise ValueError(
            f'{path} must hold "model" (text), "view" (a number) and "clusters" (a list); save it '
            'again on the report page.'
        )
    clusters: dict[int, Named] = {}
    for entry in entries:
        number = entry.get('id') if isinstance(entry, dict) else None
        if not _is_count(number):
            raise ValueError(
                f'{path}: each entry of "clusters" must have an "id", the number of a cluster, but '
                f'got {entry!r}; correct it.'
            )
        if number in clusters:
            raise ValueError(f'{path} names cluster {number} twice; take out one of the entries.')
        clusters[number] = _read_entry(path, number, entry)
    _check_together(path, clusters)
    return Names(model, view, clusters)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_entry(path: str | Path, number: int, entry: dict) -> Named:
    name, colour = entry.get('name'), entry.get('colour')
    if name is None:
        return Named(None, None)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(
            f'{path}: the name of cluster {number} must not be empty, but is {name!r}; give it '
            'one, or take out its entry.'
        )
    name = name.strip()
    if len(name) > MAX_LETTERS or not name.isprintable():
        raise ValueError(
            f'{path}: the name of cluster {number} must have at most {MAX_LETTERS} letters, all of '
            f'which can be printed, but is {name!r}; shorten or correct it.'
        )
    if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
        raise ValueError(
            f'{path}: the colour of cluster {number} must be written as #rrggbb, but is '
            f'{colour!r}; correct it.'
        )
    return Named(name, (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)))


def _check_together(path: str | Path, clusters: Mapping[int, Named]) -> None:
    """Refuse a name of two colours, and the default name of another cluster."""
    by_name: dict[str, int] = {}
    for number, (name, colour) in clusters.items():
        if name is None or colour is None:
            continue
        first = by_name.setdefault(name, number)
        if clusters[first].colour != colour:
            raise ValueError(
                f'{path}: clusters {first} and {number} are both called {name!r}, so they are one '
                'class, but have two colours; give them one colour, or two names.'
            )
        other = re.fullmatch('cluster ([0-9]{1,9})', name)
        if other and int(other[1]) != number:
            same = clusters.get(int(other[1]))
            if same is None or same.name != name:
                raise ValueError(
                    f'{path}: cluster {number} must not be called {name!r}, which is what another '
                    'cluster is called that has no name; give it another name.'
                )


def name_checkpoint(checkpoint: str | Path, names: str | Path, out: str | Path) -> list[str]:
    """Write a checkpoint again with the names of a file.

    A name that is given by hand goes before a class that labels gave. Clusters that the file does
    not list stay as they are.

    Args:
        checkpoint (str or Path): file of the model.
        names (str or Path): file of :func:`read_names`.
        out (str or Path): file to write; it is replaced whole or not at all. It holds no optimiser,
            unless it is the checkpoint: a training can then still be resumed from it.

    Returns:
        list[str]: what the K clusters are called now.

    Raises:
        ValueError: If the names are for another model, or a cluster does not exist.
    """
    given = read_names(names)
    content = read_checkpoint(str(checkpoint))
    state = dict(content.get('state_dict', content))
    if _MAP not in state or state[_MAP].ndim != 2:
        raise ValueError(
            f'{checkpoint} holds no clusters that could be named; give a checkpoint of a PiCIE '
            'training.'
        )
    if given.model != fingerprint(state):
        raise ValueError(
            f'{names} is for another model than {checkpoint}: it was saved on the report of '
            'other weights; write a report of this checkpoint, and name the clusters there.'
        )
    table = state[_MAP].clone()
    if given.view >= len(table):
        raise ValueError(
            f'{names} is for the clusters of view {given.view}, but {checkpoint} has only '
            f'{len(table)}; save the names on a report of this checkpoint.'
        )
    unknown = [number for number in given.clusters if number >= table.shape[1]]
    if unknown:
        raise ValueError(
            f'{names} names cluster {unknown[0]}, but {checkpoint} has only the clusters 0 to '
            f'{table.shape[1] - 1}; take out that entry.'
        )
    meta = map_from_bytes(state[_CLASSES]) if _CLASSES in state else {}
    before = meta.get('classes')
    former = dict(zip(before or (), meta.get('palette') or (), strict=False))
    row, meta = merge_names(table[given.view].tolist(), meta, given.clusters)
    _refuse_equal_colours(names, row, meta, former)
    if meta['classes'] != before:  # the classes of the other views are counted otherwise
        table = _renumber(table, before or [], meta['classes'])
    table[given.view] = torch.tensor(row)
    state |= {_MAP: table, _CLASSES: map_to_bytes(meta)}
    called = name_clusters(row, meta['classes'], meta['palette'])
    info = (content.get('meta') or {}) | dict(dataset_meta=called._asdict())
    same = os.path.exists(out) and os.path.samefile(checkpoint, out)
    kept = content if same and 'state_dict' in content else {}
    save_whole(dict(kept) | dict(meta=info, state_dict=state), out)
    return list(called.classes)


def merge_names(
    cluster_to_class: Sequence[int], meta: Mapping[str, Any], given: Mapping[int, Named]
) -> tuple[list[int], dict[str, Any]]:
    """Put names by hand into a map of clusters to classes.

    Classes that labels gave keep their numbers, so label maps and scores mean the same as before;
    new names follow them. Names of earlier hands that no cluster has any more are dropped.

    Args:
        cluster_to_class (Sequence[int]): (K,) class of each cluster, -1 where there is none.
        meta (Mapping[str, Any]): ``classes`` of the map, and perhaps ``palette``, ``dataset`` and
            ``num_by_hand``, how many of the last classes are by hand; empty without a map.
        given (Mapping[int, Named]): what to change.

    Returns:
        tuple: the map and its meta.
    """
    former = list(meta.get('classes') or ())
    colours = [list(c) for c in meta.get('palette') or distinct_palette(len(former))]
    number = len(former) - int(meta.get('num_by_hand', 0))
    classes, palette = former[:number], colours[:number]

    def find(name: str, colour: Sequence[int]) -> int:
        if name not in classes:
            classes.append(name)
            palette.append(list(colour))
        return classes.index(name)

    row = []
    for cluster, label in enumerate(cluster_to_class):
        known = 0 <= label < len(former)
        entry = given.get(cluster)
        if entry is None and known:
            row.append(label if label < number else find(former[label], colours[label]))
        elif entry is None or entry.name is None or entry.colour is None:
            row.append(UNMATCHED)
        else:
            row.append(find(entry.name, entry.colour))
            palette[row[-1]] = list(entry.colour)
    merged = dict(meta) | dict(classes=classes, palette=palette)
    merged['num_by_hand'] = len(classes) - number
    return row, merged


def _refuse_equal_colours(
    path: str | Path, row: Sequence[int], meta: Mapping[str, Any], former: Mapping[str, Any]
) -> None:
    """Refuse one colour of two names, unless it was so before."""
    by_colour: dict[tuple, str] = {}
    for label in sorted(set(row) - {UNMATCHED}):
        name, colour = meta['classes'][label], tuple(meta['palette'][label])
        first = by_colour.setdefault(colour, name)
        if first != name and not all(tuple(former.get(n, ())) == colour for n in (first, name)):
            raise ValueError(
                f'{path}: {first!r} and {name!r} have the same colour, '
                f'#{bytes(colour).hex()}; give one of them another.'
            )


def _renumber(table: Tensor, before: Sequence[str], now: Sequence[str]) -> Tensor:
    """A map in the terms of another list of classes; those that are gone become unknown."""
    numbers = [now.index(name) if name in now else UNMATCHED for name in before]
    return torch.tensor([*numbers, UNMATCHED])[table.clamp(max=len(before))]
