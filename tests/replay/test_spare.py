"""Variables to work on: each serves one at a time, and none is made while one that fits is free."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def values():
    import tensorflow as tf

    return lambda start: [tf.constant([start, start]), tf.constant(int(start))]


def test_they_hold_what_is_given_and_serve_again(values):
    from equivcheck.replay.spare import Spare

    spare = Spare()
    with spare.variables(values(1.0)) as first:
        first[0].assign_add([5.0, 5.0])
    with spare.variables(values(2.0)) as second:
        assert [id(one) for one in second] == [id(one) for one in first]
        np.testing.assert_array_equal(second[0].numpy(), [2.0, 2.0])
        assert int(second[1]) == 2


def test_two_at_once_have_their_own(values):
    from equivcheck.replay.spare import Spare

    spare = Spare()
    with spare.variables(values(1.0)) as first, spare.variables(values(2.0)) as second:
        second[0].assign([9.0, 9.0])
        np.testing.assert_array_equal(first[0].numpy(), [1.0, 1.0])


def test_others_are_made_for_other_shapes_and_after_an_error(values):
    import tensorflow as tf

    from equivcheck.replay.spare import Spare

    spare = Spare()
    with pytest.raises(ZeroDivisionError), spare.variables(values(1.0)) as first:
        raise ZeroDivisionError
    with spare.variables([tf.zeros((3, 2))]) as other:
        assert other[0].shape == (3, 2)
    with spare.variables(values(4.0)) as again:
        assert again[0] is first[0]
        np.testing.assert_array_equal(again[0].numpy(), [4.0, 4.0])
