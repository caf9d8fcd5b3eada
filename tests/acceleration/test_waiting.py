"""How long threads wait is set before OpenMP is loaded, and the user's choice is left alone."""

import os
import re
import subprocess
import sys

import pytest

from mmseg_picie.acceleration.waiting import CHOICES, SPIN_COUNT


def settings_of_openmp(program: str, **variables: str) -> dict[str, str]:
    """What GNU's OpenMP says about itself when a program loads it."""
    kept = {key: value for key, value in os.environ.items() if key not in CHOICES}
    result = subprocess.run(
        [sys.executable, '-c', program],
        env=kept | dict(OMP_DISPLAY_ENV='VERBOSE') | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(re.findall(r"(\w+) = '([^']*)'", result.stderr))
    if 'GOMP_SPINCOUNT' not in found:
        pytest.skip('torch has another OpenMP here')
    return found


def test_openmp_is_told_before_it_is_loaded():
    program = 'import os; os.environ["MMSEG_PICIE_POSTPONED"] = "1"; import mmseg_picie, torch'
    assert settings_of_openmp(program)['GOMP_SPINCOUNT'] == SPIN_COUNT


def test_the_choice_of_the_user_stays():
    program = 'import os; os.environ["MMSEG_PICIE_POSTPONED"] = "1"; import mmseg_picie, torch'
    assert settings_of_openmp(program, GOMP_SPINCOUNT='77')['GOMP_SPINCOUNT'] == '77'
    plain = settings_of_openmp('import torch', OMP_WAIT_POLICY='ACTIVE')['GOMP_SPINCOUNT']
    found = settings_of_openmp(program, OMP_WAIT_POLICY='ACTIVE')['GOMP_SPINCOUNT']
    assert found == plain != SPIN_COUNT


def test_behind_torch_nothing_is_set():
    program = (
        'import os, torch; os.environ["MMSEG_PICIE_POSTPONED"] = "1"; import mmseg_picie; '
        'assert "GOMP_SPINCOUNT" not in os.environ'
    )
    assert settings_of_openmp(program)['GOMP_SPINCOUNT'] != SPIN_COUNT
