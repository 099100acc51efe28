"""What an error says, in one line, and which line of the user's raised it."""

from __future__ import annotations

import pytest

from equivcheck.errors import InputError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
OF_A_LAYER = f"""Exception encountered when calling Sequential.call().

{BOLD}Input 0 of layer 'dense' is incompatible with the layer{PLAIN}

Arguments received by Sequential.call():
  • inputs=tf.Tensor(shape=(None, 4, 8, 3), dtype=float32)
  • training=True"""
OF_A_GENERATOR = """{{function_node __wrapped__IteratorGetNext_device_/job:localhost}} ValueError: boom
Traceback (most recent call last):

  File "/venv/lib/python3.11/site-packages/tensorflow/python/ops/script_ops.py", line 269, in __call__
    ret = func(*args)

  File "/home/ann/theirs.py", line 9, in images
    raise ValueError("boom")

ValueError: boom


\t [[{{node PyFunc}}]] [Op:IteratorGetNext] name: """
OF_A_GRAPH = """Graph execution error:

Detected at node compile_loss/Sparse defined at (most recent call last):
  File "/home/ann/start.py", line 20, in <module>

  File "/venv/lib/python3.11/site-packages/keras/src/trainers/trainer.py", line 387, in compute_loss

Received a label value of 8 which is outside the valid range of [0, 2).  Label values: 7 8
\t [[{{node compile_loss/Sparse}}]] [Op:__inference_multi_step_on_iterator_270]"""
OF_A_TRACED_FUNCTION = """in user code:

    File "/home/ann/theirs.py", line 3, in scaled  *
        return images / size

    NameError: name 'size' is not defined
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("one", "one"),
        ("\n  one\n\n two \n", "one two"),
        (
            OF_A_LAYER,
            (
                "Exception encountered when calling Sequential.call(). "
                "Input 0 of layer 'dense' is incompatible with the layer"
            ),
        ),
        (OF_A_GENERATOR, "ValueError: boom"),
        (
            OF_A_GRAPH,
            "Received a label value of 8 which is outside the valid range of [0, 2).  Label values: 7 8",
        ),
        (OF_A_TRACED_FUNCTION, "NameError: name 'size' is not defined"),
        ("1\n2\n3\n4\n5", "1 2 3 4"),
        ("x" * 500, "x" * 400 + "…"),
    ],
    ids=["nothing", "a line", "lines", "layer", "generator", "graph", "traced", "many lines", "a long line"],
)
def test_the_reason_in_one_line(text, reason):
    from equivcheck.arms.said import reason_of

    assert reason_of(ValueError(text)) == reason


@pytest.mark.parametrize(
    ("text", "place"),
    # What defined a graph is no one's fault: start.py only called us.
    [(OF_A_GENERATOR, "/home/ann/theirs.py:9"), (OF_A_GRAPH, None), (OF_A_LAYER, None)],
)
def test_the_place_that_only_the_text_tells(text, place):
    from equivcheck.arms.said import place_of

    assert place_of(ValueError(text)) == place


def test_the_innermost_line_of_the_users_is_the_place(tmp_path):
    """Not the library's that raised in the end."""
    from equivcheck.arms.said import described

    file = tmp_path / "theirs.py"
    code = "import json\ndef read():\n    return json.loads('{')\ndef start():\n    return read()\n"
    names = {}
    exec(compile(code, file, "exec"), names)  # noqa: S102
    with pytest.raises(ValueError, match="Expecting") as raised:
        names["start"]()
    assert described(raised.value).startswith("JSONDecodeError: Expecting property name")
    assert described(raised.value).endswith(f" ({file}:3)")


def test_code_of_nobody_has_no_place():
    from equivcheck.arms.said import described

    assert described(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad units"), "dense: bad units"),
        (IndexError("out of range"), "dense: Keras raised IndexError: out of range"),
        (ValueError(), "dense: Keras raised ValueError"),
    ],
)
def test_what_keras_refuses(error, message):
    from equivcheck.arms.said import refused

    with pytest.raises(InputError) as raised, refused("dense"):
        raise error
    assert str(raised.value).startswith(message)
