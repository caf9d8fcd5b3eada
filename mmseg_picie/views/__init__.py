"""Paired views of one image: random draws as data, and functions that apply them."""

from .geometric import cover, cover_size, crop_flip_features, crop_flip_image, resize
from .params import GeometricDraw, GeometricSpace, PhotometricDraw, PhotometricSpace
from .photometric import apply_photometric

__all__ = [
    'GeometricDraw',
    'GeometricSpace',
    'PhotometricDraw',
    'PhotometricSpace',
    'apply_photometric',
    'cover',
    'cover_size',
    'crop_flip_features',
    'crop_flip_image',
    'resize',
]
