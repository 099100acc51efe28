"""Which faults can be planted together, so that each of them still shows: by rule, and by the physics of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from equivcheck.catalog import all_checks
from equivcheck.check import Fault
from equivcheck.findings import Patch

#: Codes of two faults of which the first leaves nothing of the second to be seen, and why.
MASKED: dict[tuple[str, str], str] = {
    ("EQ101", "EQ104"): "the shorter table that plants it is in mixed order",
    ("EQ502", "EQ703"): "heads of other shapes have no weights in common, so their updates cannot be compared",
}

#: Codes of two faults -> what they make together that neither makes alone, and why.
TOGETHER: dict[tuple[str, str], tuple[str, str]] = dict.fromkeys(
    (("EQ109", "EQ301"), ("EQ301", "EQ402"), ("EQ301", "EQ403")),
    ("EQ305", "before Keras 2.4 accuracy beside a binary cross-entropy was counted in another way"),
)
#: What an arm has that decides for it what other keys say: an arm from code about all of them, stored features about
#: whatever they were computed from.
_DECIDING = {"callable": ("",), "features": ("backbone", "preprocessing", "augmentation", "data")}

_ARMS = frozenset({"bottleneck", "frozen"})
_REQUIRES = {check.code: set(check.requires) for check in all_checks()}


def apart(first: Patch, second: Patch) -> bool:
    """Whether two patches leave each other's keys alone."""
    return not any(_meet(one, other) for one in first for other in second)


def agree(first: Patch, second: Patch) -> bool:
    """Whether two clean pipelines can be one: the same value for the same key is no conflict between them."""
    return not any(
        _meet(one, other) and (one, first[one]) != (other, second[other]) for one in first for other in second
    )


def fits(base: Patch, fault: Fault) -> bool:
    """Whether a fault can be planted on a base. What the base has already would be no fault on it."""
    return apart(base, fault.patch) and agree(base, fault.start)


def both_fit(one: Fault, other: Fault) -> bool:
    """Whether two faults can be planted in one pipeline."""
    return fits(one.start, other) and fits(other.start, one) and apart(one.patch, other.patch)


def _meet(one: str, other: str) -> bool:
    """Whether one of two keys says something about the other."""
    return _touch(_shared(one), _shared(other)) or _decides(one, other) or _decides(other, one)


def _decides(one: str, other: str) -> bool:
    """Whether the first leaves the second nothing to say in the arm that it belongs to."""
    arm, _, rest = one.partition(".")
    side, _, _ = other.partition(".")
    if arm not in _ARMS or (rest == "callable" and side != arm) or (side in _ARMS and side != arm):
        return False
    return any(_touch(key, _shared(other)) for key in _DECIDING.get(rest.partition(".")[0], ()))


def _shared(key: str) -> str:
    """The key without its arm: what one arm overrides, the shared key no longer decides."""
    arm, _, rest = key.partition(".")
    return rest if arm in _ARMS else key


def _touch(one: str, other: str) -> bool:
    """Whether one of two keys lies in the other; a whole arm (the empty key) holds everything."""
    return not one or not other or f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def why_not(codes: Iterable[str]) -> str | None:
    """Why these causes cannot be asked for together: one is a consequence of another, or hidden by it."""
    together = sorted(codes)
    for one in together:
        for other in together:
            if other in _REQUIRES.get(one, ()):
                return f"{one} counts as a consequence of {other}"
            if (reason := MASKED.get((one, other))) is not None:
                return f"{one} hides {other}: {reason}"
    return None


def brought(codes: Collection[str]) -> tuple[str, ...]:
    """Codes of errors that these faults rightly raise together beside their own."""
    return tuple(dict.fromkeys(code for pair, (code, _) in TOGETHER.items() if set(pair) <= set(codes)))
