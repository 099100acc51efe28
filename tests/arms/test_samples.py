"""Raw samples of one split, from a folder, an archive, a table or a function."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from equivcheck.arms.samples import load_samples
from equivcheck.errors import InputError
from equivcheck.spec.model import Data, Source


def picture(path, colour, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def read(tmp_path):
    """Samples of a source; ``data`` holds what both splits share."""

    def of(source, of_training=None, **data):
        (kind,) = source.keys() & {"directory", "npz", "csv", "callable"}
        if kind != "callable":
            source = {**source, kind: tmp_path / source[kind]}
        shared = {"image_size": (8, 8), "train": source, "validation": source, **data}
        parsed = Data.model_validate(shared)
        return load_samples(Source.model_validate(source), parsed, folder=tmp_path, classes=of_training)

    return of


@pytest.fixture
def npz(tmp_path, read):
    """Samples of an archive with these arrays."""

    def of(x, y, **data):
        np.savez(tmp_path / "data.npz", x=x, y=y)
        return read({"npz": "data.npz"}, **data)

    return of


@pytest.fixture
def returned(read, monkeypatch):
    """Samples of a function that returns a value."""

    def of(value, **data):
        module = ModuleType("made_up_data")
        module.load = lambda: value
        monkeypatch.setitem(sys.modules, "made_up_data", module)
        return read({"callable": "made_up_data:load"}, **data)

    return of


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)


# --- folders ---


def test_a_folder_is_sorted_by_class_and_file(tmp_path, read):
    for index, name in enumerate(("dog/b", "dog/a", "cat/2", "cat/10", "cat/deep/1")):
        picture(tmp_path / "d" / f"{name}.png", (index, 0, 0))
    samples = read({"directory": "d"})
    assert samples.ids == ("cat/10.png", "cat/2.png", "cat/deep/1.png", "dog/a.png", "dog/b.png")
    assert samples.labels.tolist() == [0, 0, 0, 1, 1]
    assert samples.classes == ("cat", "dog")
    assert samples.pixels[:, 0, 0, 0].tolist() == [3, 2, 4, 1, 0]
    assert (samples.pixels.dtype, samples.pixels.shape, len(samples)) == (np.uint8, (5, 8, 8, 3), 5)


def test_hidden_folders_and_other_files_are_no_samples(tmp_path, read):
    for name in ("cat/1.png", "dog/1.JPEG", ".ipynb_checkpoints/1.png"):
        picture(tmp_path / "d" / name, 0)
    (tmp_path / "d" / "cat" / "notes.txt").touch()
    (tmp_path / "d" / "Thumbs.db").touch()
    assert read({"directory": "d"}).ids == ("cat/1.png", "dog/1.JPEG")


@pytest.mark.parametrize("place", ["source", "data", "training split"])
def test_given_classes_number_the_classes_but_do_not_reorder_the_samples(tmp_path, read, place):
    """What differs between two readers is then the class map alone."""
    for index, name in enumerate(("five", "six", "seven")):
        picture(tmp_path / "d" / name / "1.png", (index, 0, 0))
    names = ["seven", "five", "six"]
    source = {"directory": "d"} | ({"classes": names} if place == "source" else {})
    samples = read(
        source, names if place == "training split" else None, **({"classes": names} if place == "data" else {})
    )
    assert samples.ids == ("five/1.png", "seven/1.png", "six/1.png")
    assert samples.classes == ("seven", "five", "six")
    assert samples.labels.tolist() == [1, 0, 2]


def test_the_split_that_names_its_classes_wins(tmp_path, read):
    for name in ("cat", "dog"):
        picture(tmp_path / "d" / name / "1.png", 0)
    assert read({"directory": "d", "classes": ["dog", "cat"]}, ["cat", "dog"], classes=["cat", "dog"]).classes == (
        "dog",
        "cat",
    )


def test_class_folders_sort_as_text_as_in_keras(tmp_path, read):
    for name in ("1", "2", "10"):
        picture(tmp_path / "d" / name / "1.png", 0)
    assert read({"directory": "d"}).classes == ("1", "10", "2")


def test_folders_that_are_not_named_are_left_out(tmp_path, read):
    for name in ("cat", "dog", "cow"):
        picture(tmp_path / "d" / name / "1.png", 0)
    assert read({"directory": "d"}, classes=["dog", "cat"]).ids == ("cat/1.png", "dog/1.png")


@pytest.mark.parametrize(
    ("present", "classes", "message"),
    [
        (("cat", "dog"), ["cat", "cow"], "no folder for class 'cow'"),
        (("cat",), None, "only one class (cat); a classifier needs at least two"),
    ],
)
def test_folders_that_do_not_do(tmp_path, read, present, classes, message):
    for name in present:
        picture(tmp_path / "d" / name / "1.png", 0)
    with pytest.raises(InputError) as raised:
        read({"directory": "d"}, classes)
    assert str(raised.value) == f"{tmp_path / 'd'}: {message}"


def test_an_empty_class_folder(tmp_path, read):
    picture(tmp_path / "d" / "cat" / "1.png", 0)
    (tmp_path / "d" / "dog").mkdir()
    with pytest.raises(InputError, match=r"/d/dog: no images in this class folder$"):
        read({"directory": "d"})


# --- images ---


@pytest.mark.parametrize(("channels", "mode"), [(3, "L"), (3, "RGBA"), (3, "P"), (1, "RGB"), (1, "LA")])
def test_colours_are_converted(tmp_path, read, channels, mode):
    picture(tmp_path / "d/a/1.png", 0, mode=mode)
    picture(tmp_path / "d/b/1.png", 0, mode=mode)
    samples = read({"directory": "d"}, channels=channels)
    assert samples.pixels.shape == (2, 8, 8, channels)
    assert not samples.pixels.any()


def test_images_are_resized_height_first_as_pillow_does(tmp_path, read):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "d" / name / "1.png")
    samples = read({"directory": "d"}, image_size=(6, 9))
    expected = Image.fromarray(pixels).resize((9, 6), Image.Resampling.BILINEAR)
    assert samples.pixels.shape == (2, 6, 9, 3)
    np.testing.assert_array_equal(samples.pixels[0], np.asarray(expected))


def test_an_image_of_the_right_size_is_not_touched(tmp_path, read):
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.fromarray(IMAGES[0]).save(tmp_path / "d" / name / "1.png")
    np.testing.assert_array_equal(read({"directory": "d"}).pixels[0], IMAGES[0])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path, read):
    """X-rays come so; Pillow by itself turns all of them white."""
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "d" / name / "1.png")
    np.testing.assert_array_equal(read({"directory": "d"}).pixels[0, ..., 0], pixels // 256)


def test_pixels_without_a_known_range_are_refused(tmp_path, read):
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "d" / name / "1.tif")
    with pytest.raises(InputError, match=r"a/1\.tif: cannot be read as an image: its pixels have 32 bits"):
        read({"directory": "d"})


def broken(kind):
    whole = {"empty": b"", "text": b"<html>404</html>" * 9}.get(kind)
    if whole is not None:
        return whole
    from io import BytesIO

    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


@pytest.mark.parametrize("kind", ["empty", "text", "png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_a_broken_image_is_named(tmp_path, read, kind):
    """Cut off in the middle, empty, or a web page."""
    picture(tmp_path / "d/cat/1.png", 0)
    picture(tmp_path / "d/dog/1.png", 0)
    (tmp_path / "d/dog/2.png").write_bytes(broken(kind))
    with pytest.raises(InputError, match=r"/d/dog/2\.png: cannot be read as an image: "):
        read({"directory": "d"})


def test_a_folder_called_like_an_image(tmp_path, read):
    picture(tmp_path / "d/cat/1.png", 0)
    picture(tmp_path / "d/dog/x.png/1.png", 0)
    with pytest.raises(InputError, match=r"dog/x\.png: cannot be read as an image: "):
        read({"directory": "d"})


# --- archives and functions ---


def test_an_archive_keeps_its_order(npz):
    samples = npz(IMAGES, np.array([1, 0, 1, 1]))
    np.testing.assert_array_equal(samples.pixels, IMAGES)
    assert samples.ids == ("[0]", "[1]", "[2]", "[3]")
    assert samples.labels.tolist() == [1, 0, 1, 1]
    assert samples.classes == ("0", "1")


def test_arrays_by_other_names(tmp_path, read):
    np.savez(tmp_path / "data.npz", images=IMAGES, targets=[0, 1, 0, 1])
    samples = read({"npz": "data.npz", "image": "images", "label": "targets"})
    assert samples.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "classes", "indices"),
    [
        ([10, 2, 0, 2], ("0", "2", "10"), [2, 1, 0, 1]),
        ([-1, 1, -1, 1], ("-1", "1"), [0, 1, 0, 1]),
        ([2.0, 10.0, 0.0, 2.0], ("0", "2", "10"), [1, 2, 0, 1]),
        ([True, False, False, True], ("0", "1"), [1, 0, 0, 1]),
        (["10", "2", "2", "1"], ("1", "2", "10"), [2, 1, 1, 0]),
        (["b", "10", "2", "b"], ("10", "2", "b"), [2, 0, 1, 2]),
        ([b"dog", b"cat", b"cat", b"dog"], ("cat", "dog"), [1, 0, 0, 1]),
        (["1", "01", "1", "2"], ("01", "1", "2"), [1, 0, 1, 2]),
        ([[1], [0], [0], [1]], ("0", "1"), [1, 0, 0, 1]),
    ],
)
def test_labels_are_numbered_by_value_where_all_are_numbers(npz, labels, classes, indices):
    samples = npz(IMAGES, np.array(labels))
    assert samples.classes == classes
    assert samples.labels.tolist() == indices
    assert samples.labels.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, bool, np.int64])
def test_one_hot_labels(npz, dtype):
    """A class that no sample has keeps its column."""
    samples = npz(IMAGES, np.eye(3)[[2, 0, 2, 0]].astype(dtype))
    assert samples.classes == ("0", "1", "2")
    assert samples.labels.tolist() == [2, 0, 2, 0]


def test_one_hot_labels_with_names(npz):
    samples = npz(IMAGES, np.eye(2)[[1, 0, 0, 1]], classes=["dog", "cat"])
    assert samples.classes == ("dog", "cat")
    assert samples.labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint8])
def test_numbers_count_the_classes_that_are_named(npz, dtype):
    samples = npz(IMAGES, np.array([1, 0, 0, 1], dtype), classes=["dog", "cat"])
    assert samples.labels.tolist() == [1, 0, 0, 1]


def test_numbers_that_are_names_are_names(npz):
    """Two arms that number the classes differently."""
    samples = npz(IMAGES, np.array([1, 0, 0, 1]), classes=["1", "0"])
    assert samples.labels.tolist() == [0, 1, 1, 0]


def test_float_labels_of_one_split_and_whole_ones_of_the_other(npz):
    assert npz(IMAGES, np.array([1.0, 0, 0, 1]), classes=("0", "1")).labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("shape", "channels", "expected"), [((4, 8, 8), 3, 3), ((4, 8, 8, 1), 3, 3), ((4, 8, 8), 1, 1)]
)
def test_grey_arrays(npz, shape, channels, expected):
    grey = IMAGES[..., 0].reshape(shape)
    samples = npz(grey, [0, 1, 0, 1], channels=channels)
    assert samples.pixels.shape == (4, 8, 8, expected)
    np.testing.assert_array_equal(samples.pixels[..., -1], IMAGES[..., 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_arrays_are_resized_without_rounding(npz, dtype):
    smooth = np.broadcast_to(np.linspace(0, 200, 16)[:, None, None], (4, 16, 16, 3)).astype(dtype)
    samples = npz(smooth, [0, 1, 0, 1], image_size=(8, 4))
    assert samples.pixels.shape == (4, 8, 4, 3)
    assert samples.pixels.dtype == np.float32
    assert samples.pixels.min() >= 0
    assert samples.pixels.max() <= 200
    assert (np.diff(samples.pixels[0, :, 0, 0]) > 0).all()


def test_float_images_stay_floats(npz):
    floats = (IMAGES / 255).astype(np.float32)
    np.testing.assert_array_equal(npz(floats, [0, 1, 0, 1]).pixels, floats)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES, [0, 1], "4 images but 2 labels"),
        (IMAGES[:0], [], "0 images but 0 labels"),
        (IMAGES, 3, "labels have shape (); expected (n,), (n, 1) or one-hot (n, classes)"),
        (IMAGES, np.zeros((4, 2, 2)), "labels have shape (4, 2, 2); expected (n,), (n, 1) or one-hot (n, classes)"),
        (IMAGES, [0, 1, 0.5, 1], "labels are neither whole numbers nor names"),
        (IMAGES, [0, 1, np.nan, 1], "labels are neither whole numbers nor names"),
        (IMAGES, [0, 1, np.inf, 1], "labels are neither whole numbers nor names"),
        (IMAGES, np.ones((4, 3)), "labels have shape (4, 3) but are not one-hot"),
        (IMAGES, np.zeros((4, 3)), "labels have shape (4, 3) but are not one-hot"),
        (IMAGES, [["a", "b"]] * 4, "labels have shape (4, 2) but are not one-hot"),
        (IMAGES, [1, 1, 1, 1], "only one class (1); a classifier needs at least two"),
        (IMAGES[0, 0], [0] * 8, "images have shape (8, 3) and type uint8; expected numbers (n, h, w, c)"),
        (IMAGES > 9, [0, 1, 0, 1], "images have shape (4, 8, 8, 3) and type bool; expected numbers (n, h, w, c)"),
        (IMAGES[..., :2], [0, 1, 0, 1], "images have 2 channels; the spec says 3"),
    ],
)
def test_arrays_that_do_not_do(npz, tmp_path, x, y, message):
    with pytest.raises(InputError) as raised:
        npz(x, y)
    assert str(raised.value) == f"{tmp_path / 'data.npz'}: {message}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_image_with_nan_is_named(npz, value):
    images = IMAGES.astype(np.float32)
    images[2, 3, 3, 0] = value
    with pytest.raises(InputError, match=r"data\.npz: image 2 holds NaN or infinite values$"):
        npz(images, [0, 1, 0, 1])


def test_labels_that_are_no_class(npz):
    with pytest.raises(InputError, match=r"label '2' is not one of the classes 0, 1$"):
        npz(IMAGES, [0, 1, 2, 1], classes=["0", "1"])
    with pytest.raises(InputError, match=r"label '2' is not one of the classes cat, dog$"):
        npz(IMAGES, [0, 1, 2, 1], classes=["cat", "dog"])
    with pytest.raises(InputError, match=r"one-hot labels of 3 columns; the classes are cat, dog$"):
        npz(IMAGES, np.eye(3)[[0, 1, 2, 1]], classes=["cat", "dog"])


class Trap:
    """What unpickling runs."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("spoiled", ["x", "y"])
def test_object_arrays_are_never_unpickled(tmp_path, read, spoiled):
    """The trap would create a file; it is first shown to be one that snaps."""
    trap = np.empty(2, object)
    trap[:] = [Trap(tmp_path / "sprung"), 0]
    np.savez(tmp_path / "data.npz", **{"x": IMAGES, "y": [0, 1, 0, 1]} | {spoiled: trap})
    with pytest.raises(InputError, match=r"data\.npz: holds an object array, which is never unpickled"):
        read({"npz": "data.npz"})
    assert not (tmp_path / "sprung").exists()
    with np.load(tmp_path / "data.npz", allow_pickle=True) as archive:
        archive[spoiled][0].close()
    assert (tmp_path / "sprung").exists()


def test_a_pickle_in_place_of_an_archive(tmp_path, read):
    import pickle

    (tmp_path / "data.npz").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match=r"data\.npz: cannot be read as an npz archive: it is none$"):
        read({"npz": "data.npz"})
    assert not (tmp_path / "sprung").exists()


def test_what_is_no_archive(tmp_path, read):
    for content in (b"", b"version: 1\n", b"PK\x03\x04 cut off"):
        (tmp_path / "data.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"data\.npz: cannot be read as an npz archive: \S"):
            read({"npz": "data.npz"})


def test_a_single_array_is_no_archive(tmp_path, read):
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(InputError, match=r"data\.npz: is a single array, not an npz archive$"):
        read({"npz": "data.npz"})


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_archive(tmp_path, read, compressed):
    """A byte here, a byte there: read as it was, or refused by name; nothing else comes out."""
    (np.savez_compressed if compressed else np.savez)(tmp_path / "data.npz", x=IMAGES, y=[0, 1, 0, 1])
    whole = (tmp_path / "data.npz").read_bytes()
    for position in np.random.default_rng(0).integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / "data.npz").write_bytes(damaged)
        try:
            samples = read({"npz": "data.npz"})
        except InputError as error:
            assert str(error).startswith(f"{tmp_path / 'data.npz'}: ")  # noqa: PT017  (either outcome is right)
        else:
            np.testing.assert_array_equal(samples.pixels, IMAGES)


def test_a_missing_array_is_named_beside_those_that_are_there(tmp_path, read):
    np.savez(tmp_path / "data.npz", a=IMAGES, y=[0, 1, 0, 1])
    with pytest.raises(InputError, match=r"data\.npz: no array 'x'; it has 'a', 'y'$"):
        read({"npz": "data.npz"})


def test_a_function_returns_the_arrays(returned):
    samples = returned((IMAGES, ["b", "a", "a", "b"]))
    assert samples.classes == ("a", "b")
    np.testing.assert_array_equal(samples.pixels, IMAGES)
    assert returned([IMAGES.tolist(), [0, 1, 0, 1]]).labels.tolist() == [0, 1, 0, 1]


def test_a_function_may_return_a_column_of_pandas(returned):
    """Its labels are an object array; nothing needs to be unpickled here."""
    samples = returned((IMAGES, np.array(["b", "a", "a", "b"], object)))
    assert (samples.classes, samples.labels.tolist()) == (("a", "b"), [1, 0, 0, 1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, " returned NoneType; expected a pair of arrays (images, labels)"),
        (7, " returned int; expected a pair of arrays (images, labels)"),
        ((IMAGES,), " returned tuple; expected a pair of arrays (images, labels)"),
        ((IMAGES, [0], 1), " returned tuple; expected a pair of arrays (images, labels)"),
        (([IMAGES[0], IMAGES[0, :3]], [0, 1]), " returned tuple; expected a pair of arrays (images, labels)"),
        (("a", "b"), ": images have shape () and type <U1; expected numbers (n, h, w, c)"),
        ((IMAGES, {0: 1}), ": labels have shape (); expected (n,), (n, 1) or one-hot (n, classes)"),
        (
            ([None] * 4, [0, 1, 0, 1]),
            ": images have shape (4,) and type object; expected numbers (n, h, w, c)",
        ),
        ((IMAGES * np.nan, [0, 1, 0, 1]), ": image 0 holds NaN or infinite values"),
    ],
)
def test_a_function_that_returns_something_else_is_named(returned, value, message):
    with pytest.raises(InputError) as raised:
        returned(value)
    assert str(raised.value) == f"made_up_data:load{message}"


# --- tables ---


@pytest.fixture
def table(tmp_path, read):
    def of(text, **keys):
        for index, name in enumerate(("a", "b", "c")):
            picture(tmp_path / "pictures" / f"{name}.png", (index, 0, 0))
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        return read({"csv": "t.csv", **keys})

    return of


def test_a_table_keeps_its_order_and_its_paths_start_beside_it(table):
    samples = table("image,label,more\npictures/c.png,dog,1\npictures/a.png,cat,2\n")
    assert samples.ids == ("pictures/c.png", "pictures/a.png")
    assert samples.pixels[:, 0, 0, 0].tolist() == [2, 0]
    assert (samples.classes, samples.labels.tolist()) == (("cat", "dog"), [1, 0])


def test_columns_by_other_names(table):
    samples = table("file,kind\npictures/a.png,10\npictures/b.png,9\n", image="file", label="kind")
    assert (samples.classes, samples.labels.tolist()) == (("9", "10"), [1, 0])


def test_words_that_pandas_takes_for_missing_are_classes(table):
    assert table("image,label\npictures/a.png,NA\npictures/b.png,null\n").classes == ("NA", "null")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\npictures/a.png,x\npictures/gone.png,y\n", "t.csv:3: {}/pictures/gone.png: no such image"),
        ("image,kind\npictures/a.png,x\n", "t.csv: no column 'label'; it has 'image', 'kind'"),
        ("image,label\n", "t.csv: holds no rows"),
        ("", "t.csv: cannot be read as a table: No columns to parse from file"),
        ("image,label\npictures/a.png,x\n", "t.csv: only one class (x); a classifier needs at least two"),
        ('image,label\n"pictures', "t.csv: cannot be read as a table: "),
    ],
)
def test_tables_that_do_not_do(table, tmp_path, text, message):
    with pytest.raises(InputError) as raised:
        table(text)
    assert str(raised.value).startswith(f"{tmp_path}/" + message.format(tmp_path))
