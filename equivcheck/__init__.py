"""equivcheck explains why two ways of transfer learning give different accuracy curves.

Everything public is a name of this module. Each is imported when it is first asked for, so that ``import equivcheck``
costs nothing: a test run that merely has the package installed must not wait for what it does not use.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from equivcheck.assertion import assert_equivalent
    from equivcheck.callback import EquivalenceGuard
    from equivcheck.errors import (
        DivergenceError,
        DivergenceWarning,
        EquivcheckError,
        InconclusiveError,
        InputError,
        SpecError,
        UserCodeError,
    )
    from equivcheck.layer_diff import LayerDiff, diff_layers
    from equivcheck.pipeline import run
    from equivcheck.report.model import Report

__all__ = [
    "DivergenceError",
    "DivergenceWarning",
    "EquivalenceGuard",
    "EquivcheckError",
    "InconclusiveError",
    "InputError",
    "LayerDiff",
    "Report",
    "SpecError",
    "UserCodeError",
    "__version__",
    "assert_equivalent",
    "diff_layers",
    "run",
]

#: Public name -> the module that defines it. Must say the same as the imports above, which a test compares.
_HOMES = {
    "DivergenceError": "equivcheck.errors",
    "DivergenceWarning": "equivcheck.errors",
    "EquivalenceGuard": "equivcheck.callback",
    "EquivcheckError": "equivcheck.errors",
    "InconclusiveError": "equivcheck.errors",
    "InputError": "equivcheck.errors",
    "LayerDiff": "equivcheck.layer_diff",
    "Report": "equivcheck.report.model",
    "SpecError": "equivcheck.errors",
    "UserCodeError": "equivcheck.errors",
    "assert_equivalent": "equivcheck.assertion",
    "diff_layers": "equivcheck.layer_diff",
    "run": "equivcheck.pipeline",
}


# A type checker that saw __getattr__ would take every misspelt name for one of ours.
if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN202, ANN001
        """Imports a public name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415  (only where something is asked for)

        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
