"""Pages of the site that are no Markdown files of docs/, and links out of docs/.

The README, CONTRIBUTING and so on are pages of the site as they are, and so is the notebook. A link
means the same in the site as in the repository: to a page, or to the text of a file of the code.
"""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Path in the repository -> page of the site, where that is another.
ELSEWHERE = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'SECURITY.md': 'reporting.md',
    'docs/tutorial.ipynb': 'tutorial.md',
}
_CODE = re.compile(r'(^ *```.*?^ *```|`[^`\n]+`)', re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r'(?<=\]\()([^)\s#]+)(?=[)#])')


def notebook_to_markdown(text: str) -> str:
    """Show the cells of a notebook as Markdown.

    Args:
        text: The notebook, JSON of nbformat 4.

    Returns:
        Its texts, with its code in fences.
    """
    parts = []
    for cell in json.loads(text)['cells']:
        source = ''.join(cell['source'])
        is_code = cell['cell_type'] == 'code'
        parts.append(f'```python\n{source}\n```' if is_code else source)
    return '\n\n'.join(parts) + '\n'


def find_target(target: str, origin: str) -> tuple[str, Path | None]:
    """Find where a link of a page leads to in the site.

    Args:
        target: Of the link, relative to the file that it stands in, without an anchor.
        origin: That file, relative to the root of the repository.

    Returns:
        Path within the site, and the file of the repository that has to be put there, if it is no
        page or picture of docs/.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    if path in ELSEWHERE:
        return ELSEWHERE[path], None
    if path.startswith('docs/'):
        return path.removeprefix('docs/'), None
    return f'source/{path}.txt', ROOT / path


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that come from elsewhere."""
    for path, page in ELSEWHERE.items():
        text = (ROOT / path).read_text('utf-8')
        content = notebook_to_markdown(text) if path.endswith('.ipynb') else text
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to the same things within the site."""
    place = page.file.src_uri
    origin = {page: path for path, page in ELSEWHERE.items()}.get(place, f'docs/{place}')

    def lead(match: re.Match) -> str:
        target = match[0]
        if ':' in target:
            return target
        found, source = find_target(target, origin)
        if source is not None:
            if not source.is_file():
                return target  # mkdocs says that it is not there
            if files.get_file_from_path(found) is None:
                level = InclusionLevel.NOT_IN_NAV
                added = File.generated(config, found, abs_src_path=str(source), inclusion=level)
                files.append(added)
        return posixpath.relpath(found, posixpath.dirname(place) or '.')

    def translate(piece: str) -> str:
        if not _CODE.fullmatch(piece):
            return _TARGET.sub(lead, piece)
        # A bar in a table is escaped in a repository browser, also in code, but not here.
        return piece if '```' in piece else piece.replace('\\|', '|')

    return ''.join(translate(piece) for piece in _CODE.split(markdown))
