"""The light of the synthetic outdoor scenes, from sunshine to night and fog."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Light:
    """The light and the camera's response of one scene.

    Attributes:
        night: Whether lamps are on.
        gain: (3,) float32 RGB factor, exposure and colour cast.
        gamma: Exponent of the tone curve.
        fog: Share of the fog's colour at the horizon, in [0, 1].
        sky: (3,) float32 RGB at the top and at the horizon; the fog has the latter.
        ground: Factor on everything but the sky (low when the sky is bright behind).
        shadow: Factor within cast shadows.
        sun: Direction of the sun, -1 left to 1 right.
        noise: Standard deviation of the sensor's noise in grey levels.
        blur: Standard deviation of the lens blur in pixels.
    """

    night: bool
    gain: np.ndarray
    gamma: float
    fog: float
    sky: tuple[np.ndarray, np.ndarray]
    ground: float
    shadow: float
    sun: float
    noise: float
    blur: float


# Day, overcast, sunset, night, fog: probability; spans of gain, fog, shadow and ground; colour
# cast (RGB); hex colours of the sky at the top and at the horizon.
_LIGHTS = (
    (0.32, (0.8, 1.25), (0.0, 0.2), (0.4, 0.75), (0.8, 1.0), (1.0, 1.0, 1.0), '3c78c8 b4d2eb'),
    (0.24, (0.75, 1.1), (0.1, 0.5), (0.8, 1.0), (0.6, 1.0), (0.97, 1.0, 1.04), 'a0a5aa d7d7d2'),
    (0.2, (0.7, 1.1), (0.0, 0.4), (0.4, 0.8), (0.5, 0.9), (1.2, 0.92, 0.7), '6e6e96 f5aa64'),
    (0.12, (0.5, 0.8), (0.0, 0.4), (0.6, 0.9), (0.8, 1.3), (0.75, 0.9, 1.25), '1e2846 5a5a78'),
    (0.12, (0.75, 1.15), (0.5, 0.85), (0.85, 1.0), (0.8, 1.0), (1.0, 1.0, 1.0), 'b9bec0 cdcdc8'),
)
_NIGHT = 3


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the time of day, then the light within its spans.

    Args:
        rng: Source of every choice; its state advances.

    Returns:
        The light of one scene.
    """
    kind = int(rng.choice(len(_LIGHTS), p=[row[0] for row in _LIGHTS]))
    _, gain, fog, shadow, ground, cast, codes = _LIGHTS[kind]
    tint = np.array(cast) * rng.uniform(0.88, 1.12, 3)
    if kind == _NIGHT and rng.random() < 0.4:
        tint = tint[::-1]  # sodium lamps instead of moonlight
    sky = np.array([list(bytes.fromhex(code)) for code in codes.split()]) / 255
    sky += rng.uniform(0, 0.45) * (sky.mean(1, keepdims=True) - sky) + rng.normal(0, 0.05, (2, 3))
    upper, lower = np.clip(sky, 0.03, 1).astype(np.float32)
    return Light(
        night=kind == _NIGHT,
        gain=(rng.uniform(*gain) * tint).astype(np.float32),
        gamma=rng.uniform(0.75, 1.35),
        fog=rng.uniform(*fog),
        sky=(upper, lower),
        ground=rng.uniform(*ground),
        shadow=rng.uniform(*shadow),
        sun=rng.uniform(-1, 1),
        noise=rng.uniform(1.0, 7.0),
        blur=rng.uniform(0.35, 0.8),
    )
