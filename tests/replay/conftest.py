"""What the tests of replays share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def assert_as_fit(tensorflow):
    """Trains two equal arms, one by ``fit`` and one compiled, and compares all that can be seen.

    The compiled one first on variables of its own, asked for twice at once, which leaves no trace.
    """

    def compare(one, other, why=None):
        """Trains the first of two equal arms by ``fit`` and the second compiled."""
        from equivcheck.replay.rehearse import Rehearsals
        from equivcheck.replay.training import begin, train, train_by_fit
        from equivcheck.trace.state import variables_of

        rehearsals = Rehearsals()
        begun = [begin(other, lambda *_: None, evidence=None, rehearsals=rehearsals, folder=None) for _ in range(2)]
        aside = [wait() for wait in begun]
        slow, quick = train_by_fit(one, lambda *_: None), train(other, lambda *_: None, rehearsals=rehearsals)
        assert (quick.how, slow.how) == ("compiled", "fit"), quick.why
        if why is not None:
            assert quick.why == why
        assert repr(quick.curves) == repr(slow.curves)  # NaN as well
        assert {repr(curves) for curves in aside} == {repr(slow.curves)}
        theirs, ours = (variables_of(arm.model) for arm in (one, other))
        assert len(theirs) == len(ours)
        for mine, yours in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine.numpy(), yours.numpy())
        return quick

    return compare
