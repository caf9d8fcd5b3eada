"""Code blocks of the documents, and the words of the commands in them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
#: Languages that only show something.
SHOWN = ('bibtex', 'json', 'text')
_BLOCK = re.compile(
    r'^(?P<indent> *)(?:<!-- (?P<note>[^\n]*) -->\n *)?```(?P<language>\w*)\n'
    r'(?P<text>.*?)^ *```$',
    re.MULTILINE | re.DOTALL,
)
#: Programs that the documents call. In a shell where they are these functions, bash itself finds
#: out their words: it joins lines, fills in variables and runs loops.
_PROGRAMS = (
    *('.', 'cd', 'git', 'make', 'picie', 'pip', 'python', 'python3'),
    *('sbatch', 'source', 'srun', 'torchrun'),
)
_STUBS = """
note() {
    # What the output is sent to, if that is a file.
    printf '%s\\0' "$(readlink /proc/$$/fd/1 2>/dev/null)" "$@" $'\\n' >> "$WORDS"
}
"""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        document: Path in the repository.
        line: Of its text, from 1.
        language: Behind the fence.
        note: Of the HTML comment above it; empty without one.
        text: Not indented.
    """

    document: str
    line: int
    language: str
    note: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f'{self.document}:{self.line}'

    @property
    def kind(self) -> str:
        """What is done with it: 'shown', 'config', 'run', 'checked', or 'unknown'."""
        if self.language in SHOWN:
            return 'shown'
        if self.language not in ('bash', 'python', 'sh'):
            return 'unknown'
        is_python = self.language == 'python'
        if is_python and (self.note.startswith('config over ') or '_base_ =' in self.text):
            return 'config'
        if re.match(r'not run here: \S+ \S', self.note):
            return 'checked'
        return 'unknown' if self.note else 'run'


class Call(NamedTuple):
    """A command of a block.

    Attributes:
        words: The program first.
        output: File that its output goes to; empty if none.
    """

    words: list[str]
    output: str


def list_blocks(document: str, text: str) -> list[Block]:
    """List the fenced blocks of a document."""
    found = []
    for match in _BLOCK.finditer(text):
        indent = match['indent']
        lines = [line.removeprefix(indent) for line in match['text'].splitlines()]
        number = text.count('\n', 0, match.start('text')) + 1
        note = match['note'] or ''
        found.append(Block(document, number, match['language'], note, '\n'.join(lines)))
    return found


def list_calls(text: str, folder: Path) -> list[Call]:
    """Let bash tell the words of the commands of a block, without running them."""
    words = folder / 'words'
    words.write_bytes(b'')
    stubs = _STUBS + '\n'.join(f'function {name} {{ note {name} "$@"; }}' for name in _PROGRAMS)
    for path in (ROOT / 'tools').glob('*.sh'):  # bash looks for no function where there is a slash
        script = folder / path.relative_to(ROOT)
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/bash\n{_STUBS}note tools/{path.name} "$@"\n')
        script.chmod(0o755)
    result = subprocess.run(
        ['bash', '-euc', f'{stubs}\n{text}\n'],
        cwd=folder,
        env={'WORDS': str(words), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    calls = []
    for record in words.read_text().split('\n\0')[:-1]:
        output, *called = record.split('\0')[:-1]
        calls.append(Call(called, output if output.startswith(str(folder)) else ''))
    return calls


@pytest.fixture(scope='session')
def documents() -> dict[str, str]:
    """Texts of the documents by path, in the order in which a user reads them."""
    first = ['README.md', 'docs/start.md', 'docs/segment.md']
    others = sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'docs').rglob('*.md'))
    paths = [*first, *(path for path in others if path not in first), 'CONTRIBUTING.md']
    return {path: (ROOT / path).read_text('utf-8') for path in paths}


@pytest.fixture(scope='session')
def blocks(documents: dict[str, str]) -> list[Block]:
    """All fenced blocks of the documents."""
    return [block for path, text in documents.items() for block in list_blocks(path, text)]


@pytest.fixture
def parse_blocks() -> Callable[[str, str], list[Block]]:
    """The parser of blocks."""
    return list_blocks


@pytest.fixture
def calls_of(tmp_path: Path) -> Callable[[str], list[Call]]:
    """What commands a block of shell has."""
    folder = tmp_path / 'shell'
    folder.mkdir()
    return lambda text: list_calls(text, folder)
