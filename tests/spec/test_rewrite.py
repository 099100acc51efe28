"""A patched spec as text: what was not patched stays as it was written."""

from __future__ import annotations

from equivcheck.spec import load
from equivcheck.spec.reading import read_yaml
from equivcheck.spec.rewrite import rewritten

TEXT = """\
# What this is about.
version: 1
data:
  train: {npz: a.npz}   # ours
  validation: {npz: a.npz}
  image_size: [8, 8]
backbone: {file: 'b.keras'}
head:
  - dense: {units: 2, activation: softmax}
training: {loss: sparse_categorical_crossentropy}
frozen:
  training: {shuffle: false}  # walks the folders
"""


def written(tmp_path, text):
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_only_the_patched_line_changes(tmp_path):
    document = written(tmp_path, TEXT)
    assert rewritten(document, {"frozen.training.shuffle": True}) == TEXT.replace(
        "false}", "true} "
    )  # comments keep their column


def test_a_new_key_and_a_removed_one(tmp_path):
    document = written(tmp_path, TEXT)
    patch = {"frozen.backbone.call": "inference", "frozen.training.shuffle": None}
    text = rewritten(document, patch)
    assert read_yaml(text).data == document.patched(patch).data
    assert text.startswith("# What this is about.\n")
    assert "# ours" in text


def test_a_change_to_one_place_that_shares_an_anchor_changes_only_that_one(tmp_path):
    text = TEXT.replace("{file: 'b.keras'}", "&net {file: 'b.keras'}") + "  backbone: *net\n"
    document = written(tmp_path, text)
    patch = {"frozen.backbone.call": "inference"}
    found = read_yaml(rewritten(document, patch)).data
    assert found == document.patched(patch).data
    assert "call" not in found["backbone"]
