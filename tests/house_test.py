"""The house: a file imports only from lower floors."""

import ast

import pytest

from tests.conftest import ROOT

FLOORS = [
    {"config", "resampling"},
    {"ops", "losses", "images", "noise", "files", "order", "imagenet", "workers",
     "process", "page"},
    {"non_local", "record_index", "dataset_info", "prepared_by_tfds", "pictures", "metrics",
     "inception", "distribution", "checkpoints", "metric_writer", "health", "image_files",
     "curves", "attention", "classes", "history", "operations"},
    {"dataset", "sources", "features"},
    {"generator", "discriminator", "real_stats"},
    {"model", "scores", "folding"},
    {"reference_checkpoint", "train_lib", "eval_lib", "prepare_lib", "check_lib", "trained",
     "run_record"},
    {"cli", "watch_lib", "sample_lib", "attention_lib", "export_lib", "benchmark_lib"},
    {"report_lib"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted((ROOT / "sagan_tf").glob("*.py"))


def imports(path) -> set[str]:
    """Full names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_a_floor():
    assert {path.stem for path in MODULES} - {"__init__"} == set(FLOOR_OF)


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem != "__init__"], ids=lambda p: p.stem)
def test_imports_only_from_lower_floors(path):
    own = {name.split(".")[1] for name in imports(path) if name.startswith("sagan_tf.")}
    too_high = {name for name in own if FLOOR_OF[name] >= FLOOR_OF[path.stem]}
    assert not too_high


@pytest.mark.parametrize("path", sorted((ROOT / "sagan_tf" / "tools").glob("*.py")),
                         ids=lambda p: p.stem)
def test_tools_do_not_import_each_other(path):
    assert not {name for name in imports(path) if name.startswith("sagan_tf.tools")}


def test_config_uses_the_standard_library_only():
    assert imports(ROOT / "sagan_tf/config.py") <= {
        "dataclasses", "os", "signal", "typing.Any", "typing.Optional"}


def test_only_cli_imports_flags():
    assert [path.stem for path in MODULES if "absl.flags" in imports(path)] == ["cli"]


def test_only_metrics_knows_tfgan():
    assert [path.stem for path in MODULES if "tensorflow_gan" in path.read_text()] == ["metrics"]


@pytest.mark.parametrize("name", ["pictures", "images", "workers", "config"])
def test_worker_processes_start_without_tensorflow(name):
    """A worker imports `pictures`; TensorFlow would cost it seconds and hundreds of megabytes."""
    assert not {found for found in imports(ROOT / f"sagan_tf/{name}.py")
                if found.startswith(("tensorflow", "keras"))}
