"""What a release says of its model: a card for people, and an entry for a metafile."""

from collections.abc import Mapping
from typing import Any

import torch
from jinja2 import Environment, StrictUndefined
from mmengine.config import Config

from ..models.parts import describe_backbone, list_pretrained
from ..version import __version__
from .model_index import ReleasedModel

#: What the task is called in metafiles.
TASK = 'Unsupervised Semantic Segmentation'
#: Name of a score -> what it is called for people.
_TITLES = {'aAcc': 'pixel accuracy', 'mIoU': 'mIoU'}
_CARD = """\
# {{ model.name }}

A model for semantic segmentation that was trained without labels. It divides images into
{{ facts.clusters }} clusters. Made with [PiCIE](https://arxiv.org/abs/2103.17070) in mmseg_picie,
an extension of MMSegmentation.

| | |
|---|---|
| file | `{{ file }}`, {{ '{:,}'.format(model.size) }} bytes |
| sha256 | `{{ model.sha256 }}` |
| method | {{ parts }} |
| starting weights | {{ start }} |
| data | {{ model.data }} |
| licence of the weights | {{ model.licence | cell }} |
| licence of the data | {{ model.data_licence | cell }} |
| training | {{ schedule }}, steps of {{ facts.batch }} images, seed {{ facts.seed }} |
| versions | released with mmseg_picie {{ version }}, torch {{ torch }} |

## Use

```sh
picie segment --model {{ file }} FOLDER
```

```python
from mmseg.apis import init_model

import mmseg_picie

name = '{{ model.name }}'
config, checkpoint = mmseg_picie.get_config(name), mmseg_picie.get_checkpoint(name)
model = init_model(config, checkpoint, device='cpu')  # without device, on a GPU
```

`picie models` lists the names that are found, and docs/model_zoo.md of mmseg_picie says where. The
file holds weights and settings as plain data. Nothing in it is executed.

## Scores

{% if table %}
{{ table }}

One training. Clusters were matched with classes once, on the images that are scored
({{ metric }}).
{% if rounded %}
Kernels and matrices are stored as float16, and the scores are of the stored file
(`validation.jsonl`). `log.jsonl` is the log of the training. `scores.json` has all scores.
{% else %}
The scores are those of the last epoch in `log.jsonl`. `scores.json` has all of them.
{% endif %}
{% else %}
There were no labels to score it with.
{% endif %}

## Limits

- A cluster is what looks alike to the network. It need not be what a person would call one thing.
- It has seen {{ model.data }} alone{{ sizes }}. On other images, look at the result before you use
  it.
- Names of clusters come from labels of the validation, if there were any, and are no part of what
  was learned.
"""


def render_card(
    cfg: Config,
    model: ReleasedModel,
    facts: Mapping[str, Any],
    scores: Mapping[str, float],
    before: Mapping[str, float],
) -> str:
    """Write the model card.

    Args:
        cfg (Config): of the training.
        model (ReleasedModel): entry of the list.
        facts (Mapping): ``clusters``, ``seed``, ``batch``, and ``epochs`` or ``iterations``.
        scores (Mapping[str, float]): in percent; empty if there are none.
        before (Mapping[str, float]): those before weights were rounded; empty if they were not.

    Returns:
        str: Markdown.
    """
    evaluator = cfg.get('val_evaluator') or {}
    size = _find_size(cfg)
    backbone = cfg.model.get('backbone') or {}
    sources = [source['checkpoint'] for source in list_pretrained(backbone.get('init_cfg'))]
    schedule = [f'{facts[word]} {word}' for word in ('epochs', 'iterations') if word in facts]
    pages = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    pages.filters['cell'] = _as_cell
    return pages.from_string(_CARD).render(
        model=model,
        file=model.file.rpartition('/')[2],
        facts=facts,
        table=_make_table(scores, before),
        rounded=bool(before),
        parts=', '.join(_describe_parts(cfg)),
        start=' and '.join(sources) or 'none that the config names',
        schedule=', '.join(schedule) or 'of unknown length',
        metric=evaluator.get('type') if isinstance(evaluator, dict) else 'see `config.py`',
        sizes=f', as views of {size[0]} x {size[1]} pixels' if size else '',
        version=__version__,
        torch=torch.__version__,
    )


def describe_entry(cfg: Config, model: ReleasedModel, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a metafile, in OpenMMLab's form.

    Args:
        cfg (Config): of the training.
        model (ReleasedModel): entry of the list.
        facts (Mapping): as of :func:`render_card`.

    Returns:
        dict[str, Any]: plain data; paths count from the folder of the release.
    """
    size = _find_size(cfg)
    metadata = {
        'Training Data': model.data,
        'Architecture': _describe_parts(cfg),
        'Clusters': facts['clusters'],
        'Channels': cfg.model.decode_head.get('in_channels'),
        'Input Size': list(size) if size else None,
        'Batch Size': facts['batch'],
        'Epochs': facts.get('epochs'),
        'Iterations': facts.get('iterations'),
        'Seed': facts['seed'],
        'SHA256': model.sha256,
        'License': model.licence,
        'Data License': model.data_licence,
    }
    entry: dict[str, Any] = {
        'Name': model.name,
        'In Collection': 'PiCIE',
        'Metadata': {key: value for key, value in metadata.items() if value is not None},
        'Config': 'config.py',
        'Weights': model.file.rpartition('/')[2],
        'README': 'README.md',
    }
    if model.scores:
        result = {'Task': TASK, 'Dataset': model.data, 'Metrics': dict(model.scores)}
        entry['Results'] = [result]
    return entry


def _as_cell(text: str) -> str:
    """Words of a user in a cell of a table."""
    return ' '.join(text.split()).replace('|', '\\|')


def _make_table(scores: Mapping[str, float], before: Mapping[str, float]) -> str:
    """Scores in Markdown; empty if there are none."""
    if not scores:
        return ''
    columns = [scores, before] if before else [scores]
    rows = ['| score | % |' + ' before rounding |' * bool(before)]
    rows.append('|---' * (1 + len(columns)) + '|')
    for name, title in _TITLES.items():
        if name in scores:
            cells = [f'{column[name]:.2f}' for column in columns]
            rows.append(f'| {title} | {" | ".join(cells)} |')
    return '\n'.join(rows)


def _describe_parts(cfg: Config) -> list[str]:
    parts = [describe_backbone(cfg.model.get('backbone') or {})]
    holder = cfg.model.backbone if cfg.model.backbone.get('backbone') else cfg.model
    for name, owner in (('neck', holder), ('decode_head', cfg.model)):
        if owner.get(name):
            parts.append(owner[name]['type'])
    return parts


def _find_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the images or views that are trained on."""
    for transform in cfg.train_dataloader.dataset.get('pipeline') or ():
        size = transform.get('view_size', transform.get('size'))
        if size is not None:
            return (size, size) if isinstance(size, int) else (size[0], size[1])
    return None
