"""One image brought to another size, as the common readers do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from equivcheck.spec.model import Resize

_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TENSORFLOW = {"nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}


def resized(image: npt.NDArray[Any], size: tuple[int, int], how: Resize) -> npt.NDArray[Any]:
    """One image at another size.

    With antialiasing as Pillow resizes, and so ``load_img`` and ImageDataGenerator; without as ``tf.image.resize``,
    and so ``image_dataset_from_directory``.

    Args:
        image: ``(height, width, channels)``, uint8 or float32.
        size: Height and width wanted, in pixels.
        how: Interpolation and antialiasing.

    Returns:
        ``(*size, channels)``; of an image of the wanted size itself. Pillow keeps uint8, TensorFlow makes floats of it
        but for the nearest pixel.
    """
    if image.shape[:2] == size:
        return image
    if not how.antialias:
        return np.asarray(tf.image.resize(image, size, _TENSORFLOW[how.interpolation]))
    if image.dtype == np.uint8 and image.shape[-1] == 3:  # noqa: PLR2004
        return np.asarray(Image.fromarray(image).resize(size[::-1], _PILLOW[how.interpolation]))
    # Channel by channel: Pillow knows no other images of three floats.
    channels = [Image.fromarray(image[..., channel]) for channel in range(image.shape[-1])]
    return np.stack([np.asarray(one.resize(size[::-1], _PILLOW[how.interpolation])) for one in channels], axis=-1)
