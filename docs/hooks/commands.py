"""The help of all commands on a page of the site."""

import os
from unittest.mock import patch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from mmseg_picie.cli import COMMANDS, CONVERTERS, make_parser


def describe_commands() -> str:
    """The help of each command, in the order of `picie --help`, as Markdown."""
    paths = [[name] for name in COMMANDS if name != 'convert']
    paths += [['convert', name] for name in CONVERTERS]
    parts = []
    # As wide as a code block, without colours of a terminal.
    with patch.dict(os.environ, COLUMNS='88', NO_COLOR='1'):
        for path in paths:
            _, parser = make_parser(path)
            parts.append(f'## picie {" ".join(path)}\n\n```text\n{parser.format_help()}```\n')
    return '\n'.join(parts)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put it at the end of the page of commands."""
    if page.file.src_uri != 'commands.md':
        return markdown
    return f'{markdown}\n{describe_commands()}'
