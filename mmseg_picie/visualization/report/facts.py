"""What the report page shows, as plain data.

Pictures are data URIs, as :mod:`.pictures` makes them. Shares are fractions of 1, colours RGB from
0 to 255.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Colour = tuple[int, int, int]


class Patch(NamedTuple):
    """A piece of an image.

    Attributes:
        picture (str): data URI.
        image (str): name of the image.
    """

    picture: str
    image: str


class Neighbour(NamedTuple):
    """A cluster that is near to another.

    Attributes:
        cluster (int): its number.
        similarity (float): cosine of the two clusters' mean features, -1 to 1.
    """

    cluster: int
    similarity: float


class ClassShare(NamedTuple):
    """How much of a cluster's labelled pixels is of a class.

    Attributes:
        name (str): of the class.
        share (float): of the cluster's labelled pixels.
    """

    name: str
    share: float


class ClusterFacts(NamedTuple):
    """A cluster.

    Attributes:
        cluster (int): its number in the model, from 0.
        name (str): what the model calls it; empty if it has no name.
        colour (Colour): what it is painted in.
        own_colour (Colour): what it is painted in when it has no name.
        share (float): of all pixels.
        num_images (int): images in which it has any pixel.
        nearest (Sequence[Patch]): around the pixels nearest to its centroid, nearest first.
        rim (Sequence[Patch]): around those farthest from it, farthest first.
        mean_colour (Colour, optional): of its pixels; None if it has none.
        places (str): data URI, how often it covers each place of an image; empty if it has no
            pixel.
        place_words (str): the same in words, such as 'bottom, centre'.
        neighbours (Sequence[Neighbour]): the most similar clusters, most similar first.
        classes (Sequence[ClassShare]): what it covers, largest first; empty without labels.
    """

    cluster: int
    name: str
    colour: Colour
    own_colour: Colour
    share: float
    num_images: int
    nearest: Sequence[Patch]
    rim: Sequence[Patch]
    mean_colour: Colour | None
    places: str
    place_words: str
    neighbours: Sequence[Neighbour]
    classes: Sequence[ClassShare] = ()


class ImageFacts(NamedTuple):
    """An image and its segments.

    Attributes:
        name (str): of the image.
        picture (str): data URI.
        width (int): of the segments, in pixels; the picture has the same aspect.
        height (int): likewise.
        segments (str): cluster of each pixel, row by row: unsigned integers of 8 bits, or of 16
            bits (little-endian) if there are more than 256 clusters; compressed by zlib, in base64.
        shares (Sequence[tuple[int, float]]): clusters that it has and their shares of it, largest
            first.
    """

    name: str
    picture: str
    width: int
    height: int
    segments: str
    shares: Sequence[tuple[int, float]]


class Line(NamedTuple):
    """A line of a curve.

    Attributes:
        name (str): what it shows.
        xs (Sequence[float]): ascending.
        ys (Sequence[float]): as many.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


class Curve(NamedTuple):
    """A small plot.

    Attributes:
        title (str): what it shows, with the unit.
        x_label (str): what x counts.
        lines (Sequence[Line]): at most four.
    """

    title: str
    x_label: str
    lines: Sequence[Line]


class Finding(NamedTuple):
    """A warning.

    Attributes:
        kind (str): a few words, such as 'Collapsed'.
        fact (str): what is the case; it names a cluster k as ``{k}``.
        advice (str): what that means and what to do, the same for all of a kind.
    """

    kind: str
    fact: str
    advice: str


class ReportFacts(NamedTuple):
    """All that the page shows.

    Attributes:
        title (str): of the page.
        num_images (int): images that were segmented.
        clusters (Sequence[ClusterFacts]): K, in the order of their numbers.
        images (Sequence[ImageFacts]): those that are shown.
        aspect (float): width of a typical image over its height.
        model (str): fingerprint of the model, which goes into ``names.json``.
        view (int): set of clusters that the model predicts with, likewise.
        findings (Sequence[Finding]): warnings.
        failures (Sequence[str]): a sentence for each image that could not be read.
        curves (Sequence[Curve]): of the training.
        scores (Mapping[str, str]): by labels; written as they are to be read.
        seconds (Mapping[str, float]): how long what took.
        settings (Mapping[str, str]): of the run.
        classes_of (str): which images the labels are of; empty without labels.
    """

    title: str
    num_images: int
    clusters: Sequence[ClusterFacts]
    images: Sequence[ImageFacts]
    aspect: float
    model: str
    view: int = 0
    findings: Sequence[Finding] = ()
    failures: Sequence[str] = ()
    curves: Sequence[Curve] = ()
    scores: Mapping[str, str] = {}
    seconds: Mapping[str, float] = {}
    settings: Mapping[str, str] = {}
    classes_of: str = ''
