"""Random draws of one pair of views, as data: what to draw from, and what was drawn.

A draw consumes the same number of random values whatever comes out, so a changed probability or
range of one operation leaves all others as they were. PiCIE sections 3.2 and 3.3.
"""

from dataclasses import dataclass, fields

from numpy.random import Generator

Range = tuple[float, float]

_RANGES = ('brightness', 'contrast', 'saturation', 'hue', 'blur_sigma')


@dataclass(frozen=True)
class PhotometricDraw:
    """One photometric draw. ``None`` or ``False``: the operation is left out.

    Attributes:
        brightness (float, optional): factor, >= 0; 1 changes nothing.
        contrast (float, optional): factor, >= 0.
        saturation (float, optional): factor, >= 0; 0 gives grey.
        hue (float, optional): shift in turns of the colour circle, in [-0.5, 0.5].
        grayscale (bool): whether to remove colour.
        blur_sigma (float, optional): standard deviation of the Gaussian blur, in pixels.
    """

    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    grayscale: bool = False
    blur_sigma: float | None = None


@dataclass(frozen=True)
class GeometricDraw:
    """One crop and flip, in fractions of the image: (0, 0) is its top left corner, (1, 1) its end.

    Attributes:
        top (float): upper border of the crop, in [0, 1 - height].
        left (float): left border of the crop, in [0, 1 - width].
        height (float): height of the crop, in (0, 1].
        width (float): width of the crop, in (0, 1].
        hflip (bool): whether the crop is mirrored left to right.
        vflip (bool): whether the crop is mirrored top to bottom.
    """

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0
    hflip: bool = False
    vflip: bool = False


@dataclass(frozen=True)
class PhotometricSpace:
    """What photometric draws are taken from; the defaults are the released recipe's.

    Attributes:
        brightness (Range): factors (low, high) of a uniform draw.
        contrast (Range): likewise.
        saturation (Range): likewise.
        hue (Range): shifts in turns, within [-0.5, 0.5].
        jitter_prob (float): probability of each of the four above, drawn independently.
        grayscale_prob (float): probability of removing colour. The paper's is 0.2; the released
            code never applies it.
        blur_prob (float): probability of the Gaussian blur.
        blur_sigma (Range): its standard deviation in pixels of the base image.

    Raises:
        ValueError: If a range or probability makes no sense; the message names it.
    """

    brightness: Range = (0.7, 1.3)
    contrast: Range = (0.7, 1.3)
    saturation: Range = (0.7, 1.3)
    hue: Range = (-0.1, 0.1)
    jitter_prob: float = 0.8
    grayscale_prob: float = 0.0
    blur_prob: float = 0.5
    blur_sigma: Range = (0.1, 2.0)

    def __post_init__(self) -> None:
        bounds = {'hue': (-0.5, 0.5)}
        _check_space(self, {name: bounds.get(name, (0.0, float('inf'))) for name in _RANGES})

    def draw(self, rng: Generator) -> PhotometricDraw:
        """Take one draw (11 random values).

        Args:
            rng (Generator): source of randomness; advanced.

        Returns:
            PhotometricDraw: what was drawn.
        """
        # Arguments are evaluated in the order in which they stand here.
        return PhotometricDraw(
            brightness=_maybe(rng, self.jitter_prob, self.brightness),
            contrast=_maybe(rng, self.jitter_prob, self.contrast),
            saturation=_maybe(rng, self.jitter_prob, self.saturation),
            hue=_maybe(rng, self.jitter_prob, self.hue),
            grayscale=bool(rng.random() < self.grayscale_prob),
            blur_sigma=_maybe(rng, self.blur_prob, self.blur_sigma),
        )


@dataclass(frozen=True)
class GeometricSpace:
    """What geometric draws are taken from; the defaults are the released recipe's.

    Attributes:
        scale (Range): side of the crop as a fraction of the image's side, uniform in (low, high),
            within (0, 1]; the same for both sides.
        hflip_prob (float): probability of mirroring left to right.
        vflip_prob (float): probability of mirroring top to bottom.

    Raises:
        ValueError: If a range or probability makes no sense; the message names it.
    """

    scale: Range = (0.5, 1.0)
    hflip_prob: float = 0.5
    vflip_prob: float = 0.0

    def __post_init__(self) -> None:
        _check_space(self, {'scale': (0.01, 1.0)})

    def draw(self, rng: Generator) -> GeometricDraw:
        """Take one draw (5 random values).

        Args:
            rng (Generator): source of randomness; advanced.

        Returns:
            GeometricDraw: what was drawn.
        """
        side = rng.uniform(*self.scale)
        top, left = rng.random() * (1 - side), rng.random() * (1 - side)
        hflip, vflip = rng.random() < self.hflip_prob, rng.random() < self.vflip_prob
        return GeometricDraw(top, left, side, side, bool(hflip), bool(vflip))


def _maybe(rng: Generator, prob: float, values: Range) -> float | None:
    """A uniform value with probability ``prob``, None otherwise; two random values either way."""
    applied, value = rng.random() < prob, rng.uniform(*values)
    return value if applied else None


def _check_space(space: PhotometricSpace | GeometricSpace, bounds: dict[str, Range]) -> None:
    """Check ranges against their bounds, and that probabilities lie in [0, 1]."""
    for field in fields(space):
        name, value = field.name, getattr(space, field.name)
        if name in bounds:
            least, most = bounds[name]
            if len(value) != 2 or not least <= value[0] <= value[1] <= most:
                raise ValueError(
                    f'{name} must be a range (low, high) with {least} <= low <= high <= {most}, '
                    f'but got {value!r}.'
                )
        elif not 0 <= value <= 1:
            raise ValueError(f'{name} must be a probability in [0, 1], but got {value!r}.')
