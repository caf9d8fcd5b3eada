"""The check of a device finds what differs, and no failing row hides another."""

from contextlib import nullcontext

import mmengine.device.utils
import pytest
import torch

from mmseg_picie.apis import devices
from mmseg_picie.apis.device_check import faiss_check, parity, report, training
from mmseg_picie.apis.device_check.cases import Case, LeftOut, compare
from mmseg_picie.apis.device_check.rows import FAILED, LEFT_OUT, OK, Row, attempt

CPU = torch.device('cpu')


def test_differences_are_measured_in_their_tolerance():
    values = torch.tensor([1.0, 100.0])
    # 1e-5 + 1e-4 x 100, which is 0.01001, is allowed at the second one.
    found = compare(dict(a=[values]), dict(a=[values + torch.tensor([0.0, 0.01])]))
    assert found.where == 'a.0'
    assert found.worst == pytest.approx(0.999, abs=2e-3) and found.error == pytest.approx(
        0.01, 1e-3
    )
    assert compare(dict(a=values), dict(a=values + 0.02)).worst > 1
    assert compare(dict(a=values), dict(a=values + 0.02), slack=1000).worst < 1
    half = values.bfloat16()  # 0.02 + 0.02 x 100 at the second one
    assert compare(dict(a=half), dict(a=half + torch.tensor([0, 2.0]).bfloat16())).worst < 1
    nan = torch.tensor([torch.nan, 1.0])
    assert compare(dict(a=nan), dict(a=nan.clone())).worst == 0


def test_whole_numbers_may_differ_in_few_places():
    labels = torch.zeros(10_000, dtype=torch.int64)
    few, many = labels.clone(), labels.clone()
    few[:20] = 1  # 0.2 %
    many[:21] = 1
    assert compare(dict(a=labels), dict(a=few)).worst == pytest.approx(1)
    assert compare(dict(a=labels), dict(a=many)).worst > 1
    assert compare(dict(a=3), dict(a=4)).worst > 1


@pytest.mark.parametrize(
    'other',
    [torch.ones(3), torch.ones(2, dtype=torch.float64), torch.tensor([1.0, torch.inf])],
    ids=['shape', 'type', 'infinite'],
)
def test_another_kind_of_result_is_never_within_the_tolerance(other):
    assert compare(dict(a=torch.ones(2)), dict(a=other), slack=1e9).worst == float('inf')


def test_results_of_other_names_are_refused():
    with pytest.raises(ValueError, match=r"\['a'\] on the CPU, but \['b'\] on the device"):
        compare(dict(a=1), dict(b=1))


def test_a_failing_case_hides_no_other(monkeypatch):
    def differ(device: torch.device) -> dict:
        return dict(value=torch.tensor(1.0 if device.type == 'cpu' else 1.1))

    def fail(device: torch.device) -> dict:
        raise RuntimeError('no kernel\n  for this')

    def leave_out(device: torch.device) -> dict:
        raise LeftOut('there is no timm')

    runs = dict(wrong=differ, raising=fail, missing=leave_out, right=lambda device: dict(value=2))
    monkeypatch.setattr(parity, 'CASES', {name: Case(name, run, 1) for name, run in runs.items()})
    rows = {row.check: row for row in parity.check_parity(torch.device('xpu'))}
    assert [rows[name].result for name in runs] == [FAILED, FAILED, LEFT_OUT, OK]
    assert '0.1 apart, in value' in rows['wrong'].found
    assert rows['raising'].found == 'RuntimeError: no kernel for this'
    assert rows['missing'].found == 'there is no timm'


def test_mixed_precision_is_left_out_where_the_toolbox_has_none(monkeypatch):
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'xpu')
    monkeypatch.setattr(training, 'using_device', lambda device: nullcontext())
    with pytest.raises(LeftOut, match='works on cuda, npu, mlu, musa alone, .* here is xpu'):
        training.check_mixed_precision(CPU)


@pytest.mark.parametrize('ends', [nullcontext(), pytest.raises(KeyboardInterrupt)])
def test_a_run_on_another_gpu_leaves_the_choice_of_its_caller(monkeypatch, ends):
    current = [0]

    def choose(index: int) -> int:
        before, current[0] = current[0], index
        return before

    for name in ('set_device', '_exchange_device', '_maybe_exchange_device'):
        monkeypatch.setattr(torch.cuda, name, choose)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: current[0])
    monkeypatch.setattr(devices, 'check_device', lambda device: None)
    before = mmengine.device.utils.DEVICE
    with ends, devices.using_device('cuda:1'):
        assert (current, mmengine.device.utils.DEVICE) == ([1], 'cuda')
        if not isinstance(ends, nullcontext):
            raise KeyboardInterrupt
    assert (current, mmengine.device.utils.DEVICE) == ([0], before)


def test_the_table_can_be_pasted():
    rows = [
        attempt('parity', 'a | b [c]', lambda: 1 / 0),
        Row('speed', 'x' * 100, OK, 'y' * 150, '', dict(seconds=1.0)),
    ]
    found = report.Report(report.make_header(CPU, True), rows)
    assert found.has_failed and found.summary().startswith('1 ok, 1 failed, 0 left out on cpu')
    content = found.to_json()
    assert content['rows'][0]['result'] == FAILED and content['header']['versions']['torch']


def test_printed_rows_are_whole(capsys):
    rows = [Row('speed', 'x' * 100, OK, '[bold]y | z' + 'y' * 150, '', {})]
    report.print_report(report.Report(report.make_header(CPU, True), rows))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if '|' in line]
    assert len(lines) == 3
    assert all(line.count('|') == 6 and line.startswith('|') for line in lines)
    assert 'x' * 100 in lines[2] and '[bold]y / z' in lines[2]


def test_kmeans_finds_what_faiss_does():
    faiss = pytest.importorskip('faiss')
    found = faiss_check.compare_with_faiss(faiss, CPU, 3000, on_gpu=False)
    assert found.passed and found.values['apart'] < 1e-4


def test_a_faiss_without_a_gpu_is_left_out():
    for device in (CPU, torch.device('cuda')):
        if device.type == 'cuda' and torch.cuda.is_available():
            continue
        with pytest.raises(LeftOut, match='CUDA|faiss-gpu'):
            faiss_check.check_faiss(device, True)
