"""What the synthetic outdoor scenes are made of: their classes, and the types of scene."""

from dataclasses import dataclass

CLASSES: tuple[str, ...] = (
    *('sky', 'water', 'grass', 'sand', 'road', 'building', 'tree'),
    *('car', 'person'),
)
PALETTE: list[list[int]] = [
    *([70, 130, 220], [0, 60, 150], [120, 220, 90], [240, 210, 120], [110, 60, 140]),
    *([170, 90, 60], [20, 110, 40], [250, 40, 40], [255, 0, 200]),
]
SKY, WATER, GRASS, SAND, ROAD, BUILDING, TREE, CAR, PERSON = range(len(CLASSES))
STUFF: tuple[int, ...] = (SKY, WATER, GRASS, SAND, ROAD, BUILDING, TREE)
THINGS: tuple[int, ...] = (CAR, PERSON)


@dataclass(frozen=True)
class Recipe:
    """One type of scene; a ground class is written by its first letter: w, g, s, r.

    Attributes:
        weight: Relative frequency of this type.
        bands: Choices for the ground classes from the horizon to the camera.
        patches: Ground classes of which a patch may lie on the nearest band.
        ahead: Probability of a road that runs toward the horizon.
        across: Probability of a road across the view, if none runs ahead.
        walls: Probability of house fronts along the way.
        skyline: Probability of a row of buildings at the horizon.
        forest: Probability of a line of trees at the horizon.
        houses: Least and largest number of houses that stand free.
        trees: Least and largest number of trees that stand free.
        cars: Least and largest number of cars.
        persons: Least and largest number of persons.
    """

    weight: float
    bands: tuple[str, ...]
    patches: str
    ahead: float
    across: float
    walls: float
    skyline: float
    forest: float
    houses: tuple[int, int]
    trees: tuple[int, int]
    cars: tuple[int, int]
    persons: tuple[int, int]


# In the order of the attributes: street, shore, lake, meadow, desert.
RECIPES: tuple[Recipe, ...] = (
    Recipe(
        *(0.22, ('g', 's', 'sg', 'r'), 'gs', 0.75, 1.0, 0.75, 0.8, 0.3),
        *((0, 1), (1, 4), (2, 5), (3, 9)),
    ),
    Recipe(
        *(0.26, ('ws', 'ws', 'wsg', 'wg'), 'wg', 0.0, 0.2, 0.0, 0.35, 0.3),
        *((0, 1), (0, 3), (1, 3), (4, 10)),
    ),
    Recipe(
        *(0.22, ('gwg', 'gws', 'wg', 'gw'), 'gs', 0.0, 0.25, 0.0, 0.4, 0.7),
        *((0, 2), (1, 4), (1, 3), (2, 7)),
    ),
    Recipe(
        *(0.15, ('g', 'g', 'gs', 'sg'), 'wsg', 0.5, 0.3, 0.0, 0.3, 0.5),
        *((1, 3), (2, 6), (1, 4), (2, 6)),
    ),
    Recipe(
        *(0.15, ('s', 's', 'gs'), 'wg', 0.5, 0.4, 0.3, 0.5, 0.2),
        *((0, 3), (0, 4), (2, 5), (2, 7)),
    ),
)
