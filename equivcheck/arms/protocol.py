"""What a function named in ``frozen: {callable: "module:function"}`` returns.

Any object with these attributes will do, a ``types.SimpleNamespace`` for instance::

    def frozen_arm():
        model = build_and_compile()
        return SimpleNamespace(
            model=model,
            train=(x_train, y_train),
            validation=(x_val, y_val),
            fit={"epochs": 10, "batch_size": 16},
        )

The function may be called more than once; each call must build everything afresh, because measuring takes a training
step and walks the iterators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import keras


class UserArm(Protocol):
    """One arm from the user's own code.

    Attributes:
        model: The compiled model that ``fit`` is called on: head on stored features, or backbone and head in one.
        train: What is passed to ``fit`` as data: ``(x, y)``, ``(x, y, sample_weight)``, a tf.data.Dataset, a
            keras.utils.PyDataset, or a generator that never ends with ``steps_per_epoch`` in ``fit``.
        validation: The same for ``validation_data``, or None.
        fit: All other arguments of ``fit``: epochs, batch_size, shuffle, steps_per_epoch, callbacks, ...
        backbone: Optional. For a bottleneck arm: the network whose ``predict`` gave the features.
        images: Optional. For a bottleneck arm: the array that ``backbone`` was given for the training samples, in the
            order of the stored features. Without it samples are known by their features only, as far as the frozen
            arm's network makes the same ones; that is enough to compare labels.
        validation_images: Optional. The same for the validation samples.
        preprocess_input: Optional. What the backbone's weights were trained with, from pixels in [0, 255]. Where the
            function itself loads ``weights="imagenet"`` of keras.applications, it is known.
    """

    model: keras.Model
    train: Any
    validation: Any
    fit: Mapping[str, Any]
