"""The programs of docs/little_data, in this process: commands are only noted, or played."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.data import check, dataset_info, prepare, records
from tests import scripts
from tests.conftest import ROOT
from tests.testing import make_data, make_pictures


@pytest.fixture(name="programs")
def fixture_programs(monkeypatch):
    """(name) -> a program of the folder, as a module."""
    return scripts.of_folder(monkeypatch, "docs/little_data")


def row_of(**changes):
    values = {"fid": 1.0, "recall": 0.5, "coverage": 0.25, "nearest": 0.9, "copies": 0.012}
    numbers = {"share": 1.0, "seed": 0, "steps": 2600, "settings": "a1", "images": 1797}
    given = {key: value for key, value in changes.items() if key not in values}
    values |= {key: value for key, value in changes.items() if key in values}
    return {"recipe": "digits", "augmentation": "none", **numbers, **given, "values": values}


def test_table_has_mean_least_and_largest(programs, tmp_path, capsys, monkeypatch):
    path = tmp_path / "results.jsonl"
    rows = [row_of(seed=seed, fid=fid) for seed, fid in enumerate((1, 2, 6))]
    rows += [row_of(seed=0, fid=9), row_of(share=0.05, images=90, augmentation="ada", fid=5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    # Of two lines of a run the later one counts: (9 + 2 + 6) / 3. A single run has no spread.
    monkeypatch.setattr("sys.argv", ["table.py", str(path)])
    programs("table").main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits, 2,600 steps, flagfile a1:"
    assert lines[-2].split(" | ")[:5] == ["| 90", "ada", "1", "5.00", "0.50"]
    assert lines[-1] == (
        "| 1,797 | none | 3 | 5.67 (2.00 to 9.00) | 0.50 (0.50 to 0.50) | 0.25 (0.25 to 0.25) | "
        "0.90 (0.90 to 0.90) | 1.2 (1.2 to 1.2) |"
    )


def test_page_shows_the_table_of_the_emoji(programs):
    """docs/little_data/results.jsonl holds what the page says; each row is of three seeds."""
    # Make the table of the results.
    found = programs("results").read(ROOT / "docs/little_data/results.jsonl")
    assert {row["settings"] for row in found.values()} == {programs("run").settings_of("emoji")}
    lines = programs("table").tables(found.values())
    assert [line for line in lines if line.startswith("emoji, 6,000 steps, ")] == lines[:1]
    rows = [line for line in lines if line.startswith("| 1,063 | ")]
    assert len(rows) == 3
    assert all(" | 3 | " in row for row in rows)

    # Find its rows in the page, which says the number of seeds above.
    page = (ROOT / "docs/own-pictures.md").read_text()
    shown = [line for line in page.splitlines() if line.startswith("| 1,063 | ")]
    assert shown == [row.replace(" | 3 | ", " | ", 1) for row in rows]


def test_results_of_another_flagfile_do_not_count(programs, tmp_path):
    """Nor do those of before, which do not say theirs; each flagfile has a table of its own."""
    run = programs("run")
    old = row_of(seed=0, steps=20)
    del old["settings"]
    rows = [old, row_of(seed=0, steps=20, settings="other"), row_of(seed=1, steps=20)]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = [run.Run("digits", 1.0, "none", seed, 20, "a1") for seed in range(2)]
    played = Played(programs("series").Failed)
    assert run.measure_all(runs, tmp_path, jobs=1, finish=played) == []
    assert {name for name, _ in played.commands} == {"digits-100-none-20-a1-0"}
    lines = programs("table").tables(list(programs("results").read(path).values()))
    headings = [line for line in lines if line.startswith("digits")]
    assert headings == [
        f"digits, 20 steps, flagfile {name}:" for name in ("not known", "other", "a1")
    ]


def test_digest_is_that_of_the_settings_alone(programs):
    """The first digits of SHA-256, by sha256sum, of the flags in order with a line feed between."""
    digest = programs("result_lines").digest
    assert digest(["--b=1", "--a"]) == digest(["# a comment", " --a ", "", "--b=1"])
    assert digest(["--a", "--b=1"]) == "88f02fc9"
    assert digest(["--checkpoint_dir=x", "--a", "--run_name=y", "--b=1"]) == "88f02fc9"
    assert digest(["--a", "--b=2"]) != "88f02fc9"
    assert programs("run").settings_of("digits") != programs("run").settings_of("emoji")


class Played:
    """Takes the place of `Processes.finish`: notes commands, and writes what they would write.

    Args:
      failed: the class of its errors.
      broken: name of a run whose training fails.
    """

    def __init__(self, failed, broken=""):
        self.commands = []
        self._failed = failed
        self._broken = broken

    def __call__(self, words, log):
        # Fail where that is asked for.
        self.commands.append((log.stem, words[0]))
        if log.stem == self._broken:
            raise self._failed(f"{log.stem}: broken")

        # Write the scores, or the distances.
        number = int(log.stem.rpartition("-")[2])
        if words[0] == "eval_imagenet.py":
            path = log.parent / "eval" / log.stem / "metrics.jsonl"
            path.parent.mkdir(parents=True)
            names = ("fid", "kid", "precision", "recall", "density", "coverage")
            rows = [{name: {"value": value} for name in names} for value in (99, number)]
            path.write_text("".join(json.dumps({"scores": row}) + "\n" for row in rows))
        if words[0] == "-m":
            summary = {"ratio": 0.5, "copies": 0.01}
            content = {"training_images": 7, "summary": summary}
            log.with_suffix(".json").write_text(json.dumps(content))


def test_finished_runs_are_left_out(programs, tmp_path):
    run = programs("run")
    runs = [run.Run("digits", 1.0, "none", seed, 20, "a1") for seed in range(3)]

    # One of three fails; the others have their results.
    first = Played(programs("series").Failed, broken=runs[1].name)
    failures = run.measure_all(runs, tmp_path, jobs=1, finish=first)
    assert failures == ["digits-100-none-20-a1-1: broken"]
    assert len(first.commands) == 3 + 1 + 3

    # The next start makes that one alone.
    second = Played(programs("series").Failed)
    assert run.measure_all(runs, tmp_path, jobs=2, finish=second) == []
    scripts = ["train_imagenet.py", "eval_imagenet.py", "-m"]
    assert second.commands == [(runs[1].name, script) for script in scripts]
    found = programs("results").read(tmp_path / "results.jsonl")
    assert {key[3]: row["values"]["fid"] for key, row in found.items()} == {0: 0, 1: 1, 2: 2}
    assert {row["images"] for row in found.values()} == {7}
    assert run.measure_all(runs, tmp_path, jobs=1, finish=pytest.fail) == []


def test_commands_name_files_that_are_there(programs, tmp_path):
    run = programs("run")
    ada = run.Run("digits", 0.05, "ada", 1, 2600, "a1")
    train, evaluate, nearest = run.commands(ada, tmp_path)

    # 2,600 steps of 12 images are 31.2 thousand; a quarter of them is 7.8.
    subset = tmp_path / "digits-5"
    (made,) = run.subsets([ada, ada], tmp_path)
    assert made[1:] == ["data/digits", str(subset), "--share=0.05"]
    assert {f"--data_dir={subset}", "--augment=ada", "--ada_kimg=7.8", "--seed=1"} <= set(train)
    assert "--data_dir=data/digits" in evaluate
    assert not any(word.startswith("--data_dir") for word in nearest)
    for word in (*train, *evaluate):
        name, _, value = word.partition("=")
        if name in ("--flagfile", "--inception"):
            assert (ROOT / value).exists()


@pytest.mark.parametrize("recipe", ["digits", "emoji"])
def test_recipes_are_those_of_the_flagfiles(programs, recipe):
    found = programs("recipes").RECIPES[recipe]
    lines = (ROOT / found.flagfile).read_text().splitlines()
    expected = (f"--batch_size={found.batch}", f"--max_steps={found.steps}")
    average = f"--ema_decay={found.ema_decay}"
    assert {*expected, average, f"--data_dir={found.data}"} <= set(lines)


def test_subset_has_the_first_of_each_class(programs, tmp_path):
    """12 images, labels 0, 1, 2 in turn, in two files: one has the even numbers, one the odd."""
    source = make_data(tmp_path / "all")
    subset = programs("subset")
    assert subset.write(source, str(tmp_path / "half"), 0.5) == (6, 12)
    files = sorted(str(path) for path in (tmp_path / "all").iterdir())
    everything = list(records.serialized_records(files))
    kept = records.serialized_records([str(next((tmp_path / "half").iterdir()))])
    # Labels in the order of the files: 0 2 1 0 2 1, then 1 0 2 1 0 2.
    assert list(kept) == everything[:6]
    labels = [subset.label_of(tf.train.Example.FromString(one)) for one in everything]
    np.testing.assert_array_equal(subset.first_of_each(np.array(labels), 0.01), [0, 1, 2])
    np.testing.assert_array_equal(subset.first_of_each(np.array([1, 1, 1, 4]), 0.7), [0, 1, 3])


@pytest.mark.slow
def test_subset_of_prepared_records_is_sound(programs, tmp_path):
    make_pictures(tmp_path / "source", {"ant": 5, "bee": 10})
    options = config.PrepareConfig(
        source=str(tmp_path / "source"), out=str(tmp_path / "all"), size=32, workers=1
    )
    prepare.prepare(options, io.StringIO())
    few = str(tmp_path / "few")
    programs("subset").write(options.out, few, 0.4)
    assert dataset_info.read(few).class_counts == (2, 4)
    assert check.check(config.CheckConfig(data_dir=few, grid=""), io.StringIO()) == []


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("run", ["x", "--augmentations=none,adda"], "adda: expected some of none, mirror"),
        ("run", ["x", "--shares=0"], "0: expected above 0 and at most 1"),
        ("run", ["x", "--seeds=0"], "0: expected 1 or more"),
        ("table", ["{folder}/absent"], "absent: it holds no results; run.py writes them"),
        ("table", ["{folder}/damaged"], "damaged, line 1: expected the result of a run; remove"),
        ("subset", ["{folder}", "y", "--share=0.5"], "it holds no *.tfrecords"),
    ],
)
def test_bad_input_is_one_line(programs, tmp_path, monkeypatch, capsys, name, flags, message):
    (tmp_path / "damaged").write_text('{"recipe": "digits"\n')
    words = [flag.replace("{folder}", str(tmp_path)) for flag in flags]
    monkeypatch.setattr("sys.argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit) as ended:
        programs(name).main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_costs_are_medians_of_processor_time_in_turns(programs, monkeypatch):
    """Two workloads of two steps a measurement take 1 and 1.5 s of a clock; one round is slow."""
    costs = programs("costs")
    clock = [0.0]
    order = []

    class Steps:
        iterations = 2

        def __init__(self, name, taken):
            self.name, self.taken = name, iter(taken)

        def seconds(self):
            order.append(self.name)
            clock[0] += next(self.taken)

    monkeypatch.setattr(costs.time, "process_time", lambda: clock[0])
    found = costs.measure([Steps("a", (1, 8, 1)), Steps("b", (1.5, 12, 1.5))], 3)
    assert order == ["a", "b"] * 3
    assert found == [[0.5, 4, 0.5], [0.75, 6, 0.75]]
    assert costs.lines_of(["a", "b"], found) == [
        "a: 500.0 ms, ratio 1.000",
        "b: 750.0 ms, ratio 1.500",
    ]
