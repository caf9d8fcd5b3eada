"""Make a release of a training: one folder with the model and all that is to be known of it."""

import copy
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mmengine
from mmengine.config import Config

from ..checkpoint_loading import read_checkpoint
from ..engine.hooks.cluster_to_class_hook import COUNTS_FILE
from ..models import PiCIE
from ..whole_files import folder_aside, write_whole
from .config_files import read_config_file
from .file_hashes import compute_sha256
from .json_files import read_json, write_json
from .model_card import describe_entry, render_card
from .model_file import write_model
from .model_index import ReleasedModel, add_to_index, check_name, read_index
from .prediction import load_model
from .ready_configs import list_ready
from .run_history import Run, find_run
from .runs import validate
from .score_logs import only_scores, read_all_starts

#: What the files of a release are called beside the model.
CONFIG_FILE, LOG_FILE, SCORES_FILE = 'config.py', 'log.jsonl', 'scores.json'
CARD_FILE, ENTRY_FILE, SUMS_FILE = 'README.md', 'metafile.yml', 'SHA256SUMS'
#: Log of the validation of rounded weights.
VALIDATION_FILE = 'validation.jsonl'
#: Data that are this package's own, and their licence, which models of them have as well.
_OWN_DATA, _OWN_LICENCE = 'SyntheticScenesDataset', 'Apache-2.0'
#: Settings that are of a machine, or of one start of a training.
_OF_START = ('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name')
_MAIN_SCORES = ('aAcc', 'mIoU')


class Release(NamedTuple):
    """What was made.

    Attributes:
        folder (Path): of the release.
        model (ReleasedModel): its entry of the list.
        rounding (dict[str, float]): what rounding has cost in points of each score; empty if the
            weights are as they were.
        paths (list[str]): settings of the config that name a path of this machine.
    """

    folder: Path
    model: ReleasedModel
    rounding: dict[str, float]
    paths: list[str]


class Training(NamedTuple):
    """A training that is over.

    Attributes:
        config (Config): of it.
        checkpoint (Path): its last.
        meta (dict[str, Any]): what the checkpoint tells of itself.
        records (list[dict[str, Any]]): of its logs, as of :func:`.score_logs.read_all_starts`.
        scores (dict[str, float]): of the last validation, in percent; empty if it has none.
        model (PiCIE): read from the checkpoint.
    """

    config: Config
    checkpoint: Path
    meta: dict[str, Any]
    records: list[dict[str, Any]]
    scores: dict[str, float]
    model: PiCIE


def make_release(
    work_dir: str | Path,
    out: str | Path,
    name: str | None = None,
    config: str | Path | None = None,
    licence: str | None = None,
    data_licence: str | None = None,
    half: bool = False,
) -> Release:
    """Make a release of a training.

    ``OUT/NAME`` holds the model in one file, whose name has the first 8 digits of its sha256, its
    config, log and scores, a model card, an entry for a metafile, and the sha256 of each. The list
    ``OUT/models.json`` then has the model too. The same training gives the same bytes again.

    Args:
        work_dir (str or Path): work folder of a training that is over.
        out (str or Path): folder of releases; made if missing.
        name (str, optional): of the model; that of the config by default.
        config (str or Path, optional): as of :func:`.run_history.find_run`.
        licence (str, optional): of the weights. It must be given, unless the data are the scenes.
        data_licence (str, optional): of the data, likewise.
        half (bool): whether to round weights, as of :func:`.model_file.write_model`. The rounded
            model is then validated, which needs the data, and its scores count.

    Returns:
        Release: folder and entry.

    Raises:
        OSError: If something is missing or cannot be written.
        ValueError: If the training is not over, its scores are not of its last checkpoint, a name
            or a licence is missing, there is such a release already, or the list is broken.
    """
    run = find_run(work_dir, config)
    if run.config is None or run.work_dir is None or not Path(work_dir).is_dir():
        raise ValueError(
            f'{work_dir} must be the work folder of a training, with its config and logs; give '
            'that, which is DIR/training for a folder DIR of `picie segment`.'
        )
    cfg = read_config_file(str(run.config))
    name = run.config.stem if name is None else name
    check_name(name)
    licence, data_licence = _choose_licences(cfg, licence, data_licence)
    _check_ready_name(name, cfg)
    folder = Path(out, name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f'{folder} is there already; remove it, or give another --name.')
    read_index(Path(out))  # a broken one is told before the work
    training = _read_training(run, cfg)
    facts = dict(
        name=name,
        clusters=training.model.decode_head.num_clusters,
        seed=training.meta.get('seed'),
        trained=str(training.meta.get('time', ''))[:8],
        **describe_schedule(cfg),
        batch=count_batch(cfg, training.meta),
        licence=licence,
        data_licence=data_licence,
    )
    with folder_aside(folder) as aside:
        aside.mkdir()
        weights = aside / 'model.pth'
        write_model(weights, training.model, cfg, facts, half)
        scores = training.scores
        if half and scores:
            scores = _validate(cfg, weights, aside / VALIDATION_FILE)
        digest = compute_sha256(weights)
        weights = weights.rename(aside / f'{name}-{digest[:8]}.pth')
        model = ReleasedModel(
            name=name,
            file=f'{name}/{weights.name}',
            size=weights.stat().st_size,
            sha256=digest,
            data=describe_data(cfg),
            scores={key: round(scores[key], 2) for key in _MAIN_SCORES if key in scores},
            licence=licence,
            data_licence=data_licence,
        )
        rounding = {key: scores[key] - training.scores[key] for key in model.scores if half}
        _write_texts(aside, training, model, facts, scores, half)
    try:
        add_to_index(Path(out), model)
    except BaseException:  # else it would be there already the next time
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Release(folder, model, rounding, _find_paths(cfg.to_dict()))


def describe_schedule(cfg: Config) -> dict[str, int]:
    """How long a config trains.

    Args:
        cfg (Config): of a training.

    Returns:
        dict[str, int]: epochs or iterations.
    """
    train = cfg.get('train_cfg') or {}
    names = {'max_epochs': 'epochs', 'max_iters': 'iterations'}
    return {word: train[key] for key, word in names.items() if train.get(key)}


def count_batch(cfg: Config, meta: Mapping[str, Any]) -> int:
    """Images of a step of the optimiser, of all processes of the training together.

    Args:
        cfg (Config): of the training, whose batch is that of one process.
        meta (Mapping[str, Any]): of its checkpoint; 1 process where it has no ``world_size``.

    Returns:
        int: at least 1.
    """
    batch = cfg.train_dataloader.get('batch_size', 1)  # which is torch's default
    times = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    return batch * times * meta.get('world_size', 1)


def describe_data(cfg: Config) -> str:
    """What a config trains on, in words.

    Args:
        cfg (Config): of a training.

    Returns:
        str: for people.
    """
    kind = cfg.train_dataloader.dataset.type
    return 'synthetic scenes' if kind == _OWN_DATA else str(kind).removesuffix('Dataset')


def _choose_licences(cfg: Config, licence: str | None, data_licence: str | None) -> tuple[str, str]:
    """Those that were given; only of the scenes both are known."""
    kind = cfg.train_dataloader.dataset.type
    chosen = {'licence': licence, 'data_licence': data_licence}
    for option, value in chosen.items():
        if value is None and kind == _OWN_DATA:
            chosen[option] = _OWN_LICENCE
        elif not (value or '').strip():
            raise ValueError(
                f'{option} must say under which licence the '
                f'{"weights are" if option == "licence" else "data are"}, as those of {kind} are '
                f'not known here; give --{option.replace("_", "-")} "WORDS", and keep the release '
                'to yourself if the data must not be passed on.'
            )
    return str(chosen['licence']), str(chosen['data_licence'])


def _check_ready_name(name: str, cfg: Config) -> None:
    """A model that is called as a ready config must fit that config."""
    ready = list_ready().get(name)
    if ready is None:
        return
    theirs = read_config_file(str(ready))
    for key in ('model', 'test_pipeline'):
        texts = [json.dumps(one.get(key), default=str, sort_keys=True) for one in (theirs, cfg)]
        if texts[0] != texts[1]:
            raise ValueError(
                f'the name {name} is that of a ready config, but the training had another {key}, '
                'so the two would not fit; give another --name.'
            )


def _read_training(run: Run, cfg: Config) -> Training:
    """Read a training, and refuse one that is not over, or has scores of something else."""
    assert run.work_dir is not None
    meta = read_checkpoint(run.checkpoint).get('meta') or {}
    for word, wanted in describe_schedule(cfg).items():
        done = meta.get('epoch' if word == 'epochs' else 'iter')
        if done != wanted:
            raise ValueError(
                f'{run.work_dir} must hold a training that is over, but {run.checkpoint.name} is '
                f'of {done} of {wanted} {word}; go on with it by `picie train CONFIG --resume`.'
            )
    records = read_all_starts(run.work_dir)
    # A copy, as mmseg changes the config that it builds a model by.
    model = load_model(copy.deepcopy(cfg), str(run.checkpoint), 'cpu')
    scores: dict[str, float] = {}
    if cfg.get('val_evaluator'):
        scores = _find_scores(run, meta, records)
        _check_match(run, meta, model)
    return Training(cfg, run.checkpoint, meta, records, scores, model)


def _find_scores(
    run: Run, meta: Mapping[str, Any], records: list[dict[str, Any]]
) -> dict[str, float]:
    """Scores of the last validation, which must be of the last checkpoint."""
    validations = [record for record in records if 'mIoU' in record]
    step = validations[-1].get('step') if validations else None
    if step not in (meta.get('epoch'), meta.get('iter')):
        found = 'there is none' if step is None else f'the last one is of step {step}'
        raise ValueError(
            f'the log of {run.work_dir} must have a validation of {run.checkpoint.name}, but '
            f'{found}; validate after the last epoch (val_interval of train_cfg).'
        )
    return only_scores(validations[-1])


def _check_match(run: Run, meta: Mapping[str, Any], model: PiCIE) -> None:
    """The checkpoint's clusters must have the classes that the scores were counted with."""
    path = Path(str(run.work_dir), COUNTS_FILE)
    if not path.is_file():  # of methods that match no clusters
        return
    counts, head = read_json(path), model.decode_head
    stored = head.cluster_to_class[counts['views']].tolist()
    if counts['cluster_to_class'] != stored or counts['epoch'] != meta.get('epoch'):
        raise ValueError(
            f'{run.checkpoint} has other classes of its clusters than {path.name} beside it, so '
            'the scores are not of it; it was written again since: train or validate anew.'
        )


def _validate(cfg: Config, weights: Path, log: Path) -> dict[str, float]:
    """Scores of rounded weights."""
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.deepcopy(cfg)
        trial.work_dir, trial.load_from, trial.resume = folder, str(weights), False
        trial.experiment_name = f'release_{weights.parent.name}'
        metrics = validate(trial, verbose=False).metrics
    scores = only_scores(metrics)
    write_whole(log, json.dumps(scores) + '\n')
    return scores


def _write_texts(
    folder: Path,
    training: Training,
    model: ReleasedModel,
    facts: Mapping[str, Any],
    scores: Mapping[str, float],
    half: bool,
) -> None:
    """Write all files of a release but the weights."""
    cfg = training.config.copy()
    for key in _OF_START:
        cfg.pop(key, None)
    write_whole(folder / CONFIG_FILE, cfg.pretty_text)
    lines = [json.dumps(record) + '\n' for record in training.records]
    write_whole(folder / LOG_FILE, ''.join(lines))
    rounded = VALIDATION_FILE if half and scores else None
    told = dict(
        scores=dict(scores),
        of=facts.get('epochs') or facts.get('iterations'),
        log=rounded or LOG_FILE,
        weights='float16, but norms and centroids' if half else 'float32',
        training=training.scores,
    )
    write_json(folder / SCORES_FILE, told)
    card = render_card(training.config, model, facts, scores, training.scores if half else {})
    write_whole(folder / CARD_FILE, card)
    entry = describe_entry(training.config, model, facts)
    write_whole(
        folder / ENTRY_FILE,
        mmengine.dump(dict(Models=[entry]), file_format='yaml', sort_keys=False),
    )
    names = sorted(path.name for path in folder.iterdir())
    sums = [f'{compute_sha256(folder / name)}  {name}\n' for name in names]
    write_whole(folder / SUMS_FILE, ''.join(sums))


def _find_paths(settings: Any, name: str = '') -> list[str]:
    """Settings that name a path of this machine, as KEY=VALUE."""
    if isinstance(settings, str):
        is_path = Path(settings).is_absolute() and name.rpartition('.')[2] not in _OF_START
        return [f'{name}={settings}'] if is_path else []
    pairs: list[tuple[Any, Any]] = []
    if isinstance(settings, Mapping):
        pairs = list(settings.items())
    elif isinstance(settings, list | tuple):
        pairs = list(enumerate(settings))
    start = f'{name}.' if name else ''
    return [path for key, value in pairs for path in _find_paths(value, f'{start}{key}')]
