"""Geometry of small plots, which the page draws as SVG."""

from collections.abc import Sequence
from typing import NamedTuple

from .facts import Curve

#: Size of a plot in the units of its SVG, and where its axes lie.
WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 332, 12, 168


class Tick(NamedTuple):
    """A mark of an axis.

    Attributes:
        place (float): along the axis, in the units of the SVG.
        text (str): the number.
    """

    place: float
    text: str


class DrawnLine(NamedTuple):
    """A line as SVG draws it.

    Attributes:
        name (str): what it shows.
        points (list[tuple[float, float]]): in the units of the SVG.
        values (list[tuple[str, str]]): x and y as text, for a table.
    """

    name: str
    points: list[tuple[float, float]]
    values: list[tuple[str, str]]


class Chart(NamedTuple):
    """A plot as SVG draws it.

    Attributes:
        title (str): what it shows.
        x_label (str): what x counts.
        summary (str): first and last values in words.
        x_ticks (list[Tick]): of the x axis.
        y_ticks (list[Tick]): of the y axis.
        lines (list[DrawnLine]): at most four.
    """

    title: str
    x_label: str
    summary: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[DrawnLine]


def draw(curve: Curve) -> Chart:
    """Place the lines of a curve, and choose round numbers for its axes.

    Args:
        curve (Curve): with at least one point.

    Returns:
        Chart: within :data:`WIDTH` x :data:`HEIGHT`.
    """
    xs = [x for line in curve.lines for x in line.xs]
    ys = [y for line in curve.lines for y in line.ys]
    x_marks, y_marks = _round_numbers(xs, whole=True), _round_numbers(ys)
    x_range = min(xs[0], *xs, x_marks[0]), max(*xs, x_marks[0] + 1, max(xs))
    y_range = y_marks[0], y_marks[-1]

    def place_x(x: float) -> float:
        return round(LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) * (RIGHT - LEFT), 1)

    def place_y(y: float) -> float:
        return round(BOTTOM - (y - y_range[0]) / (y_range[1] - y_range[0]) * (BOTTOM - TOP), 1)

    lines = [
        DrawnLine(
            line.name,
            [(place_x(x), place_y(y)) for x, y in zip(line.xs, line.ys, strict=True)],
            [(f'{x:g}', f'{y:.4g}') for x, y in zip(line.xs, line.ys, strict=True)],
        )
        for line in curve.lines
    ]
    summary = '; '.join(
        f'{line.name} from {line.ys[0]:.4g} to {line.ys[-1]:.4g}' for line in curve.lines
    )
    return Chart(
        curve.title,
        curve.x_label,
        summary,
        [Tick(place_x(x), f'{x:g}') for x in x_marks if x_range[0] <= x <= x_range[1]],
        [Tick(place_y(y), f'{y:g}') for y in y_marks],
        lines,
    )


def _round_numbers(values: Sequence[float], whole: bool = False) -> list[float]:
    """A few round numbers, from below the least value to above the largest."""
    from matplotlib.ticker import MaxNLocator  # takes a moment

    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)
    if whole:
        low, high = min(values), max(max(values), min(values) + 1)
    found = MaxNLocator(4, integer=whole).tick_values(low, high)
    return [float(f'{value:.6g}') for value in found]
