"""Which layer of one arm is which of the other."""

from __future__ import annotations

from equivcheck.diff.align import align
from equivcheck.evidence import LayerTrace
from equivcheck.measured import TrainingFlag


def layer(path, kind="Dense", shape=(None, 4), weights=()):
    return LayerTrace(path, kind, "backbone", shape, weights, trainable=True, flag=TrainingFlag())


def conv(path, filters=4):
    return layer(path, "Conv2D", (None, 8, 8, filters), ((3, 3, 3, filters),))


def relu(path, filters=4):
    return layer(path, "ReLU", (None, 8, 8, filters))


def names(left, right):
    """The rows as pairs of paths."""
    return [(None if a is None else left[a].path, None if b is None else right[b].path) for a, b in align(left, right)]


def test_the_same_paths():
    arm = [conv("c"), relu("r"), layer("head_dense")]
    assert align(arm, arm) == [(0, 0), (1, 1), (2, 2)]


def test_nested_in_one_arm_and_flat_in_the_other():
    left = [conv("base/c1"), relu("base/r1"), conv("base/c2"), layer("head/head_dense")]
    right = [conv("c1"), relu("r1"), conv("c2"), layer("head_dense")]
    assert names(left, right) == [(a.path, b.path) for a, b in zip(left, right, strict=True)]
    assert names(right, left) == [(b.path, a.path) for a, b in zip(left, right, strict=True)]


def test_containers_of_other_names():
    left, right = [conv("vgg16/c1"), conv("vgg16/c2")], [conv("vgg16_1/c1"), conv("vgg16_1/c2")]
    assert align(left, right) == [(0, 0), (1, 1)]


def test_a_copy_with_other_automatic_names():
    """A backbone that is built a second time: conv2d became conv2d_3."""
    left = [conv("conv2d"), relu("re_lu"), conv("conv2d_1", 8), relu("re_lu_1", 8)]
    right = [conv("conv2d_3"), relu("re_lu_2"), conv("conv2d_4", 8), relu("re_lu_3", 8)]
    assert align(left, right) == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_automatic_names_that_overlap_do_not_cross_what_cannot_be_the_same():
    """conv2d_1 is the second layer here and the first there; their shapes tell."""
    left = [conv("conv2d", 4), conv("conv2d_1", 8)]
    right = [relu("conv2d_1", 4), conv("conv2d_2", 4), conv("conv2d_3", 8)]
    assert align(left, right) == [(None, 0), (0, 1), (1, 2)]


def test_an_extra_layer_in_one_arm_keeps_its_place():
    left = [conv("c"), layer("head_dense")]
    right = [layer("augmentation_random_flip", "RandomFlip"), conv("c"), layer("drop", "Dropout"), layer("head_dense")]
    assert align(left, right) == [(None, 0), (0, 1), (None, 2), (1, 3)]
    assert align(right, left) == [(0, None), (1, 0), (2, None), (3, 1)]


def test_different_cuts():
    """The arm that was cut earlier lacks the last layers of the backbone; the heads still meet."""
    left = [conv("base/c1"), layer("base/avg_pool", "GlobalAveragePooling2D"), layer("head/head_dense")]
    right = [
        conv("base/c1"),
        layer("base/avg_pool", "GlobalAveragePooling2D"),
        layer("base/dropout", "Dropout"),
        layer("base/flatten", "Flatten"),
        layer("head_dense"),
    ]
    assert align(left, right) == [(0, 0), (1, 1), (None, 2), (None, 3), (2, 4)]


def test_a_wrapper_around_the_backbone():
    left = [conv("base/c1"), relu("base/r1")]
    right = [layer("inference_mode", "InferenceMode"), conv("inference_mode/base/c1"), relu("inference_mode/base/r1")]
    assert align(left, right) == [(None, 0), (0, 1), (1, 2)]


def test_calls_of_a_shared_layer_meet_call_by_call():
    left = [conv("base/shared"), relu("base/r"), conv("base/shared#2")]
    right = [conv("shared"), relu("r"), conv("shared#2")]
    assert align(left, right) == [(0, 0), (1, 1), (2, 2)]


def test_a_shared_layer_that_is_called_once_more():
    left = [conv("shared"), conv("shared#2")]
    right = [conv("shared"), conv("shared#2"), conv("shared#3")]
    assert align(left, right) == [(0, 0), (1, 1), (None, 2)]


def test_one_name_in_two_containers_goes_by_the_path():
    left = [conv("a/c"), conv("b/c")]
    right = [conv("b/c"), conv("a/c")]
    assert sorted(names(left, right), key=str) == [("a/c", "a/c"), ("b/c", "b/c")]


def test_nothing_in_common():
    left, right = [conv("a", 4)], [layer("b")]
    assert align(left, right) == [(0, None), (None, 0)]


def test_an_empty_arm():
    arm = [conv("a"), relu("b")]
    assert align(arm, []) == [(0, None), (1, None)]
    assert align([], arm) == [(None, 0), (None, 1)]
    assert align([], []) == []


def test_every_layer_of_both_arms_comes_once():
    left = [conv("x/a"), relu("x/b"), layer("x/c"), conv("p", 8), layer("d")]
    right = [layer("d"), conv("y/a"), layer("q", "Dropout"), conv("r", 8), relu("b")]
    rows = align(left, right)
    assert sorted(a for a, _ in rows if a is not None) == list(range(5))
    assert [b for _, b in rows if b is not None] == list(range(5))


def test_the_full_path_comes_before_the_name():
    """Two containers with a ``conv`` each, in one arm in the other order and one of them missing."""
    left = [conv("a/conv"), conv("b/conv")]
    right = [conv("b/conv"), conv("c/conv")]
    assert (1, 0) in align(left, right)
    assert names([conv("a/conv")], right) == [
        ("a/conv", "b/conv"),
        (None, "c/conv"),
    ]  # no path, no single name: by place


def test_the_name_comes_before_the_place():
    """Layers of one kind and shape that change places go by what somebody called them."""
    left, right = [conv("first"), conv("second")], [conv("second"), conv("first")]
    assert sorted(align(left, right)) == [(0, 1), (1, 0)]


def test_a_given_name_wins_where_automatic_names_do_not_hold():
    """The second arm has a layer more at the start, so its automatic names are those of other layers."""
    left = [conv("conv2d", 4), conv("stem", 4), conv("conv2d_1", 8)]
    right = [conv("conv2d", 3), conv("conv2d_1", 4), conv("stem", 4), conv("conv2d_2", 8)]
    assert align(left, right) == [(None, 0), (0, 1), (1, 2), (2, 3)]


def test_one_layer_more_at_the_start_shifts_no_pair():
    """All automatic names but the last exist in both arms, each for the layer before."""
    shapes = [4, 4, 8, 8, 16]
    left = [conv(f"conv2d_{number}" if number else "conv2d", size) for number, size in enumerate(shapes)]
    right = [conv(f"conv2d_{number}" if number else "conv2d", size) for number, size in enumerate([3, *shapes])]
    assert align(left, right) == [(None, 0), *((number, number + 1) for number in range(len(shapes)))]
    assert align(right, left) == [(0, None), *((number + 1, number) for number in range(len(shapes)))]


def test_automatic_names_are_believed_where_all_of_them_hold():
    """One arm was cut earlier; nothing is shifted."""
    left = [conv("conv2d", 4), conv("conv2d_1", 8), conv("conv2d_2", 16), layer("head")]
    right = [conv("conv2d", 4), conv("conv2d_1", 8), layer("head")]
    assert align(left, right) == [(0, 0), (1, 1), (2, None), (3, 2)]
    assert align(right, left) == [(0, 0), (1, 1), (None, 2), (2, 3)]


def test_one_name_for_two_things_is_no_pair():
    """Neither the kind nor the shape agrees, so the name is taken for an accident."""
    left, right = [conv("x", 4)], [layer("x", "Flatten", (None, 256))]
    assert align(left, right) == [(0, None), (None, 0)]


def test_a_renamed_copy_goes_by_topology_around_what_kept_its_name():
    left = [conv("c1"), relu("r1"), conv("anchor", 8), relu("r2", 8), conv("c3", 8)]
    right = [conv("p1"), relu("p2"), conv("net/anchor", 8), relu("p4", 8), conv("p5", 8)]
    assert align(left, right) == [(row, row) for row in range(5)]
