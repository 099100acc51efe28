"""What the tests of arms from the user's own code share."""

from __future__ import annotations

import itertools

import pytest


@pytest.fixture(scope="module")
def code_spec(tmp_path_factory):
    """Writes a module with two functions, each of which returns an expression, and a spec whose arms they are.

    Modules have names of their own, because Python keeps what it has imported.
    """
    folder, numbers = tmp_path_factory.mktemp("code"), itertools.count()

    def write(name, code, bottleneck, frozen):
        module = f"{name}_{next(numbers)}"
        functions = f"def left():\n    return {bottleneck}\n\n\ndef right():\n    return {frozen}\n"
        (folder / f"{module}.py").write_text(f"{code}\n\n\n{functions}", encoding="utf-8")
        spec = folder / f"{module}.yaml"
        spec.write_text(
            f'version: 1\nbottleneck: {{callable: "{module}:left"}}\nfrozen: {{callable: "{module}:right"}}\n',
            encoding="utf-8",
        )
        return spec

    return write


@pytest.fixture(scope="module")
def probed_code(tensorflow, code_spec):
    """Measures both arms of such a spec."""
    from equivcheck.arms.build import Builder
    from equivcheck.catalog import all_checks
    from equivcheck.laboratory import Laboratory
    from equivcheck.spec import load, resolve

    def measure(*arms):
        experiment = resolve(load(code_spec(*arms)))
        return Laboratory(all_checks(), Builder(experiment), lambda *_: None).probe(experiment)

    return measure
