"""The guards of the project: what the code must look like, checked on the code."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import dvidkit
from dvidkit import errors, hookspecs

ROOT = Path(__file__).parents[1]
PACKAGE = Path(dvidkit.__file__).parent
NAMES = sorted(
    {"dvidkit", *(each.name for each in pkgutil.walk_packages([str(PACKAGE)], "dvidkit."))} - {"dvidkit.__main__"}
)
KERNEL = [name for name in NAMES if not name.startswith(("dvidkit.http", "dvidkit.cli"))]
WEB = {"starlette", "fastapi", "uvicorn", "hypercorn", "granian", "aiohttp", "flask", "httpx", "requests", "django"}
LONGEST_MODULE = 400


def path_of(name: str) -> Path:
    """The file of a module."""
    relative = Path(*name.split(".")[1:])
    module = PACKAGE / relative.with_suffix(".py") if name != "dvidkit" else PACKAGE / "__init__.py"
    return module if module.exists() else PACKAGE / relative / "__init__.py"


def tree_of(name: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(path_of(name).read_text("utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported anywhere in the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


# --- what the kernel stands on ---


@pytest.mark.parametrize("name", NAMES)
def test_nothing_imports_a_plugin(name: str) -> None:
    """Dvidkit never imports an engine, a datatype or the conformance kit."""
    plugins = {each.split(".")[0] for each in imported(tree_of(name)) if each.startswith("dvidkit_")}
    allowed = {"dvidkit_conformance"} if name.startswith("dvidkit.cli") else set()
    assert plugins <= allowed


@pytest.mark.parametrize("name", KERNEL)
def test_the_kernel_needs_no_web(name: str) -> None:
    """The kernel imports neither a web framework nor dvidkit's own http and cli."""
    found = list(imported(tree_of(name)))
    assert not WEB & {each.split(".")[0] for each in found}
    assert not [each for each in found if each.startswith(("dvidkit.http", "dvidkit.cli"))]


_IMPORT = """
import sys, threading, logging, os, warnings
before = set(os.listdir("."))
import {name}
loaded = {{each.split(".")[0] for each in sys.modules}}
assert not {{each for each in loaded if each.startswith("dvidkit_")}} - {allowed}, "a plugin was imported"
assert not loaded & {web}, "a web framework was imported"
assert threading.active_count() == 1, "a thread was started"
assert set(os.listdir(".")) == before, "a file was made"
assert not logging.getLogger("dvidkit").handlers and not logging.getLogger().handlers, "a log handler was added"
"""


@pytest.mark.parametrize("name", KERNEL)
def test_importing_has_no_side_effect(name: str, tmp_path: Path) -> None:
    """Each module can be imported first, in a fresh interpreter: no plugin, thread, file, handler or output comes."""
    code = _IMPORT.format(name=name, allowed=set(), web=WEB)
    path = [str(ROOT), str(ROOT / "engines"), str(ROOT / "conformance")] if PACKAGE.parent == ROOT else []
    code = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS = {
    "list",
    "dict",
    "set",
    "defaultdict",
    "OrderedDict",
    "Counter",
    "deque",
    "bytearray",
    "Lock",
    "RLock",
    "local",
}


def mutable_state(tree: ast.Module) -> Iterator[str]:
    """Names at module level that are bound to something that can change, and are not declared ``Final``."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value, final = node.targets, node.value, False
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value, final = [node.target], node.value, "Final" in ast.dump(node.annotation)
        else:
            continue
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name | ast.Attribute)
        maker = (value.func.id if isinstance(value.func, ast.Name) else value.func.attr) if made else ""  # type: ignore[attr-defined,union-attr]  # pyright: ignore
        if (isinstance(value, _MUTABLE) or maker in _MAKERS) and not final and names != ["__all__"]:
            yield from names


@pytest.mark.parametrize("name", NAMES)
def test_no_module_level_mutable_state(name: str) -> None:
    """No module holds state: no ``global``, no list, dict, set or lock that is not declared ``Final``."""
    tree = tree_of(name)
    assert list(mutable_state(tree)) == []
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]


@pytest.mark.parametrize("name", NAMES)
def test_constant_tables_are_not_changed(name: str) -> None:
    """What is bound at module level and ``Final`` is not written to by any function of the module."""
    tree = tree_of(name)
    tables = {
        node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    changed = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and isinstance(node.value, ast.Name)
        and node.value.id in tables
    ]
    changed += [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in tables
        and node.func.attr in {"append", "add", "update", "pop", "setdefault", "clear"}
    ]
    assert changed == []


# --- names and words ---


def public(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST]]:
    """Public classes and functions in a body, and public methods of public classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield f"{where}.{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{where}.{child.name}")


def is_overload(node: ast.AST) -> bool:
    """Whether it is one of several signatures of a function, or the setter of a property that is documented."""
    decorators = [ast.unparse(each) for each in getattr(node, "decorator_list", [])]
    return "overload" in decorators or any(each.endswith(".setter") for each in decorators)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """Modules, public classes, their public methods and public functions say what they are."""
    tree = tree_of(name)
    bare = [where for where, node in public(tree, name) if not ast.get_docstring(node) and not is_overload(node)]  # type: ignore[arg-type]  # pyright: ignore
    assert ast.get_docstring(tree)
    assert bare == []


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_all_exists(name: str) -> None:
    """``__all__`` names what there is, once each."""
    module: ModuleType = importlib.import_module(name)
    names = list(getattr(module, "__all__", ()))
    assert [each for each in names if not hasattr(module, each)] == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_not_long(name: str) -> None:
    """Past 400 lines, a second room is waiting."""
    assert len(path_of(name).read_text("utf-8").splitlines()) <= LONGEST_MODULE


def test_functions_are_short() -> None:
    """Nine functions in ten have at most 30 lines; the median has under 10."""
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for name in NAMES
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) * 9 // 10] <= 30
    assert lengths[len(lengths) // 2] < 10


# --- errors ---

ERRORS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.DvidkitError)]


def drawn() -> dict[str, str]:
    """The tree at the top of ``dvidkit/errors.py``: each class and the class it stands under."""
    parents: dict[str, str] = {}
    group = ""
    for line in (errors.__doc__ or "").splitlines():
        if line.strip() == "DvidkitError":
            parents["DvidkitError"] = "Exception"
        match = re.match(r"\s+(?:[├└]── |│\s+)(.*)", line)
        if match is None:
            continue
        if "──" in line:
            head = re.match(r"(\w+)(?: \(\w+\))?(.*)", match[1])
            assert head is not None
            group, rest = head[1], head[2]
            parents[group] = "DvidkitError"
        else:
            rest = match[1]
        if re.fullmatch(r"[\s\w]*", rest) and not re.search(r"\b[a-z]+\b", rest):
            parents |= dict.fromkeys(rest.split(), group)
    return parents


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    """Every class stands in the drawing, under the class it derives from, and nothing else does."""
    real = {each.__name__: each.__bases__[0].__name__ for each in ERRORS}
    tree = drawn()
    assert sorted(tree) == sorted(real)
    wrong = {name: (parent, real[name]) for name, parent in tree.items() if not is_below(name, parent)}
    assert wrong == {}


def is_below(name: str, parent: str) -> bool:
    """Whether the class derives from the one it is drawn under."""
    return parent in {each.__name__ for each in getattr(errors, name).__mro__[1:]}


def test_codes_are_stable_and_different() -> None:
    """Each class has a code of its own."""
    codes = [each.__dict__.get("code") for each in ERRORS]
    assert None not in codes
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", str(code)) for code in codes)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[errors.DvidkitError]) -> None:
    """An error comes out of a pickle with its message and all that it is about."""
    names = [name for name in inspect.get_annotations(kind) if name != "code"]
    context = dict.fromkeys(names, ("a", 1))
    error = kind("what happened", **context)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.context, again.code) == ("what happened", context, kind.code)
    for name in names:
        assert getattr(again, name) == ("a", 1)


def test_what_is_shown_is_cut() -> None:
    """A message shows a value's beginning, never a dump."""
    assert errors.shown(b"x") == "b'x'"
    assert len(errors.shown(b"x" * 1000)) < 100


# --- hooks, decisions, packaging ---

HOOKS = {name: each for name, each in vars(hookspecs).items() if name.startswith("dvidkit_")}


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_are_documented_as_they_are(name: str) -> None:
    """Each hook is annotated and says what it is for, what it is given and what it returns; pages show it as it is."""
    hook = HOOKS[name]
    signature, text = inspect.signature(hook), inspect.getdoc(hook) or ""
    annotations = inspect.get_annotations(hook)
    assert set(annotations) == {*signature.parameters, "return"}
    if signature.parameters:
        listed = text.partition("Args:")[2]
        assert [each for each in signature.parameters if not re.search(rf"^ +(?:\w+, )*{each}\b", listed, re.M)] == []
    if str(annotations["return"]) != "None":
        assert "Returns:" in text
    shown = [
        (page.name, match[0])
        for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
        for match in re.finditer(rf"^def {name}\(.*?\)(?: -> [^:]+)?:", page.read_text("utf-8"), re.M | re.S)
    ]
    plain = {
        re.sub(r"\s|'", "", f"def {name}{signature}:"),
        re.sub(r"\s|'", "", f"def {name}({', '.join(signature.parameters)}):"),
    }
    assert [each for each in shown if re.sub(r"\s|'", "", each[1]) not in plain] == []


def test_decisions_are_numbered_once() -> None:
    """Decision records are ``NNNN-title.md``, each number once, and headed by it."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [record.name[:4] for record in records if record.name[:1].isdigit()]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch("[0-9]{4}", number) for number in numbers)
    wrong = [record.name for record in records if not record.read_text("utf-8").startswith(f"# {record.name[:4]} ")]
    assert wrong == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from the sources."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--quiet", "--wheel", "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_packages_and_no_tests(wheel: list[str]) -> None:
    """Every package of every source root with all its modules, the metadata, and nothing else."""
    roots = [ROOT, ROOT / "engines", ROOT / "datatypes", ROOT / "conformance", ROOT / "plugins"]
    packages = {init.parent for root in roots for init in root.glob("dvidkit*/__init__.py")}
    wanted = {
        str(module.relative_to(package.parent))
        for package in packages
        for module in package.rglob("*.py")
        if "__pycache__" not in module.parts
    }
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {package.name for package in packages}
    assert wanted <= set(wheel)
    extra = {name for name in wheel if name.endswith(".py")} - wanted
    assert extra == set()
    tests = [name for name in wheel if re.search(r"(^|/)(tests?|conftest\.py|test_\w+\.py|__pycache__)(/|$)", name)]
    own = {name for name in tests if not name.startswith("dvidkit/cli/templates/")}
    assert own <= {"dvidkit_conformance/test_conformance.py"}, (
        "the kit's own entry, and what new projects are made from, are all that looks like a test"
    )


def test_the_kits_plugin_does_not_import_the_kernel(tmp_path: Path) -> None:
    """Pytest loads the kit's plugin in every project where it is installed: that must not load the kernel."""
    path = [str(ROOT), str(ROOT / "engines"), str(ROOT / "conformance")] if PACKAGE.parent == ROOT else []
    code = (
        f"import sys; sys.path[:0] = {path!r}\n"
        "import dvidkit_conformance.pytest_plugin\n"
        "print(sorted(name for name in sys.modules if name == 'dvidkit' or name.startswith('dvidkit.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
