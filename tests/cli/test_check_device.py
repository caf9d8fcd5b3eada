"""`picie check-device` on the CPU, and how it ends."""

import pytest
import torch

from mmseg_picie.apis.device_check import parity, report
from mmseg_picie.apis.device_check.rows import FAILED, LEFT_OUT, Row
from mmseg_picie.apis.json_files import read_json
from mmseg_picie.cli import main


def test_all_parts_are_checked_on_a_cpu(tmp_path, monkeypatch, capsys):
    some = ('sums of clusters', 'training step')  # the others have a test of their own
    monkeypatch.setattr(parity, 'CASES', {name: parity.CASES[name] for name in some})
    out = tmp_path / 'device.json'
    found = main(['check-device', 'cpu', '--quick', '--out', str(out)])
    content = read_json(out)
    assert content == found.to_json()
    rows = {row['check']: row for row in content['rows']}
    assert {row['part'] for row in rows.values()} == {
        *('parity', 'training', 'precision', 'faiss', 'speed', 'memory')
    }
    assert [name for name, row in rows.items() if row['result'] == FAILED] == []
    assert [name for name, row in rows.items() if row['result'] == LEFT_OUT] == [
        'k-means of faiss-gpu'
    ]
    timed = [row for row in rows.values() if row['part'] == 'speed']
    assert len(timed) == 6 and all(row['values']['seconds'] > 0 for row in timed)
    assert rows['epoch on scenes']['values']['training'] > 0
    assert rows['losses of the epoch']['values'] == dict(first=0.0, mean=0.0)  # the same device
    assert 0 < rows['step in mixed precision']['values']['apart'] < 0.05
    assert content['header']['device'] == 'cpu' and content['header']['quick']
    printed = capsys.readouterr().out
    assert '| losses of the epoch' in printed and ' 0 failed, 1 left out on cpu' in printed


def test_a_failed_row_is_exit_code_1(monkeypatch, capsys, tmp_path):
    rows = [Row('parity', 'decoder', FAILED, 'off', '', {})]
    monkeypatch.setattr(report, '_run', lambda device, quick: iter(rows))
    with pytest.raises(SystemExit) as end:
        main(['check-device', 'cpu', '--out', str(tmp_path / 'out.json')])
    assert end.value.code == 1
    assert 'parity: decoder: failed' in capsys.readouterr().out
    assert read_json(tmp_path / 'out.json')['rows'][0]['result'] == FAILED


@pytest.mark.parametrize('device', ['cuda:99', 'meta', 'gpu', 'cpu:3:4', 'hpu', 'privateuseone'])
def test_a_device_that_is_not_there_is_told_in_a_sentence(sentence, device):
    assert not torch.cuda.is_available() or torch.cuda.device_count() < 99
    told = sentence('check-device', device)
    assert told.startswith(f'argument device: {device} cannot be used (')


def test_a_file_that_cannot_be_written_is_refused_first(sentence, tmp_path):
    told = sentence('check-device', 'cpu', '--out', tmp_path)
    assert told.startswith('argument --out: ') and 'must be a file' in told
