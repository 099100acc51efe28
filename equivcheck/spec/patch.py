"""Spec patches: a repair, a fault and a counterfactual are all the same thing, a few dotted keys with new values."""

from __future__ import annotations

from copy import deepcopy
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from equivcheck.errors import InputError
from equivcheck.findings import Patch


def apply_patch(data: dict[str, Any], patch: Patch) -> dict[str, Any]:
    """The data with the patch applied; what was given stays as it was.

    Args:
        data: A spec's data as written.
        patch: Dotted key, with list items by number (``head.0.dense.units``), to new value. A mapping or list
            replaces what was there. None removes the key or item; the number after the last item appends one.

    Raises:
        InputError: A key goes through a list without the number of an item that is there.
    """
    patched = deepcopy(data)
    for key, value in patch.items():
        *parents, last = key.split(".")
        if (holder := _holder(patched, parents, key, create=value is not None)) is None:
            continue
        if isinstance(holder, list):
            _set_item(holder, _index(holder, last, key, len(holder)), value)
        elif value is None:
            holder.pop(last, None)
        else:
            holder[last] = deepcopy(value)
    return patched


def dump_patch(patch: Patch) -> str:
    """The patch as YAML to paste into a spec; what cannot be pasted is said in comments."""
    nested: dict[str, Any] = {}
    notes = []
    for key, value in patch.items():
        if value is None:
            notes.append(f"# remove {key}\n")
        elif any(part.isdigit() for part in key.split(".")):
            notes.append(f"# change {key} to {_dump(value).strip()}\n")
        else:
            nested = apply_patch(nested, {key: value})
    return (_dump(nested) if nested else "") + "".join(notes)


def _holder(data: dict[str, Any], parents: list[str], key: str, *, create: bool) -> Any:
    """The mapping or list that holds the last part of a key; None where there is none and none is wanted."""
    holder: Any = data
    for part in parents:
        place: Any = _index(holder, part, key, len(holder) - 1) if isinstance(holder, list) else part
        child = holder[place] if isinstance(holder, list) else holder.get(part)
        if not isinstance(child, dict | list):
            if not create:
                return None
            # A word such as `none` gives way to a mapping: that is what the patch is for.
            child = holder[place] = {}
        holder = child
    return holder


def _index(items: list[Any], part: str, key: str, last: int) -> int:
    if not (part.isdecimal() and part.isascii()) or int(part) > last:
        raise InputError(f"patch {key}: {part!r} is no item of a list of {len(items)}, counted from 0")
    return int(part)


def _set_item(items: list[Any], index: int, value: Any) -> None:
    if value is None:
        del items[index : index + 1]
    else:
        items[index : index + 1] = [deepcopy(value)]


def _dump(value: Any) -> str:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 120
    yaml.default_flow_style = None if isinstance(value, dict) else True
    text = StringIO()
    yaml.dump(value, text)
    return text.getvalue().removesuffix("...\n")
