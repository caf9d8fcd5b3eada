"""What segmenting a folder leaves, for Python and notebooks."""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from numpy.typing import NDArray

from ..evaluation.label_files import read_ids
from .json_files import read_json
from .segment_request import MODEL_FILE, REPORT_FILE, RUN_FILE

#: Overlays that a notebook shows, and their height in pixels.
_SHOWN, _HEIGHT = 4, 160


class LegendRow(NamedTuple):
    """What an id of the label maps means.

    Attributes:
        id (int): value in the label maps.
        name (str): of the cluster or class.
        colour (tuple[int, int, int]): red, green, blue.
        share (float): of all pixels, from 0 to 1.
    """

    id: int
    name: str
    colour: tuple[int, int, int]
    share: float


class Legend(Sequence[LegendRow]):
    """Rows that a notebook shows as a table, the largest share first.

    Args:
        rows (Sequence[LegendRow]): as they are shown.
    """

    columns = LegendRow._fields

    def __init__(self, rows: Sequence[LegendRow]) -> None:
        self._rows = tuple(rows)

    def __getitem__(self, index: Any) -> Any:
        """A row, or a :class:`Legend` of some."""
        return Legend(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def __repr__(self) -> str:
        lines = [f'{row.id:>4}  {100 * row.share:5.1f} %  {row.name}' for row in self]
        return '\n'.join(['  id    share  name', *lines])

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``; pandas must be installed."""
        import pandas

        return pandas.DataFrame(list(self), columns=list(self.columns))

    def _repr_html_(self) -> str:
        rows = ''.join(
            f'<tr><td>{row.id}</td><td><span style="display:inline-block;width:1em;height:1em;'
            f'background:rgb{row.colour}"></span> {html.escape(row.name)}</td>'
            f'<td style="text-align:right">{100 * row.share:.1f} %</td></tr>'
            for row in self
        )
        return f'<table><tr><th>id</th><th>name</th><th>share</th></tr>{rows}</table>'


class LabelMaps(Mapping[str, NDArray]):
    """Label maps by the name of the image, without suffix; read when they are asked for.

    Args:
        folder (Path): that holds them as PNG files, and as TIFF those of images that lie on the
            earth; nested or flat.
    """

    def __init__(self, folder: Path) -> None:
        found = [path for suffix in ('.png', '.tif') for path in folder.rglob(f'*{suffix}')]
        self._paths = {
            path.relative_to(folder).with_suffix('').as_posix(): path for path in sorted(found)
        }

    def __getitem__(self, name: str) -> NDArray:
        """Ids of an image, (H, W) uint8 or uint16; a ValueError if the file is damaged."""
        ids = read_ids(self._paths[name])
        if ids is None:
            raise ValueError(
                f'{self._paths[name]} cannot be read as a label map: it is damaged, or has more '
                'than 1,073,741,824 pixels.'
            )
        return ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)


class SegmentResult:
    """Segments of the images of a folder.

    Args:
        out (str or Path): folder of the results.

    Attributes:
        out (Path): folder of the results.
        maps (LabelMaps): ids by image.
        legend (Legend): what the ids mean.
        facts (dict): of run.json: settings, versions, seconds, perhaps scores.

    Raises:
        FileNotFoundError: If there are no results.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        self.facts = read_json(self.out / RUN_FILE)
        self.maps = LabelMaps(self.out / 'labels')
        found = read_json(self.out / 'legend.json')
        rows = [
            LegendRow(int(key), row['name'], tuple(row['colour']), row['share'])
            for key, row in found.items()
        ]
        self.legend = Legend(sorted(rows, key=lambda row: -row.share))

    @property
    def names(self) -> dict[int, str]:
        """Names by id."""
        return {row.id: row.name for row in self.legend}

    @property
    def scores(self) -> dict[str, float]:
        """Scores on labelled images, in percent; empty if none were given."""
        return self.facts.get('scores', {})

    @property
    def model(self) -> Path:
        """The model file, for further folders."""
        return self.out / MODEL_FILE

    def report(self) -> Path:
        """The page to look at."""
        return self.out / REPORT_FILE

    def __repr__(self) -> str:
        return f'{len(self.maps)} images, {len(self.legend)} segments, in {self.out}\n{self.legend}'

    def _repr_html_(self) -> str:
        pictures = ''
        for name in list(self.maps)[:_SHOWN]:
            picture = cv2.imread(str(self.out / 'overlays' / f'{name}.png'))
            if picture is None:
                continue
            size = (max(1, round(_HEIGHT * picture.shape[1] / picture.shape[0])), _HEIGHT)
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            data = base64.b64encode(cv2.imencode('.jpg', small)[1].tobytes()).decode()
            pictures += (
                f'<img alt="segments of {html.escape(name, quote=True)}" style="margin:2px" '
                f'src="data:image/jpeg;base64,{data}">'
            )
        link = html.escape(str(self.report()), quote=True)
        about = f'{len(self.maps)} images in <code>{html.escape(str(self.out))}</code>'
        return (
            f'<p>{about}, <a href="{link}">report</a></p><div>{pictures}</div>'
            f'{self.legend._repr_html_()}'
        )
