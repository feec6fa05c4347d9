"""Rules of the house that import-linter does not hold: each file read with `ast`."""

import ast
import importlib.metadata
import re
import sys

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "sagan_tf").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT / "sagan_tf")) for path in FILES]
# Worker processes import these, and TensorFlow would cost them seconds and hundreds of megabytes.
WITHOUT_TENSORFLOW = [
    "errors.py",
    "images/pixels.py",
    "images/grids.py",
    "data/preprocessing.py",
    "runtime/process_pool.py",
    *(name for name in NAMES if name.startswith("config/")),
    # The list of commands, and the help of each, must not wait for TensorFlow.
    "cli.py",
    "runtime/demo.py",
    *(name for name in NAMES if name.startswith("tools/")),
    # A machine with JAX alone compiles and runs programs.
    "benchmarks/ahead/compiler.py",
    "benchmarks/ahead/devices.py",
    "benchmarks/ahead/run_saved.py",
    "benchmarks/ahead/saved.py",
]
MOST_NODES = 9.0
MOST_LINES = 400


def imports(path) -> set[str]:
    """Full names of all modules that a file imports."""
    return imports_of(ast.parse(path.read_text()))


def imports_of(tree: ast.AST) -> set[str]:
    """As `imports`, of a file that is parsed already."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_file_reads_aloud(path):
    """At most 9 syntax nodes a line, 400 lines, and no 20 lines of a function without a pause."""
    text = path.read_text()
    tree = ast.parse(text)
    lines = text.splitlines()

    # Nodes a line of code.
    code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    nodes = sum(1 for _ in ast.walk(tree))
    if len(lines) >= 40:
        assert nodes / len(code) <= MOST_NODES

    # Length of the file.
    if path != ROOT / "sagan_tf/gan/ops.py":
        assert len(lines) <= MOST_LINES

    # Paragraphs of each function.
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # A docstring's own blank lines are no pause.
            first = node.body[0]
            if ast.get_docstring(node) is not None and len(node.body) > 1:
                first = node.body[1]
            body = lines[first.lineno - 1 : node.end_lineno]
            paused = any(not line.strip() or line.strip().startswith("#") for line in body)
            assert paused or len(body) < 20, node.name


@pytest.mark.parametrize("path", [path for path in FILES if "tools" in path.parts], ids=str)
def test_tools_do_not_import_each_other(path):
    assert not {name for name in imports(path) if name.startswith("sagan_tf.tools")}


def test_rooms_have_empty_doors():
    """An `__init__.py` that imports TensorFlow would slow every worker process."""
    doors = [path for path in FILES if path.name == "__init__.py" and path.read_text()]
    assert [str(path.relative_to(ROOT)) for path in doors] == [
        "sagan_tf/__init__.py",
        "sagan_tf/config/__init__.py",
    ]


def test_config_uses_the_standard_library_only():
    found = set()
    for path in (ROOT / "sagan_tf/config").glob("*.py"):
        found |= {name for name in imports(path) if not name.startswith("sagan_tf")}
    allowed = {"collections", "dataclasses", "functools", "os", "textwrap", "typing"}
    assert {name.split(".")[0] for name in found} <= allowed


def test_only_cli_imports_flags():
    assert [path.name for path in FILES if "absl.flags" in imports(path)] == ["cli.py"]


def test_only_one_file_knows_tfgan():
    assert [path.name for path in FILES if "tensorflow_gan" in path.read_text()] == ["tfgan.py"]


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_worker_processes_start_without_tensorflow(name):
    found = imports(ROOT / "sagan_tf" / name)
    assert not {module for module in found if module.startswith(("tensorflow", "keras"))}


def test_only_required_packages_are_imported_at_once():
    """`make demo` and the README's quick start install the package without any extra."""
    # What pip installs: what setup.py requires, and what comes with it.
    lines = [line for line in importlib.metadata.requires("sagan-tf") if "extra ==" not in line]
    required = {re.match(r"[\w-]+", line).group().replace("-", "_") for line in lines}
    with_them = {"markupsafe": "jinja2", "google": "tensorflow", "werkzeug": "tensorboard"}
    assert set(with_them.values()) <= required
    of_another_name = {"absl_py": "absl", "pillow": "PIL"}
    allowed = {of_another_name.get(name, name) for name in required} | set(with_them)

    # What a file imports as soon as it is imported itself.
    found = {}
    for path in FILES:
        tree = ast.parse(path.read_text())
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        for name in imports_of(tree):
            found.setdefault(name.split(".")[0], path.name)
    others = found.keys() - set(sys.stdlib_module_names) - {"sagan_tf"} - allowed
    assert not others, {name: found[name] for name in others}
