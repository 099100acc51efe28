"""Inception V4, which keras.applications lacks, as a functional model.

The filters are those of the figures in Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the
Impact of Residual Connections on Learning" (arXiv 1602.07261). Where figures and the authors' published TensorFlow
code (``inception_v4.py`` of TF-Slim) disagree, about the order of 1x7 and 7x1 for one, it is as the code has it, for
that is what weights were published for; so are the settings of the layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import keras
from keras import layers

#: Height and width in pixels below which nothing is left for the last reduction, as for InceptionV3.
SMALLEST = 75

#: TF-Slim's ``inception_arg_scope`` and its example training: batch_norm_decay, batch_norm_epsilon, weight_decay.
_MOMENTUM, _EPSILON, _WEIGHT_DECAY = 0.9997, 0.001, 4e-5
#: One minus TF-Slim's ``dropout_keep_prob``.
_DROPOUT = 0.2


@dataclass(frozen=True, slots=True)
class _Conv:
    """Convolution without bias, batch normalisation without scale, ReLU."""

    filters: int
    kernel: int | tuple[int, int]
    strides: int = 1
    padding: Literal["same", "valid"] = "same"


@dataclass(frozen=True, slots=True)
class _Average:
    """Average pooling of 3x3 that keeps the size."""


@dataclass(frozen=True, slots=True)
class _Maximum:
    """Maximum pooling of 3x3 that halves the size."""


@dataclass(frozen=True, slots=True)
class _Fork:
    """Branches side by side, concatenated."""

    branches: tuple[tuple[_Step, ...], ...]


_Step = _Conv | _Average | _Maximum | _Fork

_STEM = (
    _Conv(32, 3, 2, "valid"),
    _Conv(32, 3, 1, "valid"),
    _Conv(64, 3),
    _Fork(((_Maximum(),), (_Conv(96, 3, 2, "valid"),))),
    _Fork(
        (
            (_Conv(64, 1), _Conv(96, 3, 1, "valid")),
            (_Conv(64, 1), _Conv(64, (1, 7)), _Conv(64, (7, 1)), _Conv(96, 3, 1, "valid")),
        )
    ),
    _Fork(((_Conv(192, 3, 2, "valid"),), (_Maximum(),))),
)
_INCEPTION_A = (
    _Fork(
        (
            (_Conv(96, 1),),
            (_Conv(64, 1), _Conv(96, 3)),
            (_Conv(64, 1), _Conv(96, 3), _Conv(96, 3)),
            (_Average(), _Conv(96, 1)),
        )
    ),
)
_REDUCTION_A = (
    _Fork(
        (
            (_Conv(384, 3, 2, "valid"),),
            (_Conv(192, 1), _Conv(224, 3), _Conv(256, 3, 2, "valid")),
            (_Maximum(),),
        )
    ),
)
_INCEPTION_B = (
    _Fork(
        (
            (_Conv(384, 1),),
            (_Conv(192, 1), _Conv(224, (1, 7)), _Conv(256, (7, 1))),
            (_Conv(192, 1), _Conv(192, (7, 1)), _Conv(224, (1, 7)), _Conv(224, (7, 1)), _Conv(256, (1, 7))),
            (_Average(), _Conv(128, 1)),
        )
    ),
)
_REDUCTION_B = (
    _Fork(
        (
            (_Conv(192, 1), _Conv(192, 3, 2, "valid")),
            (_Conv(256, 1), _Conv(256, (1, 7)), _Conv(320, (7, 1)), _Conv(320, 3, 2, "valid")),
            (_Maximum(),),
        )
    ),
)
_BOTH_WAYS = _Fork(((_Conv(256, (1, 3)),), (_Conv(256, (3, 1)),)))
_INCEPTION_C = (
    _Fork(
        (
            (_Conv(256, 1),),
            (_Conv(384, 1), _BOTH_WAYS),
            (_Conv(384, 1), _Conv(448, (3, 1)), _Conv(512, (1, 3)), _BOTH_WAYS),
            (_Average(), _Conv(256, 1)),
        )
    ),
)
#: Figure 9 of the paper: the blocks in order.
_BLOCKS = (
    ("stem", _STEM),
    *((f"inception_a{number}", _INCEPTION_A) for number in range(1, 5)),
    ("reduction_a", _REDUCTION_A),
    *((f"inception_b{number}", _INCEPTION_B) for number in range(1, 8)),
    ("reduction_b", _REDUCTION_B),
    *((f"inception_c{number}", _INCEPTION_C) for number in range(1, 4)),
)


def inception_v4(
    *,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: tuple[int, int, int] = (299, 299, 3),
    pooling: Literal["avg", "max"] | None = None,
    classes: int = 1001,
) -> keras.Model:
    """Builds the network with random weights; arguments as those of ``keras.applications``.

    With its top it ends in ``avg_pool``, ``dropout``, ``flatten`` and ``predictions``.

    Args:
        include_top: Whether it ends in a classifier of its own.
        weights: None only: keras.applications has no weights for it.
        input_shape: Height and width in pixels, at least 75 each, and channels. Its own size is 299 x 299, where the
            average pooling of 8 x 8 covers the whole map; at other sizes it covers the whole map as well.
        pooling: Without a top: how the last map becomes a vector; None keeps ``(n, height, width, 1536)``.
        classes: Units of the classifier; published weights have 1000 and one for the background.

    Raises:
        ValueError: Images are too small, or there are no such weights.
    """
    if weights is not None:
        raise ValueError(f"weights {weights!r}: there are none for inception_v4 in keras.applications")
    if min(input_shape[:2]) < SMALLEST:
        raise ValueError(f"Input size must be at least {SMALLEST}x{SMALLEST}; input_shape is {input_shape}")
    inputs = x = keras.Input(input_shape)
    for name, steps in _BLOCKS:
        x = _run(x, steps, name, count(1))
    if include_top:
        x = layers.AveragePooling2D(x.shape[1:3], name="avg_pool")(x)
        x = layers.Dropout(_DROPOUT, name="dropout")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    elif pooling is not None:
        pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        x = pool(name=f"{pooling}_pool")(x)
    return keras.Model(inputs, x, name="inception_v4")


def _run(x: Any, steps: tuple[_Step, ...], block: str, numbers: Iterator[int]) -> Any:
    """The steps one after the other; layers are numbered within their block in order of creation."""
    for step in steps:
        name = f"{block}_{next(numbers)}"
        if isinstance(step, _Conv):
            x = _convolve(x, step, name)
        elif isinstance(step, _Average):
            x = layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
        elif isinstance(step, _Maximum):
            x = layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x)
        else:
            branches = [_run(x, branch, block, numbers) for branch in step.branches]
            x = layers.Concatenate(name=f"{name}_concat")(branches)
    return x


def _convolve(x: Any, step: _Conv, name: str) -> Any:
    x = layers.Conv2D(
        step.filters,
        step.kernel,
        strides=step.strides,
        padding=step.padding,
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(_WEIGHT_DECAY),
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, scale=False, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
