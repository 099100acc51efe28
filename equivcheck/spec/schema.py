"""The JSON Schema of a spec file, for editors and CI, made from the models."""

from __future__ import annotations

from typing import Any

from equivcheck.spec import keras_names
from equivcheck.spec.model import ArmSpec, CodeArm, SpecFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "urn:equivcheck:spec:1"

#: Models whose keys may be divided between the shared part and an arm's section, so that none is required.
_DIVIDED = ("Backbone", "Data", "Optimizer", "Phase", "Preprocessing", "Source", "Training")


def spec_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a file as written."""
    generated = SpecFile.model_json_schema()
    definitions = {name: _shared(body) for name, body in generated["$defs"].items() if name != "LayerCall"}
    definitions |= {
        "HeadLayer": _layer("A Keras layer of the head.", keras_names.HEAD, {"dense": {"units": 2}}),
        "AugmentationLayer": _layer("A Keras layer on the images.", keras_names.AUGMENTATION, "random_flip"),
    }
    top = _shared(generated)["properties"]
    top["head"]["items"] = {"$ref": "#/$defs/HeadLayer"}
    top["preprocessing"] = {"anyOf": [{"const": "none"}, {"$ref": "#/$defs/Preprocessing"}]}
    layers = {"type": "array", "items": {"$ref": "#/$defs/AugmentationLayer"}}
    top["augmentation"] = {
        "description": top["augmentation"]["description"],
        "anyOf": [{"const": "none"}, layers],
    }
    top["observed"] = {"anyOf": [{"$ref": "#/$defs/Observed"}, {"type": "null"}]}
    top["what_if"]["type"] = ["array", "null"]
    for name in _DIVIDED:
        definitions[name].pop("required", None)
        definitions[f"{name}Override"] = _override(definitions[name])
    definitions["ArmOverride"] = {
        "type": "object",
        "description": "What differs in this arm. A null removes the shared key.",
        "properties": _override({"properties": {key: top[key] for key in ArmSpec.model_fields}})["properties"],
        "additionalProperties": False,
    }
    definitions["CodeArm"] = _shared(CodeArm.model_json_schema())
    arms = [{"$ref": "#/$defs/ArmOverride"}, {"$ref": "#/$defs/CodeArm"}, {"type": "null"}]
    for name in ("bottleneck", "frozen"):
        top[name] = {"description": top[name]["description"], "anyOf": arms}
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        "title": "equivcheck spec, version 1",
        "description": "One transfer-learning experiment. Keys under bottleneck and frozen override the shared ones.",
        "type": "object",
        "properties": {"version": top.pop("version"), "name": top.pop("name"), **top},
        "required": ["version"],
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _shared(node: Any) -> Any:
    """Without pydantic's titles, defaults of None and nulls: a shared key is there or it is not."""
    if isinstance(node, list):
        return [_shared(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: {name: _shared(body) for name, body in value.items()} if key == "properties" else _shared(value)
        for key, value in node.items()
        if not (key == "title" or (key == "default" and value is None) or (key == "format" and value == "path"))
    }
    if "anyOf" in kept:
        members = [member for member in kept.pop("anyOf") if member != {"type": "null"}]
        kept |= members[0] if len(members) == 1 else {"anyOf": members}
    return kept


def _override(node: dict[str, Any]) -> dict[str, Any]:
    """The same keys within an arm's section, where each may also be null, which removes the shared key."""
    properties = {}
    for name, body in node["properties"].items():
        described = {key: body[key] for key in ("description",) if key in body}
        properties[name] = {**described, "anyOf": [_to_overrides(body), {"type": "null"}]}
    return {**node, "properties": properties}


def _to_overrides(node: Any) -> Any:
    if isinstance(node, list):
        return [_to_overrides(item) for item in node]
    if not isinstance(node, dict):
        return node
    divided = {f"#/$defs/{name}": f"#/$defs/{name}Override" for name in _DIVIDED}
    if "patternProperties" in node:  # the phases, by name; a null removes one
        named = {pattern: {"anyOf": [body, {"type": "null"}]} for pattern, body in node["patternProperties"].items()}
        node = {**node, "patternProperties": named}
    return {
        key: divided.get(value, value) if key == "$ref" else _to_overrides(value)
        for key, value in node.items()
        if key not in {"default", "description"}
    }


def _layer(description: str, names: tuple[str, ...], example: object) -> dict[str, Any]:
    """``flatten`` or ``{dense: {units: 2}}``."""
    written = {
        "type": "object",
        "properties": {name: {"type": ["object", "null"]} for name in names},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"description": description, "anyOf": [{"enum": list(names)}, written], "examples": [example]}
