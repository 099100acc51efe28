"""The JSON Schema and the template, both of which users copy."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from equivcheck.errors import SpecError
from equivcheck.spec import check_paths, load, resolve, spec_schema, template
from equivcheck.spec.reading import read_yaml

OVERRIDES = """\
bottleneck:
  labels: sparse
  training: {optimizer: {name: adam, clipnorm: null}, loss: null}
  augmentation: [random_flip, {random_rotation: {factor: 0.1}}]
  backbone: {application: null, file: x.keras, freeze: {layers: ":-2"}, trained_with: {application: vgg16}}
frozen: {callable: "train:frozen"}
observed: {frozen: x.log}
"""


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(spec_schema())


def test_the_committed_copy_is_fresh():
    """``equivcheck schema spec > equivcheck/spec/spec.schema.json`` renews it."""
    committed = files("equivcheck.spec").joinpath("spec.schema.json").read_text(encoding="utf-8")
    assert committed == json.dumps(spec_schema(), indent=2) + "\n"


def test_it_is_a_schema_and_refers_to_nothing_that_is_not_there(validator):
    schema = spec_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:equivcheck:spec:1"
    references = {part.split('"')[0] for part in json.dumps(schema).split('"#/$defs/')[1:]}
    assert references == set(schema["$defs"])


def test_valid_specs_conform(validator, valid):
    for text in (valid, valid + OVERRIDES, template()):
        validator.validate(read_yaml(text).data)


@pytest.mark.parametrize(
    "spec", sorted(Path(__file__).parents[2].glob("fixtures/**/*.yaml")), ids=lambda path: path.name
)
def test_specs_of_the_fixtures_conform(validator, spec):
    validator.validate(read_yaml(spec.read_text(encoding="utf-8")).data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("version: 1", ""),
        ("name: tiny", "nmae: tiny"),
        ("one_hot", "onehot"),
        ("- flatten", "- flaten"),
        ("- flatten", "- {dense: {}, flatten: {}}"),
        ("[8, 9]", "[8]"),
        ("name: sgd", "name: SGD"),
        ("weights: none", "freeze: {layers: x}"),
        ("one_hot", "one_hot\nfrozen: {lables: sparse}"),
        ("one_hot", "one_hot\nfrozen: {training: {lss: hinge}}"),
        ("one_hot", "one_hot\nfrozen: {callable: 'a:b', labels: sparse}"),
    ],
)
def test_it_refuses_what_load_refuses(validator, write, valid, old, new):
    text = valid.replace(old, new, 1)
    assert not validator.is_valid(read_yaml(text).data)
    with pytest.raises(SpecError):
        load(write(text))


def test_every_key_is_described():
    """An editor shows the description; a key without one is a riddle."""
    schema = spec_schema()
    bare = {
        f"{name}.{key}"
        for name, body in schema["$defs"].items()
        if not name.endswith(("Override", "Layer"))
        for key, described in body.get("properties", {}).items()
        if "description" not in described and "$ref" not in described
    }
    assert bare == {"Observed.bottleneck", "Observed.frozen"}


def test_the_template_is_valid_but_for_images_that_only_the_user_has(write):
    experiment = resolve(load(write(template())))
    assert [problem.key for problem in check_paths(experiment)] == ["data.train.directory", "data.validation.directory"]
    for folder in ("train/a", "train/b", "validation/a", "validation/b"):
        path = Path("images", folder)
        path.mkdir(parents=True)
        (path / "1.png").touch()
    assert check_paths(experiment) == []


def test_what_the_template_has_commented_out_is_valid_too(write):
    """People start by removing a comment sign."""
    text = re.sub(
        r"^(  )?# ((?:  )?(?:cut|call|freeze|drop_remainder|bottleneck|labels|training|frozen|observed): ?)",
        r"\1\2",
        template(),
        flags=re.MULTILINE,
    )
    text = re.sub(r"^#   (keras_semantics|labels|training|bottleneck|frozen):", r"  \1:", text, flags=re.MULTILINE)
    text = text.replace('frozen: {callable: "train:frozen_arm"}\n', "")
    data = load(write(text)).data
    assert data["backbone"].keys() == {"application", "weights", "cut", "call", "freeze"}
    assert data["frozen"] == {"training": {"shuffle": False}, "keras_semantics": "2.1"}
    assert data["bottleneck"].keys() == {"labels", "training"}
    assert data["observed"].keys() == {"bottleneck", "frozen"}
