"""The whole of ``fit`` on arrays as one compiled graph: every epoch, every step, every validation.

The steps are the model's own ``train_step`` and ``test_step``, so whatever they mean in Keras they mean here. What is
left out is what ``fit`` does around them: pulling batches, callbacks, and leaving the graph after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.graph import RefusedError, captured, refuse_unrepeatable
from equivcheck.replay.patience import portions
from equivcheck.replay.spare import Spare
from equivcheck.trace.memory import raw
from equivcheck.trace.state import variables_of

#: Runs one step of the model on a batch; ``training`` chooses between ``train_step`` and ``test_step``.
Step = Callable[[tuple[Any, ...], bool], Any]
#: Is told an epoch's number, from 0, and its logs; whether training ends there.
Ended = Callable[[int, dict[str, float]], bool]


@dataclass(frozen=True, slots=True)
class Tables:
    """All that a training is fed, in memory.

    Attributes:
        train: ``(x, y)`` or ``(x, y, sample_weight)`` as ``fit`` hands them on, all rows.
        order: ``(passes, rows)`` row numbers; epoch ``e`` takes pass ``e`` modulo ``passes``.
        batch_size: Rows a step.
        validation: As ``train``; None where there is none.
        validation_order: As ``order``; None for all rows as they stand.
        validation_batch_size: Rows a step of validation.
    """

    train: tuple[tf.Tensor, ...]
    order: npt.NDArray[np.int64]
    batch_size: int
    validation: tuple[tf.Tensor, ...] | None
    validation_order: npt.NDArray[np.int64] | None
    validation_batch_size: int

    @property
    def specification(self) -> tuple[Any, ...]:
        """What the graph depends on; the number of rows is not among it.

        A batch has a known size in a graph of ``fit`` only if all have the same, and a loss divides by a constant
        then, which rounds differently.
        """
        return (
            tuple((tensor.dtype.name, tuple(tensor.shape[1:])) for tensor in self.train),
            _static(self.order.shape[1], self.batch_size),
            self.validation and tuple((tensor.dtype.name, tuple(tensor.shape[1:])) for tensor in self.validation),
            self.validation and _static(self._evaluated, self.validation_batch_size),
            self.validation_order is not None,
        )

    @property
    def arrays(self) -> tuple[Any, ...]:
        """All that it holds: with the sizes of batches, what decides a training that is fed it."""
        orders = (order for order in (self.order, self.validation_order) if order is not None)
        return (*orders, *self.train, *(self.validation or ()))

    @property
    def _evaluated(self) -> int:
        """Rows that one evaluation takes."""
        return self.validated if self.validation_order is None else int(self.validation_order.shape[1])

    @property
    def validated(self) -> int:
        """Rows that all evaluations take that are not the first ones again."""
        if self.validation_order is not None:
            return self.validation_order.size
        return 0 if self.validation is None else int(self.validation[0].shape[0])


def _static(rows: int, batch_size: int) -> int | None:
    return batch_size if rows % batch_size == 0 else None


class Rehearsal:
    """A traced training, which other models of the same making can use as well.

    Attributes:
        names: The curves, in the order of the columns that ``run`` returns.
        state: The variables of the model that was traced, as given.
        spare: Others to train in their place.
    """

    def __init__(self, model: keras.Model, tables: Tables, step: Step, state: Sequence[Any] | None = None) -> None:
        """Traces the training; no variable changes.

        Args:
            model: Compiled and built, its optimizer and metrics too.
            tables: What it is fed first; other tables of the same specification may follow.
            step: Runs its steps.
            state: All variables that the training works on, in an order that a model of the same making has too; None
                for all variables of the model.

        Raises:
            RefusedError: The graph cannot be sure to do what ``fit`` does.
        """
        self.names: tuple[str, ...] = ()
        self.state = list(variables_of(model) if state is None else state)
        self._model, self._step = model, step
        _, self._size, _, self._validation_size, ordered = tables.specification
        # Not through autograph, as Keras traces its own steps.
        function = tf.function(self._epochs, autograph=False)
        self._run = function.get_concrete_function(
            *(_specs(table) for table in (tables.train, tables.validation)),
            tf.TensorSpec((None, None), tf.int64),
            tf.TensorSpec((None, None), tf.int64) if ordered else None,
            *(tf.TensorSpec((), tf.int32) for _ in range(4)),
        )
        refuse_unrepeatable(self._run)
        self._places = captured(self._run, self.state)
        self.spare = Spare()

    def run(
        self,
        tables: Tables,
        epochs: int,
        progress: Callable[[int, int], None],
        state: Sequence[Any] | None = None,
        ended: Ended | None = None,
    ) -> npt.NDArray[np.float64]:
        """Trains.

        Args:
            tables: What to train on, of the specification that was traced.
            epochs: How many.
            progress: Told of epochs done, at least at the end.
            state: The variables to train, in the order of the traced model's; None for the traced model itself.
            ended: Is asked behind each epoch, with its number and its logs, whether that was the last.

        Returns:
            ``(epochs, curves)``.
        """
        handles = [raw(variable).handle for variable in (self.state if state is None else state)]
        worked_on = [
            given if place is None else handles[place]
            for place, given in zip(self._places, self._run.captured_inputs, strict=True)
        ]
        fed = [*tables.train, *(tables.validation or ())]
        fed += [tf.constant(one) for one in (tables.order, tables.validation_order) if one is not None]
        sizes = tables.batch_size, tables.validation_batch_size
        # Leaves the graph now and then, so that somebody may be told, or stop it.
        parts: list[npt.NDArray[np.float64]] = []
        for done, count in portions(epochs) if ended is None else ((epoch, 1) for epoch in range(epochs)):
            numbers = map(tf.constant, (done, count, *sizes))
            # That a graph may work on other variables of the same types has no public name.
            parts.append(self._run._call_flat([*fed, *numbers], worked_on).numpy())  # noqa: SLF001
            progress(done + count, epochs)
            if ended is not None and ended(done, dict(zip(self.names, map(float, parts[-1][-1]), strict=True))):
                break
        return np.concatenate(parts)

    def _epochs(
        self,
        train: Any,
        validation: Any,
        order: Any,
        validation_order: Any,
        first: Any,
        count: Any,
        size: Any,
        validation_size: Any,
    ) -> tf.Tensor:
        rows = tf.shape(order)[1]

        def epoch(number: Any, curves: tf.TensorArray) -> tuple[Any, tf.TensorArray]:
            taken = _pass_of(order, first + number)

            def batch(start: Any) -> tuple[Any, ...]:
                chosen = taken[start : tf.minimum(start + size, rows)]
                chosen.set_shape([self._size])
                return tuple(tf.gather(table, chosen) for table in train)

            logs = self._pass(rows, size, batch, training=True)
            if validation is not None:
                table = validation
                if validation_order is not None:
                    chosen = _pass_of(validation_order, first + number)
                    table = tuple(tf.gather(part, chosen) for part in validation)
                logs |= {f"val_{name}": value for name, value in self._validate(table, validation_size).items()}
            self.names = tuple(sorted(logs))  # as fit's history has them
            point = [tf.cast(logs[name], tf.float64) for name in self.names]
            return number + 1, curves.write(number, tf.stack(point))

        # The names are known once the loop has been traced; the array takes its shape from what is written.
        _, curves = tf.while_loop(
            lambda number, _: number < count,
            epoch,
            (0, tf.TensorArray(tf.float64, count, infer_shape=True)),
            parallel_iterations=1,
        )
        stacked: tf.Tensor = curves.stack()
        return stacked

    def _validate(self, table: Any, size: Any) -> dict[str, Any]:
        rows = tf.shape(table[0])[0]

        def batch(start: Any) -> tuple[Any, ...]:
            parts = tuple(part[start : tf.minimum(start + size, rows)] for part in table)
            for part in parts:
                part.set_shape([self._validation_size, *part.shape[1:]])
            return parts

        return self._pass(rows, size, batch, training=False)

    def _pass(self, rows: Any, size: Any, batch: Callable[[Any], tuple[Any, ...]], *, training: bool) -> dict[str, Any]:
        """One pass through the data; what the metrics say then."""
        given: set[str] = set()

        def step(start: Any) -> Any:
            logs = self._step(batch(start), training)
            given.update(logs if isinstance(logs, dict) else ())
            return start + size

        self._model.reset_metrics()
        tf.while_loop(lambda start: start < rows, step, (0,), parallel_iterations=1)
        logs = dict(self._model.get_metrics_result())
        if given != set(logs):  # fit then shows what the last step returned
            raise RefusedError("its steps return something else than its metrics")
        if any(value.shape.rank != 0 for value in map(tf.convert_to_tensor, logs.values())):
            raise RefusedError("one of its metrics is no number")
        return logs


def own_step(model: keras.Model) -> Step:
    """The model's own steps on what the tables hold."""
    return lambda data, training: model.train_step(data) if training else model.test_step(data)


def _pass_of(order: Any, epoch: Any) -> Any:
    return order[epoch % tf.shape(order)[0]]


def _specs(table: tuple[tf.Tensor, ...] | None) -> tuple[tf.TensorSpec, ...] | None:
    if table is None:
        return None
    return tuple(tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in table)
