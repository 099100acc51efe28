"""YAML to ``Experiment``: read, check, merge, resolve; and patches. Nothing here imports Keras or runs user code."""

from importlib.resources import files

from equivcheck.findings import Patch
from equivcheck.spec.document import Document
from equivcheck.spec.experiment import Experiment, Recording
from equivcheck.spec.model import Advice, ArmSpec, CodeArm, Observed, Phase
from equivcheck.spec.patch import apply_patch, dump_patch
from equivcheck.spec.paths import check_paths
from equivcheck.spec.resolve import load, recording, resolve
from equivcheck.spec.schema import spec_schema

__all__ = [
    "Advice",
    "ArmSpec",
    "CodeArm",
    "Document",
    "Experiment",
    "Observed",
    "Patch",
    "Phase",
    "Recording",
    "apply_patch",
    "check_paths",
    "dump_patch",
    "load",
    "recording",
    "resolve",
    "spec_schema",
    "template",
]


def template() -> str:
    """A commented spec to start from."""
    return files("equivcheck.spec").joinpath("template.yaml").read_text(encoding="utf-8")
