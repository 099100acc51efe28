"""Bad input through the command line itself: one clear message, the right exit code, nothing half-written.

What is wrong with a file or a spec is exit code 2; a callable of the user's that broke while it ran is 3.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from equivcheck.cli import cli

SPEC = """\
version: 1
data:
  train: {npz: data.npz}
  validation: {npz: data.npz}
  image_size: [8, 8]
backbone: {file: base.keras, cut: features}
head: [dense: {units: 2, activation: softmax}]
training: {loss: sparse_categorical_crossentropy, epochs: 1, batch_size: 4}
"""
FOLDERS = SPEC.replace("{npz: data.npz}", "{directory: images}")
TABLE = SPEC.replace("{npz: data.npz}", "{csv: t.csv}")
CODE = SPEC + "frozen: {callable: 'theirs:arm'}\n"

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8)
LABELS = np.array([0, 1] * 4)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """A folder with data that are good; each test spoils them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQUIVCHECK_CACHE", str(tmp_path.parent / "cache"))
    np.savez("data.npz", x=IMAGES, y=LABELS)
    for row in range(4):
        path = Path("images", "cat" if row % 2 else "dog", f"{row}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[row]).save(path)


@pytest.fixture(scope="module")
def network(tensorflow, tmp_path_factory):
    """A file with a small network."""
    import keras

    inputs = keras.Input((8, 8, 3), name="image")
    outputs = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    outputs = keras.layers.GlobalAveragePooling2D(name="features")(outputs)
    path = tmp_path_factory.mktemp("network") / "base.keras"
    keras.Model(inputs, keras.layers.Dense(3, name="predictions")(outputs), name="base").save(path)
    return path


@pytest.fixture
def backbone(network):
    """The small network beside the spec."""
    Path("base.keras").write_bytes(network.read_bytes())


@pytest.fixture
def refused():
    """Runs a spec that must fail; what it says on stderr, and the first line of that."""

    def of(text: str | bytes = SPEC, *, code: int = 2, module: str | None = None, command: str = "run") -> str:
        Path("spec.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        if module is not None:
            Path("theirs.py").write_text(dedent(module), encoding="utf-8")
        before = everything()
        output = ["--output-format", "json", "-o", "out.json"] if command == "run" else []
        result = CliRunner().invoke(cli, [command, "spec.yaml", *output], prog_name="equivcheck")
        assert isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        assert "internal error" not in result.output
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert everything() == before
        assert "\n\n" not in result.stderr
        return result.stderr

    return of


def everything() -> set[str]:
    """Every file there is, byte code aside."""
    return {
        str(path)
        for path in Path().rglob("*")
        if "__pycache__" not in path.parts and path.suffix not in {".pyc", ".yaml"}
    }


Refused = Callable[..., str]


# --- files that a spec names; nothing of this needs TensorFlow ---


def test_no_such_spec():
    result = CliRunner().invoke(cli, ["run", "nowhere.yaml", "-o", "out.json", "--output-format", "json"])
    assert result.exit_code == 2
    assert result.stderr == "error: nowhere.yaml: no such file; equivcheck init writes a spec to start from\n"
    assert not Path("out.json").exists()


@pytest.mark.parametrize("command", ["run", "validate"])
def test_every_missing_file_is_named_at_once_with_its_line(refused, command):
    Path("data.npz").unlink()
    text = SPEC + "observed: {frozen: frozen.log}\n"
    lines = [line for line in refused(text, command=command).splitlines() if line.startswith("spec.yaml:")]
    here = Path.cwd()
    assert lines == [
        f"spec.yaml:3:11: data.train.npz: {here}/data.npz: no such file",
        f"spec.yaml:4:16: data.validation.npz: {here}/data.npz: no such file",
        f"spec.yaml:6:12: backbone.file: {here}/base.keras: no such file",
        f"spec.yaml:9:12: observed.frozen: {here}/frozen.log: no such file",
    ]


def test_a_missing_folder(refused):
    assert f"spec.yaml:3:11: data.train.directory: {Path.cwd()}/elsewhere: no such folder\n" in refused(
        FOLDERS.replace("directory: images", "directory: elsewhere", 1)
    )


def test_an_empty_class_folder(refused):
    for path in Path("images/cat").iterdir():
        path.unlink()
    said = refused(FOLDERS)
    assert "spec.yaml:3:11: data.train.directory: " in said
    assert "/images: no images (" in said
    assert ") in sub-folder cat\n" in said


def test_one_class_folder_only(refused):
    for path in Path("images/cat").iterdir():
        path.unlink()
    Path("images/cat").rmdir()
    assert (
        "/images: has only one sub-folder, dog; expected one sub-folder of images for each of two or more classes\n"
        in (refused(FOLDERS))
    )


def test_a_module_that_is_not_there(refused):
    said = refused(CODE.replace("theirs", "absent"))
    assert f"spec.yaml:9:10: frozen.callable: no module 'absent' in {Path.cwd()} or on the Python path\n" in said


# --- YAML, malformed and hostile ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "spec.yaml:1:1: is empty"),
        (b"version: 1\n  data: {}\n", "spec.yaml:2:"),
        (b"version: 1\ndata: [unclosed\n", "spec.yaml:"),
        (b"version: 1\nlabels: \xff\xfe\n", "spec.yaml"),
        (b"- a\n- b\n", "spec.yaml:1:1: "),
        (b"just a word\n", "spec.yaml:1:1: "),
        (b"version: 1\n\tdata: x\n", "spec.yaml:2:"),
        (b"version: 1\n---\nversion: 1\n", "spec.yaml:"),
        (b"version: 2\n", "spec.yaml:1:10: version: "),
        (b"version: 1\nversion: 1\n", "spec.yaml:2:1: "),
        (b"version: 1\nlabels: onehot\n", 'did you mean "one_hot"?'),
        (b"version: 1\nname: !!python/object/apply:os.system ['touch sprung']\n", "spec.yaml:2:7: "),
        (b"version: 1\nname: !!python/name:os.system\n", "spec.yaml:2:7: "),
        (b"version: 1\nname: !custom x\n", "spec.yaml:2:7: "),
        (b"a" * 100_000, "spec.yaml:1:1: "),
        (b"[" * 5_000, "spec.yaml:"),
        (b"{a: " * 5_000, "spec.yaml:"),
    ],
    ids=lambda value: value[:24].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_yaml_that_is_no_spec(refused, text, expected):
    said = refused(text)
    assert expected in said
    assert len(said) < 4_000
    assert not Path("sprung").exists()


def test_aliases_that_explode(refused):
    """Nine lines that would become a thousand million items."""
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    said = refused("\n".join(lines))
    assert said.startswith("spec.yaml:")
    assert len(said) < 4_000


def test_an_alias_of_itself(refused):
    assert refused("version: 1\ndata: &loop\n  train: *loop\n").startswith("spec.yaml:")


def test_a_path_that_is_none(refused):
    assert "spec.yaml:3:16: data.train.npz: is not a path" in refused(SPEC.replace("npz: data.npz", 'npz: "a\\0b"', 1))


def test_an_application_that_is_not_known(refused):
    said = refused(SPEC.replace("{file: base.keras, cut: features}", "{application: InceptonV3}"))
    assert said.startswith("spec.yaml:6:25: backbone.application: ")
    assert 'did you mean "InceptionV3"?' in said


@pytest.mark.parametrize("name", ["theirs", "theirs:", ":arm", "theirs:arm()", "os;system:x", "../theirs:arm"])
def test_a_callable_that_is_no_name(refused, name):
    assert refused(SPEC + f"frozen: {{callable: {name!r}}}\n", module="").startswith(
        "spec.yaml:9:20: frozen.callable: "
    )


# --- where the report goes ---


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("data.npz/out.json", "there is no folder data.npz"),
        ("nowhere/out.json", "there is no folder nowhere"),
        ("images", "is a directory"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(output, reason):
    """Tests may run as root, whom no permission stops; below a file nobody can write."""
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")
    before = everything()
    result = CliRunner().invoke(cli, ["run", "spec.yaml", "--output-format", "json", "-o", output])
    assert result.exit_code == 2
    assert output in result.stderr
    assert reason in result.stderr
    assert everything() == before


def test_the_spec_is_not_overwritten():
    Path("spec.yaml").write_text(SPEC, encoding="utf-8")
    result = CliRunner().invoke(cli, ["run", "spec.yaml", "--output-format", "json", "-o", "spec.yaml"])
    assert result.exit_code == 2
    assert "would overwrite the spec" in result.stderr
    assert Path("spec.yaml").read_text(encoding="utf-8") == SPEC


# --- what is only found when it is read ---


@pytest.mark.tensorflow
def test_a_corrupt_image(refused, backbone):
    whole = Path("images/cat/1.png").read_bytes()
    Path("images/cat/1.png").write_bytes(whole[: len(whole) // 2])
    said = refused(FOLDERS)
    assert said.startswith(f"spec.yaml:3:3: data.train: {Path.cwd()}/images/cat/1.png: cannot be read as an image: ")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("image,label\nimages/cat/1.png,a\nimages/gone.png,b\n", "t.csv:3: {}/images/gone.png: no such image"),
        ("picture,label\nimages/cat/1.png,a\n", "t.csv: no column 'image'; it has 'picture', 'label'"),
        (
            "image,label\nimages/cat/1.png,a\nimages/cat/3.png,a\n",
            "t.csv: only one class (a); a classifier needs at least",
        ),
        ("image,label\n", "t.csv: holds no rows"),
    ],
)
def test_tables(refused, backbone, table, expected):
    Path("t.csv").write_text(table, encoding="utf-8")
    said = refused(TABLE)
    assert said.startswith(f"spec.yaml:3:3: data.train: {Path.cwd()}/{expected.format(Path.cwd())}")


class Trap:
    """What unpickling runs."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def npz_with_nan():
    spoiled = IMAGES.astype(np.float32)
    spoiled[3, 2, 1, 0] = np.nan
    np.savez("data.npz", x=spoiled, y=LABELS)


def npz_with_objects():
    trap = np.empty(8, object)
    trap[:] = Trap(Path("sprung").absolute())
    np.savez("data.npz", x=IMAGES, y=trap)


def npz_that_is_a_pickle():
    Path("data.npz").write_bytes(pickle.dumps(Trap(Path("sprung").absolute())))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (npz_with_nan, "image 3 holds NaN or infinite values"),
        (npz_with_objects, "holds an object array, which is never unpickled; save plain arrays"),
        (npz_that_is_a_pickle, "cannot be read as an npz archive: it is none"),
        (lambda: Path("data.npz").write_bytes(b""), "cannot be read as an npz archive: "),
        (lambda: np.savez("data.npz", x=IMAGES, y=LABELS * 0), "only one class (0); a classifier needs at least two"),
        (lambda: np.savez("data.npz", x=IMAGES, y=LABELS[:5]), "8 images but 5 labels"),
        (lambda: np.savez("data.npz", a=IMAGES, y=LABELS), "no array 'x'; it has 'a', 'y'"),
    ],
    ids=["NaN", "objects", "pickle", "empty", "one class", "fewer labels", "other names"],
)
def test_archives(refused, backbone, spoil, expected):
    """No pickle is ever loaded: the trap would leave a file behind."""
    spoil()
    assert refused().startswith(f"spec.yaml:3:3: data.train: {Path.cwd()}/data.npz: {expected}")
    assert not Path("sprung").exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("units: 2", "units: 3", "spec.yaml:7:1: head: the head has 3 outputs but the data has 2 classes\n"),
        ("units: 2", "units: -2", "spec.yaml:7:1: head: dense: Received an invalid value for `units`"),
        ("units: 2", "unit: 2", "spec.yaml:7:1: head: dense: "),
        ("cut: features", "cut: feature", "spec.yaml:6:30: backbone.cut: no layer 'feature' to cut at; "),
        (
            "[8, 8]",
            "[9, 9]",
            "the backbone takes images of shape (8, 8, 3); data.image_size and channels give (9, 9, 3)\n",
        ),
        ("training: {", "training: {optimizer: {name: sgd, rate: 1}, ", "spec.yaml:8:12: training.optimizer: "),
        ("training: {", "training: {optimizer: {name: sgd, momentum: 5}, ", "spec.yaml:8:12: training.optimizer: "),
        (
            "epochs: 1, batch_size: 4",
            "batch_size: 9, drop_remainder: true",
            "drop_remainder leaves nothing: 8 samples, batches of 9\n",
        ),
    ],
)
def test_a_spec_that_does_not_fit_its_data_or_network(refused, backbone, old, new, expected):
    said = refused(SPEC.replace(old, new))
    assert said.startswith("spec.yaml:")
    assert expected in said


@pytest.mark.tensorflow
def test_a_backbone_that_is_no_model(refused, tensorflow):
    Path("base.keras").write_bytes(b"not a model")
    said = refused()
    assert said.startswith(
        f"spec.yaml:6:12: backbone.file: {Path.cwd()}/base.keras: cannot be loaded as a Keras model: "
    )


WHOLE = SPEC.replace(", cut: features", "")
BACKBONES = """\
import keras
one, other, row = keras.Input((8, 8, 3)), keras.Input((8, 8, 3)), keras.Input((4,))
def two_inputs(): return keras.Model([one, other], keras.layers.Flatten()(keras.layers.Add()([one, other])))
def two_outputs(): return keras.Model(one, [keras.layers.Flatten()(one), keras.layers.Flatten()(one)])
def rows(): return keras.Model(row, keras.layers.Dense(2)(row))
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["file", "callable"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two_inputs", "the backbone takes 2 inputs ("),
        ("two_outputs", "the backbone has 2 outputs ("),
        ("rows", "the backbone takes inputs of shape (None, 4); expected images"),
    ],
)
def test_a_backbone_that_is_not_from_one_image_to_one_tensor(refused, tensorflow, kind, name, expected):
    if kind == "file":
        made = {}
        exec(BACKBONES, made)  # noqa: S102
        made[name]().save("base.keras")
        assert refused(WHOLE).startswith(f"spec.yaml:6:12: backbone.file: {expected}")
    else:
        text = WHOLE.replace("file: base.keras", f"callable: 'theirs:{name}'")
        assert refused(text, module=BACKBONES).startswith(f"spec.yaml:6:12: backbone.callable: {expected}")


@pytest.mark.tensorflow
@pytest.mark.parametrize("arm", ["", "bottleneck", "frozen"])
@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            "[batch_normalization: {axis: 7}, dense: {units: 2}]",
            "head: batch_normalization: Keras raised IndexError: ",
        ),
        (
            "[dense: {units: 2}]",
            (
                "head: the head's output has shape (None, 6, 6, 2); expected (None, units), one row for each image: "
                "the features at the cut still have places; "
                "add - flatten or global_average_pooling2d to the head, before its first dense\n"
            ),
        ),
    ],
)
def test_a_head_that_does_not_fit_its_features(refused, backbone, arm, head, expected):
    """In either arm, which may both have a head of their own."""
    text = SPEC.replace("cut: features", "cut: conv")
    if arm:
        text = text.replace("[dense", "[flatten, dense") + f"{arm}: {{head: {head}}}\n"
        assert refused(text).startswith(f"spec.yaml:9:{len(arm) + 4}: {expected}")
    else:
        text = text.replace("[dense: {units: 2, activation: softmax}]", head)
        assert refused(text).startswith(f"spec.yaml:7:1: {expected}")


@pytest.mark.tensorflow
@pytest.mark.parametrize("arm", ["bottleneck", "frozen"])
def test_augmentation_that_the_backbone_does_not_take(refused, backbone, arm):
    said = refused(SPEC + f"{arm}: {{augmentation: [random_crop: {{height: 4, width: 4}}]}}\n")
    assert "augmentation: gives images of shape (4, 4, 3); the backbone takes (8, 8, 3)\n" in said


@pytest.mark.tensorflow
def test_preprocessing_for_other_channels(refused, backbone):
    text = SPEC.replace("[8, 8]", "[8, 8]\n  channels: 1") + "preprocessing: {application: vgg16}\n"
    np.savez("data.npz", x=IMAGES[..., :1], y=LABELS)
    assert refused(text).startswith(
        "spec.yaml:10:1: preprocessing: preprocess_input of vgg16 on images of shape (8, 8, 1): Keras raised IndexError"
    )


@pytest.mark.parametrize("rate", [".nan", ".inf", "-.inf"])
def test_an_optimizer_argument_that_is_no_number(refused, rate):
    said = refused(SPEC.replace("training: {", f"training: {{optimizer: {{name: sgd, learning_rate: {rate}}}, "))
    assert said.startswith("spec.yaml:8:50: training.optimizer.learning_rate: is ")
    assert "expected a finite number" in said


# --- callables ---

MODEL = """\
import keras, numpy as np
from types import SimpleNamespace

def model():
    made = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made

X, Y = np.zeros((8, 8, 8, 3)), np.array([0, 1] * 4)

def arm():
    return SimpleNamespace(model=model(), train=(X, Y), validation=None, fit={"epochs": 1})
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (
            "def arm(): raise ValueError('no data\\nmore of it')",
            "theirs:arm raised ValueError: no data more of it ({}:1)",
        ),
        ("import sys\ndef arm(): sys.exit(0)", "theirs:arm raised SystemExit: 0 ({}:2)"),
        ("import sys; sys.exit(0)", "theirs:arm: importing theirs raised SystemExit: 0 ({}:1)"),
        ("def arm(x): pass", "theirs:arm raised TypeError: arm() missing 1 required positional argument: 'x'"),
        ("def arm(:", "theirs:arm: importing theirs raised SyntaxError: invalid syntax (theirs.py, line 1)"),
        (
            "import not_there_at_all",
            "theirs:arm: importing theirs raised ModuleNotFoundError: No module named 'not_there_at_all' ({}:1)",
        ),
    ],
)
def test_a_callable_that_breaks(refused, backbone, module, expected):
    """``sys.exit(0)`` in particular must not look like "equivalent"."""
    expected = expected.format(Path.cwd() / "theirs.py")
    assert refused(CODE, code=3, module=module) == f"error: {expected}\n"


DATA_SET = """
class Data(keras.utils.PyDataset):
    def __len__(self): return 2
    def __getitem__(self, index):
        raise OSError("boom")
def data(): return Data(workers=2)
"""
GENERATOR = """
import tensorflow as tf
def samples():
    yield X[0], Y[0]
    raise OSError("boom")
SPECS = tf.TensorSpec((8, 8, 3), tf.float32), tf.TensorSpec((), tf.int64)
def data(): return tf.data.Dataset.from_generator(samples, output_signature=SPECS).batch(4)
"""
SECOND_EPOCH = """
import tensorflow as tf
left = [2]
def samples():
    left[0] -= 1
    if left[0] >= 0:
        yield from zip(X, Y)
    else:
        raise OSError("boom")
SPECS = tf.TensorSpec((8, 8, 3), tf.float32), tf.TensorSpec((), tf.int64)
def data(): return tf.data.Dataset.from_generator(samples, output_signature=SPECS).batch(4)
"""
CALLBACK = """
class Mine(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise OSError("boom")
"""
LEAVING = CALLBACK.replace('OSError("boom")', "SystemExit(0)")
LAYER = """
class Mine(keras.layers.Layer):
    def call(self, inputs, training=None):
        if training:
            raise OSError("boom")
        return inputs
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("more", "old", "new", "doing", "kind"),
    [
        (DATA_SET, "train=(X, Y)", "train=data()", "reading the training data", "OSError: boom"),
        (DATA_SET, "validation=None", "validation=data()", "reading the validation data", "OSError: boom"),
        (GENERATOR, "train=(X, Y)", "train=data()", "reading the training data", "OSError: boom"),
        (SECOND_EPOCH, "train=(X, Y)", "train=data()", "", "OSError: boom"),
        (LAYER, "keras.layers.Flatten()", "Mine(), keras.layers.Flatten()", "fit", "boom"),
        (CALLBACK, '"epochs": 1', '"epochs": 1, "callbacks": [Mine()]', "fit", "OSError: boom"),
        (LEAVING, '"epochs": 1', '"epochs": 1, "callbacks": [Mine()]', "fit", "SystemExit: 0"),
    ],
    ids=["data set", "validation", "generator", "third epoch", "layer", "callback", "callback that leaves"],
)
def test_what_breaks_after_the_callable_returned(refused, backbone, more, old, new, doing, kind):
    """Named with the callable and with the line of the user's that raised, wherever Keras ran it."""
    module = MODEL.replace(old, new) + more
    line = next(number for number, text in enumerate(module.splitlines(), 1) if "raise " in text)
    said = refused(CODE, code=3, module=module)
    assert said.startswith("error: theirs:arm: " + doing)
    assert " of the frozen arm raised " in said
    assert kind in said
    assert said.endswith(f" ({Path.cwd()}/theirs.py:{line})\n")


@pytest.mark.tensorflow
def test_a_data_set_that_gives_nothing(refused, backbone):
    module = MODEL.replace("train=(X, Y)", "train=data()") + GENERATOR.replace("yield X[0], Y[0]", "return; yield")
    said = refused(CODE, code=3, module=module)
    assert said.startswith("error: theirs:arm: ")
    assert "the training data of the frozen arm gave no batch" in said


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("def other(): pass", "theirs.py has no function 'arm'"),
        ("arm = 3", "theirs.py has no function 'arm'"),
        ("def arm(): return 3", "theirs:arm returned int whose model is NoneType; expected an object with a compiled"),
        (MODEL.replace("train=(X, Y)", "train=(X, Y[:3])"), "theirs:arm: 8 samples but 3 labels"),
        (MODEL.replace("train=(X, Y)", "train=(X * np.nan, Y)"), "theirs:arm: x holds NaN or infinite values"),
        (MODEL.replace("train=(X, Y)", "train=iter([(X, Y)])"), "theirs:arm: data is a list_iterator, which yields"),
        (MODEL.replace('{"epochs": 1}', '{"epoch": 1}'), "theirs:arm: .fit holds epoch, which Sequential.fit does not"),
        (MODEL.replace("    made.compile", "    0 and made.compile"), "theirs:arm: .model is not compiled"),
    ],
    ids=["no function", "no callable", "a number", "lengths", "NaN", "iterator", "fit", "not compiled"],
)
def test_an_arm_that_does_not_follow_the_protocol(refused, backbone, module, expected):
    said = refused(CODE, module=module)
    assert said.startswith("spec.yaml:9:10: callable: ")
    assert expected in said


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("key", "module", "expected", "code"),
    [
        (
            "preprocessing",
            "def f(x): return x[:1]",
            "theirs:f returned ndarray of shape (1, 8, 8, 3); expected numbers",
            2,
        ),
        ("preprocessing", "def f(x): return x / 0 * 0", "theirs:f returned NaN or infinite values", 2),
        ("preprocessing", "def f(x): return 1 / 0", "theirs:f raised ZeroDivisionError: division by zero", 3),
        ("backbone", "def f(): return 'VGG16'", "theirs:f returned str; expected a keras.Model", 2),
        ("backbone", "def f(): raise OSError('disk')", "theirs:f raised OSError: disk", 3),
        ("data", "def f(): return 1", "theirs:f returned int; expected a pair of arrays (images, labels)", 2),
        ("data", "def f(): raise OSError('disk')", "theirs:f raised OSError: disk", 3),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_callables_of_other_places(refused, backbone, key, module, expected, code):
    theirs = "{callable: 'theirs:f'}"
    text = {
        "preprocessing": SPEC + f"preprocessing: {theirs}\n",
        "backbone": SPEC.replace("{file: base.keras, cut: features}", theirs),
        "data": SPEC.replace("{npz: data.npz}", theirs),
    }[key]
    said = refused(text, code=code, module=module)
    assert expected in said
    assert said.startswith("spec.yaml:" if code == 2 else "error: theirs:f raised ")


@pytest.mark.tensorflow
def test_verbose_shows_the_traceback(backbone):
    Path("spec.yaml").write_text(CODE, encoding="utf-8")
    Path("theirs.py").write_text("def arm():\n    raise ValueError('in here')\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["run", "-v", "spec.yaml"])
    assert result.exit_code == 3
    assert "Traceback (most recent call last):" in result.stderr
    assert "in arm" in result.stderr
    assert result.stderr.endswith(f"error: theirs:arm raised ValueError: in here ({Path.cwd()}/theirs.py:2)\n")


@pytest.mark.tensorflow
def test_a_second_spec_is_checked_although_the_first_is_bad(backbone):
    Path("spec.yaml").write_text(CODE, encoding="utf-8")
    Path("theirs.py").write_text("def arm():\n    raise ValueError('in here')\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["run", "gone.yaml", "spec.yaml"])
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("error: gone.yaml: no such file")
    assert second == f"error: theirs:arm raised ValueError: in here ({Path.cwd()}/theirs.py:2)"
