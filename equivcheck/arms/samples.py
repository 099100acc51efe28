"""Raw samples of one split: pixels, labels and an id for each, from a folder, an archive, a table or a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from equivcheck.arms.resize import resized
from equivcheck.arms.user_code import call_user_function
from equivcheck.errors import InputError
from equivcheck.spec.model import Data, Source
from equivcheck.spec.paths import IMAGE_SUFFIXES


@dataclass(frozen=True, slots=True)
class Samples:
    """One split as it lies on disk, before any preprocessing.

    Attributes:
        ids: One name per sample, such as ``five/0003.png``; the same sample has the same id in both arms.
        pixels: ``(n, height, width, channels)``, values in [0, 255].
        labels: ``(n,)`` class index of each sample, into ``classes``.
        classes: Class names in index order.
    """

    ids: tuple[str, ...]
    pixels: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def load_samples(source: Source, data: Data, *, folder: Path, classes: Sequence[str] | None = None) -> Samples:
    """Reads one split.

    Args:
        source: Where it comes from.
        data: Image size, channels and class names shared by both splits.
        folder: Folder of the spec, from which a callable's module is imported.
        classes: Class names that the training split has, for a split that names none of its own.

    Returns:
        The samples: of a folder sorted by class and file name, else in the order of the source.

    Raises:
        InputError: Something cannot be read; the message names the file.
    """
    names = source.classes or data.classes or classes
    if source.directory is not None:
        return _from_directory(source.directory, data, names)
    if source.csv is not None:
        return _from_csv(source, data, names)
    if source.npz is not None:
        images, labels = _arrays_of_npz(source)
        return _from_arrays(images, labels, data, names, origin=str(source.npz))
    assert source.callable is not None
    returned = call_user_function(source.callable, folder=folder)
    try:
        images, labels = (np.asarray(array) for array in returned)
    except (TypeError, ValueError):
        raise InputError(
            f"{source.callable} returned {type(returned).__name__}; expected a pair of arrays (images, labels)"
        ) from None
    return _from_arrays(images, labels, data, names, origin=source.callable)


def _from_directory(directory: Path, data: Data, classes: Sequence[str] | None) -> Samples:
    names = list(
        classes
        or sorted(
            # Hidden folders (.ipynb_checkpoints) are no classes, as in Keras.
            child.name
            for child in directory.iterdir()
            if child.is_dir() and not child.name.startswith(".")
        )
    )
    files: list[tuple[str, Path]] = []
    # In the order of the folders, whatever index a class is given: renumbering classes must not reorder samples.
    for name in sorted(names):
        if not (directory / name).is_dir():
            raise InputError(f"{directory}: no folder for class {name!r}")
        images = sorted(path for path in (directory / name).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise InputError(f"{directory / name}: no images in this class folder")
        files += [(name, path) for path in images]
    return _from_files(
        [path for _, path in files],
        [name for name, _ in files],
        [path.relative_to(directory).as_posix() for _, path in files],
        data,
        names,
        origin=str(directory),
    )


def _from_csv(source: Source, data: Data, classes: Sequence[str] | None) -> Samples:
    import pandas as pd  # noqa: PLC0415  (heavy; only csv data needs it)

    assert source.csv is not None
    try:
        table = pd.read_csv(source.csv, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{source.csv}: cannot be read as a table: {error}") from None
    image, label = source.image or "image", source.label or "label"
    for column in (image, label):
        if column not in table.columns:
            raise InputError(f"{source.csv}: no column {column!r}; it has {', '.join(map(repr, table.columns))}")
    if table.empty:
        raise InputError(f"{source.csv}: holds no rows")
    given = [str(value) for value in table[label]]
    paths = [source.csv.parent / str(value) for value in table[image]]
    for line, path in enumerate(paths, start=2):
        if not path.is_file():
            raise InputError(f"{source.csv}:{line}: {path}: no such image")
    ids = [str(value) for value in table[image]]
    return _from_files(paths, given, ids, data, classes, origin=str(source.csv))


def _from_files(
    paths: Sequence[Path],
    given: Sequence[str],
    ids: Sequence[str],
    data: Data,
    classes: Sequence[str] | None,
    *,
    origin: str,
) -> Samples:
    # Pillow rounds to whole grey levels where it resizes; TensorFlow does not.
    kind = np.uint8 if data.resize.antialias or data.resize.interpolation == "nearest" else np.float32
    pixels = np.empty((len(paths), *data.image_size, data.channels), kind)
    for row, path in enumerate(paths):
        pixels[row] = _read_image(path, data)
    labels, names = _index(given, classes, origin)
    return Samples(tuple(ids), pixels, labels, names)


def _read_image(path: Path, data: Data) -> npt.NDArray[Any]:
    """One image as ``(height, width, channels)``, brought to size as the spec says."""
    try:
        with Image.open(path) as image:
            converted = _eight_bits(image).convert("RGB" if data.channels == 3 else "L")  # noqa: PLR2004
            pixels = np.asarray(converted, np.uint8).reshape(converted.height, converted.width, data.channels)
        return resized(pixels, data.image_size, data.resize)
    except Exception as error:  # noqa: BLE001  (decoders of broken images raise whatever they stumble over)
        raise InputError(f"{path}: cannot be read as an image: {error}") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Of 16 bits the high byte, as TensorFlow's decoder keeps it; Pillow would clip them to 255, all white."""
    if image.mode in {"I", "F"}:
        raise ValueError("its pixels have 32 bits; expected 8 or 16 a channel")
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I;16") else image


def _arrays_of_npz(source: Source) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    assert source.npz is not None
    image, label = source.image or "x", source.label or "y"
    # Opened here, because np.load leaves open what it fails on. Object arrays are pickles, and unpickling runs code:
    # never allowed.
    with _reading_npz(source.npz), source.npz.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{source.npz}: is a single array, not an npz archive")
        for name in (image, label):
            if name not in archive.files:
                raise InputError(f"{source.npz}: no array {name!r}; it has {', '.join(map(repr, archive.files))}")
        return np.asarray(archive[image]), np.asarray(archive[label])


@contextmanager
def _reading_npz(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file)
        # NumPy takes any file that it does not know for a pickle; only this message is about what it did find.
        if "Object arrays" in str(error):
            raise InputError(f"{path}: holds an object array, which is never unpickled; save plain arrays") from None
        reason = "it is none" if "pickle" in str(error) else str(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read as an npz archive: {reason}") from None


def _from_arrays(
    images: npt.NDArray[Any], labels: npt.NDArray[Any], data: Data, classes: Sequence[str] | None, *, origin: str
) -> Samples:
    if images.ndim == 3:  # noqa: PLR2004  (grey images without a channel axis)
        images = images[..., None]
    if images.ndim != 4 or not np.issubdtype(images.dtype, np.number):  # noqa: PLR2004
        raise InputError(
            f"{origin}: images have shape {images.shape} and type {images.dtype}; expected numbers (n, h, w, c)"
        )
    if labels.ndim not in {1, 2}:
        raise InputError(f"{origin}: labels have shape {labels.shape}; expected (n,), (n, 1) or one-hot (n, classes)")
    if len(images) != len(labels) or len(images) == 0:
        raise InputError(f"{origin}: {len(images)} images but {len(labels)} labels")
    if not np.isfinite(images).all():
        bad = int(np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))[0])
        raise InputError(f"{origin}: image {bad} holds NaN or infinite values")
    if images.shape[-1] == 1 and data.channels == 3:  # noqa: PLR2004
        images = np.repeat(images, 3, axis=-1)
    if images.shape[-1] != data.channels:
        raise InputError(f"{origin}: images have {images.shape[-1]} channels; the spec says {data.channels}")
    pixels = _resize_all(images, data)
    index, names = _index(*_named(labels, classes, origin), origin)
    return Samples(tuple(f"[{row}]" for row in range(len(pixels))), pixels, index, names)


def _resize_all(images: npt.NDArray[Any], data: Data) -> npt.NDArray[Any]:
    if images.shape[1:3] == data.image_size:
        return images
    changed = np.empty((len(images), *data.image_size, images.shape[-1]), np.float32)
    for row, image in enumerate(images):
        changed[row] = resized(image.astype(np.float32), data.image_size, data.resize)
    return changed


def _named(
    labels: npt.NDArray[Any], classes: Sequence[str] | None, origin: str
) -> tuple[list[str], Sequence[str] | None]:
    """Labels of an array as class names; numbers that are no names count the classes in index order."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "O":  # a column of pandas
        labels = labels.astype(str)
    if labels.dtype.kind in "bf":
        if not np.isfinite(labels).all() or (labels % 1 != 0).any():
            raise InputError(f"{origin}: labels are neither whole numbers nor names")
        labels = labels.astype(np.int64)
    columns = labels.shape[1] if labels.ndim == 2 else 1  # noqa: PLR2004
    if columns > 1:
        if labels.dtype.kind not in "iu" or labels.min() < 0 or (np.abs(labels).sum(axis=1) != 1).any():
            raise InputError(f"{origin}: labels have shape {labels.shape} but are not one-hot")
        classes = classes or [str(index) for index in range(columns)]
        if len(classes) != columns:
            raise InputError(f"{origin}: one-hot labels of {columns} columns; the classes are {', '.join(classes)}")
        return [classes[index] for index in labels.argmax(axis=1)], classes
    given = labels.reshape(len(labels))
    names = [str(value) for value in given]
    if classes and given.dtype.kind in "iu" and not set(names) & set(classes):
        names = [classes[index] if 0 <= index < len(classes) else str(index) for index in given]
    return names, classes


def _index(
    given: Sequence[str], classes: Sequence[str] | None, origin: str
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    names = tuple(classes) if classes else tuple(sorted(set(given), key=_natural(given)))
    if len(names) < 2:  # noqa: PLR2004
        raise InputError(f"{origin}: only one class ({', '.join(names)}); a classifier needs at least two")
    position = {name: index for index, name in enumerate(names)}
    unknown = sorted(set(given) - set(position))
    if unknown:
        raise InputError(f"{origin}: label {unknown[0]!r} is not one of the classes {', '.join(names)}")
    return np.array([position[name] for name in given], np.int64), names


def _natural(given: Sequence[str]) -> Callable[[str], Any]:
    """Numbers sort by value, names by letter: '2' before '10' only where all labels are numbers."""
    numbers = all(re.fullmatch("-?[0-9]+", name) for name in given)
    # The text decides between '1' and '01', which are two classes.
    return (lambda name: (int(name), name)) if numbers else str
