"""Functions that the user named as ``module:function``."""

from __future__ import annotations

import sys

import pytest

from equivcheck.arms.user_code import call_user_function, load_user_function, user_code
from equivcheck.errors import InputError, UserCodeError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module beside the spec, under a name that no other test uses."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text, name="theirs", folder=tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return folder

    return write


def test_a_module_beside_the_spec(module):
    folder = module("def double(x):\n    return 2 * x\n")
    assert call_user_function("theirs:double", 21, folder=folder) == 42


def test_an_installed_module(tmp_path):
    assert call_user_function("json:loads", "[1]", folder=tmp_path) == [1]
    assert call_user_function("os.path:basename", "a/b", folder=tmp_path) == "b"


def test_the_path_is_put_back(module):
    folder = module("import sys\nsys.path.insert(0, 'elsewhere')\ndef f():\n    sys.path.append('after')\n")
    before = list(sys.path)
    call_user_function("theirs:f", folder=folder)
    assert sys.path == ["elsewhere", *before, "after"]


def test_a_path_that_the_code_itself_cleans_up(module):
    folder = module("import sys\nsys.path.pop(0)\ndef f():\n    return 1\n")
    assert call_user_function("theirs:f", folder=folder) == 1


def test_modules_beside_it_can_be_imported_while_it_is_called(module):
    module("value = 7\n", "companion")
    folder = module("def f():\n    import companion\n    return companion.value\n")
    assert call_user_function("theirs:f", folder=folder) == 7


def test_two_specs_may_each_have_a_module_of_one_name(module, tmp_path):
    """Companions as well; what lies elsewhere stays loaded."""
    for name in ("a", "b"):
        module(f"value = {name!r}\n", "companion", tmp_path / name)
        module("import companion, colorsys\ndef f():\n    return companion.value, colorsys\n", folder=tmp_path / name)
    first, colorsys = call_user_function("theirs:f", folder=tmp_path / "a")
    assert (first, call_user_function("theirs:f", folder=tmp_path / "b")) == ("a", ("b", colorsys))
    assert call_user_function("theirs:f", folder=tmp_path / "a")[0] == "a"


def test_a_module_is_executed_once_a_spec(module):
    folder = module("calls = []\ndef f():\n    calls.append(1)\n    return len(calls)\n")
    assert [call_user_function("theirs:f", folder=folder) for _ in range(3)] == [1, 2, 3]


def test_libraries_below_the_folder_stay_loaded(module, tmp_path):
    """A virtual environment lies beside many a spec, and NumPy for one cannot be loaded twice."""
    library = tmp_path / "site-packages"
    module("calls = []\n", "installed_there", library)
    text = "import sys\nsys.path.append({!r})\nimport installed_there\ndef f():\n    return installed_there\n"
    folder = module(text.format(str(library)))
    loaded = call_user_function("theirs:f", folder=folder)
    call_user_function("json:loads", "1", folder=tmp_path / "another")
    assert sys.modules.pop("installed_there") is loaded


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:f", "nowhere:f: no module 'nowhere' in "),
        ("json.nowhere:f", "json.nowhere:f: no module 'json.nowhere' in "),
        ("json:nothing", "json/__init__.py has no function 'nothing'"),
        ("json:__name__", "has no function '__name__'"),
    ],
)
def test_what_is_not_there(tmp_path, name, message):
    with pytest.raises(InputError, match=r"has no function|no module") as raised:
        load_user_function(name, folder=tmp_path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("import does_not_exist_anywhere", "ModuleNotFoundError: No module named 'does_not_exist_anywhere' ({}:1)"),
        ("raise ValueError('first line\\nsecond line')", "ValueError: first line second line ({}:1)"),
        ("raise ValueError", "ValueError ({}:1)"),
        ("def f(:", "SyntaxError: invalid syntax (theirs.py, line 1)"),
        ("import sys; sys.exit(0)", "SystemExit: 0 ({}:1)"),
    ],
)
def test_a_module_that_breaks_while_it_is_imported(module, text, described):
    folder = module(text)
    with pytest.raises(UserCodeError) as raised:
        load_user_function("theirs:f", folder=folder)
    described = described.format(folder / "theirs.py")
    assert str(raised.value) == f"theirs:f: importing theirs raised {described}"
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize(
    ("statement", "described"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise RuntimeError('\\n  indented\\nmore')", "RuntimeError: indented more"),
    ],
)
def test_a_function_that_raises_is_named(module, statement, described):
    """``sys.exit(0)`` must not end the run as if the arms were equivalent."""
    folder = module(f"def f():\n    {statement}\n")
    with pytest.raises(UserCodeError) as raised:
        call_user_function("theirs:f", folder=folder)
    assert str(raised.value) == f"theirs:f raised {described} ({folder / 'theirs.py'}:2)"
    assert raised.value.__cause__ is not None


def test_wrong_arguments_are_the_users_error(module):
    folder = module("def f():\n    pass\n")
    with pytest.raises(UserCodeError, match=r"^theirs:f raised TypeError: f\(\) takes 0 positional arguments"):
        call_user_function("theirs:f", 1, folder=folder)


def test_what_runs_later_is_said():
    message = r"^theirs:f: fit of the frozen arm raised KeyError: 'x' \(.*\.py:\d+\)$"
    with pytest.raises(UserCodeError, match=message), user_code("theirs:f", "fit of the frozen arm"):
        raise KeyError("x")


def test_an_error_of_ours_and_what_is_nobodys_pass():
    with pytest.raises(InputError, match=r"^ours$"), user_code("theirs:f"):
        raise InputError("ours")
    with pytest.raises(KeyError), user_code(None):
        raise KeyError("x")


def test_an_interrupt_stays_an_interrupt():
    with pytest.raises(KeyboardInterrupt), user_code("theirs:f"):
        raise KeyboardInterrupt
