"""A spec's own text with a patch applied: comments, order and spelling of everything else stay."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from equivcheck.findings import Patch
from equivcheck.spec.document import Document
from equivcheck.spec.patch import apply_patch
from equivcheck.spec.reading import read_yaml

#: A list whose items stand further in than its key: the two ways to write one must not be turned into each other.
_INDENTED_LIST = re.compile(r"^\S[^\n]*:[ ]*\n +- ", re.MULTILINE)


def rewritten(document: Document, patch: Patch) -> str:
    """The text of the patched spec.

    Args:
        document: As read.
        patch: What to change.

    Returns:
        YAML that reads as exactly ``document.patched(patch)``. The comments are lost where the text shares parts by
        anchors, because a change there would change every place that shares it.
    """
    wanted = document.patched(patch).data
    yaml = _yaml(indented=_INDENTED_LIST.search(document.text) is not None)
    kept = _dumped(yaml, apply_patch(yaml.load(document.text), patch))
    return kept if read_yaml(kept).data == wanted else _dumped(_yaml(), wanted)


def _yaml(*, indented: bool = True) -> YAML:
    yaml = YAML(typ="rt", pure=True)
    if indented:
        yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.width = 120
    return yaml


def _dumped(yaml: YAML, data: Any) -> str:
    text = StringIO()
    yaml.dump(data, text)
    return text.getvalue()
