"""The programs of docs/ablation, in this process: commands are only noted, or played."""

import dataclasses
import json
import re

import pytest

from sagan_tf import config
from sagan_tf.runs import directory
from sagan_tf.tools import train as train_tool
from tests import scripts
from tests.config.flagfiles_test import values_of
from tests.conftest import ROOT

NAMES = (
    "none",
    *(f"{kind}{side}" for kind in ("attention", "residual") for side in (8, 16, 32)),
    *("acgan", "sngan_projection", "sn_d", "sn_both", "sn_both_ttur"),
)
ALL = [("emoji", name) for name in NAMES]
ALL += [("digits", name) for name in NAMES if not name.endswith("32")]
# The rates of G and of D in the flagfiles.
RATES = {"digits": (1.8e-4, 1.2e-3), "emoji": (1e-4, 8e-4)}
SIZES = {"digits": (12, 6000, 0.998), "emoji": (12, 3000, 0.999)}


@pytest.fixture(name="programs")
def fixture_programs(monkeypatch):
    """(name) -> a program of the folder, as a module."""
    return scripts.of_folder(monkeypatch, "docs/ablation")


def settings_of(programs, recipe, row, folder):
    """The networks' and the training's settings of a row's command."""
    # Take the command apart.
    run = programs("run")
    steps = SIZES[recipe][1]
    one = run.Run(recipe, row, 2, steps, run.settings_of(recipe, row))
    words = run.commands(one, folder)[0][1:]
    flagfile = words.pop(0).removeprefix("--flagfile=")

    # Of two flags of the same name the later one counts, and the flagfile comes first.
    path = folder / "all.flags"
    path.write_text((ROOT / flagfile).read_text() + "\n".join(words))
    values = values_of(path, train_tool.COMMAND.kinds)
    size = {"digits": {}, "emoji": {"image_size": 64, "number_classes": 9}}[recipe]
    model = config.ModelConfig(**values[config.ModelConfig], **size)
    return model, config.TrainConfig(**values[config.TrainConfig])


@pytest.mark.parametrize(("recipe", "row"), ALL)
def test_settings_of_a_row(programs, tmp_path, recipe, row):
    """What decides is written down here once more: block, place, SN, class, D steps, rates."""
    model, train = settings_of(programs, recipe, row, tmp_path)
    batch, steps, decay = SIZES[recipe]

    # Table 1 and AC-GAN, SNGAN-projection, the figure.
    others = row in ("acgan", "sngan_projection")
    kind, side = re.fullmatch(r"(attention|residual)?(8|16|32)?.*", row).groups()
    side = int(side) if side else None
    assert (model.attention_side("generator"), model.attention_side("discriminator")) == (side,) * 2
    assert model.block == (kind or "attention")
    assert model.generator_sn == (row not in ("acgan", "sngan_projection", "sn_d"))
    assert model.conditioning == ("auxiliary_classifier" if row == "acgan" else "projection")

    # Optimizers.
    rates = (train.generator_learning_rate, train.discriminator_learning_rate)
    of_figure = {"sn_d": (2e-4, 2e-4), "sn_both": (2e-4, 2e-4), "sn_both_ttur": (1e-4, 4e-4)}
    assert rates == ((2e-4, 2e-4) if others else of_figure.get(row, RATES[recipe]))
    assert (train.d_step, train.g_step) == ((5, 1) if others else (1, 1))
    assert (train.beta1, train.beta2) == (0, 0.9)
    assert train.ema_decay == pytest.approx(1 - 5 * (1 - decay) if others else decay)

    # D sees as many real images in all rows, and the variety is looked at 20 times.
    assert train.batch_size * train.num_towers == batch
    assert train.max_steps * train.d_step == steps
    assert train.max_steps == 20 * train.health_every
    assert train.seed == 2
    assert train.mixed_precision == {"digits": "float32", "emoji": "bfloat16"}[recipe]


def test_recipe_itself_is_a_row(programs, tmp_path):
    """Table 2's SAGAN: the flagfile's own networks and rates, in the words of the row."""
    for recipe, row in programs("rows").SAGAN.items():
        model, train = settings_of(programs, recipe, row, tmp_path)
        flagfile = programs("recipes").RECIPES[recipe].flagfile
        own = values_of(ROOT / flagfile, train_tool.COMMAND.kinds)
        size = {name: getattr(model, name) for name in ("image_size", "number_classes")}
        networks = config.ModelConfig(**own[config.ModelConfig] | size)
        assert networks.attention_side("generator") == model.attention_side("generator")
        changed = {"checkpoint_dir", "run_name", "seed", "health_every"}
        changed |= {"max_steps", "mixed_precision"} if recipe == "emoji" else set()
        plain = dataclasses.asdict(config.TrainConfig(**own[config.TrainConfig]))
        for name, value in dataclasses.asdict(train).items():
            assert value == plain[name] or name in changed


def test_rows_are_those_of_the_recipe(programs):
    rows = programs("rows")
    found = [(recipe, name) for recipe in ("emoji", "digits") for name in rows.ROWS_OF[recipe]]
    assert found == ALL


def test_published_figures_are_those_of_the_page(programs):
    """docs/paper.md has the same figures, of the files in configs/paper."""
    # Read the page's tables: the first cell names the file.
    lines = (ROOT / "docs/paper.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    page = {first.strip("`").partition("_")[2]: rest for first, *rest in cells}

    # Compare.
    for name, figures in programs("rows").PUBLISHED.items():
        columns = {"curve": 2, "IS": 0, "FID": 1, "intra-FID": 2}
        expected = {figure: page[name][columns[figure]] for figure in figures}
        assert figures == expected


def test_page_shows_the_tables_of_the_results(programs):
    """docs/ablation/results.jsonl holds what the page says, and the page says nothing else."""
    # Take the rows of the page's section, without headings.
    page = (ROOT / "docs/ablation.md").read_text()
    section = page.partition("## The results")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("|")]

    # Compare.
    found = programs("results").read(ROOT / "docs/ablation/results.jsonl")
    lines = programs("table").tables(found.values())
    assert shown == [line for line in lines if line.startswith("|")]
    assert len(shown) == (3 * 2 + 5 + 3 + 3) + (3 * 2 + 7 + 3 + 3)
    digits = ": digits, 6,000 steps of D, 72,000 real images"
    emoji = ": emoji, 3,000 steps of D, 36,000 real images"
    titles = [line for line in lines if digits in line or emoji in line]
    assert [title in section for title in titles] == [True] * 3 * 2


def test_results_are_of_the_flags_of_today(programs):
    """So run.py leaves out the runs of the kept file, and makes them anew after a change."""
    run = programs("run")
    rows = programs("results").read(ROOT / "docs/ablation/results.jsonl").values()
    assert len(rows) == 66
    for row in rows:
        lines = programs("recipes").flags_of(row["recipe"])
        assert row["flagfile"] == programs("result_lines").digest(lines)
        assert row["settings"] == run.settings_of(row["recipe"], row["row"])


def line_of(row, seed, *, lost=None, was_there=True, **changes):
    """A line of results: 6,000 iterations, four minutes."""
    scores = ("incscore", "fid", "kid", "intra_fid", "precision", "recall", "density", "coverage")
    values = {name: changes.get(name, 0.5) for name in scores}
    variety = {"lost": lost, "was_there": was_there, "lowest": 0.1, "lowest_step": 9, "last": 0.2}
    key = {"recipe": "digits", "row": row, "seed": seed, "steps": 6000, "settings": "b2"}
    about = {"flagfile": "a1", "images": 72_000, "iterations": 6000, "seconds": 240}
    about |= {name: value for name, value in changes.items() if name not in values}
    return {**key, **about, "variety": variety, "values": values}


def test_tables_by_hand(programs, tmp_path, capsys, monkeypatch):
    """Means and spread of three seeds; a table for each of the paper's, rows in its order."""
    rows = [line_of("residual8", 0, lost=1500, incscore=2, seconds=90)]
    rows += [line_of("none", seed, fid=fid) for seed, fid in enumerate((1, 2, 6))]
    rows += [line_of("attention8", seed, lost=lost) for seed, lost in enumerate((600, None))]
    rows += [line_of("acgan", 0, iterations=1200, lost=300, was_there=False, intra_fid=7)]
    rows += [line_of("none", 0, fid=4), line_of("sn_d", 0, lost=3000)]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr("sys.argv", ["table.py", str(path)])
    programs("table").main()

    # Of two lines of a run the later one counts: (4 + 2 + 6) / 3.
    half = "0.50 (0.50 to 0.50)"
    halves = " | ".join([half] * 3)
    scores = "IS | FID | precision | recall | coverage"
    four = "4.0 (4.0 to 4.0)"
    about = "digits, 6,000 steps of D, 72,000 real images, flagfile a1:"
    expected = f"""Table 1: {about}

| row | seeds | {scores} | variety lost | minutes | paper: IS | paper: FID |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| none | 3 | {half} | 4.00 (2.00 to 6.00) | {halves} | 0 of 3 | {four} | 42.87? | 22.96? |
| attention8 | 2 | {half} | {half} | {halves} | 1 of 2: 10 % | {four} | 43.15? | 22.98 |
| residual8 | 1 | 2.00 | 0.50 | 0.50 | 0.50 | 0.50 | 1 of 1: 25 % | 1.5 | 23.17? | 42.13 |

Table 2: {about}

"""
    found = capsys.readouterr().out
    assert found.startswith(expected)
    others = "| 0.50 | 0.50 | 0.50 | 0.50 | 0.50 |"
    assert f"| acgan | 1 {others} 7.00 | 1 of 1: never there | 4.0 | 28.5 | not given |" in found
    assert f"| sagan (attention8) | 2 | {half} |" in found
    assert f"| sn_d | 1 {others} 1 of 1: 50 % | 4.0 | the modes collapse early |" in found
    assert "sngan_projection" not in found


def test_other_flags_are_another_line(programs):
    """Runs of another flagfile have tables of their own; of other flags of a row, a line."""
    rows = [line_of("none", 0), line_of("none", 1, settings="c3")]
    rows += [line_of("none", 0, flagfile="other")]
    lines = programs("table").tables(rows)
    starts = [line.split(" | ")[:2] for line in lines if line.startswith("| none")]
    assert starts == [
        ["| none, flags b2", "1"],
        ["| none, flags c3", "1"],
        ["| none", "1"],
    ]
    assert sum("flagfile other:" in line for line in lines) == 1


def test_variety_that_was_not_recorded(programs):
    unknown = {**line_of("none", 0), "variety": None}
    assert programs("table").variety_lost([unknown]) == "not recorded"
    assert programs("table").variety_lost([unknown, line_of("none", 1, lost=60)]) == "1 of 1: 1 %"


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

        # Write the scores, or the course.
        if words[0] == "eval_imagenet.py":
            path = log.parent / "eval" / log.stem / "metrics.jsonl"
            path.parent.mkdir(parents=True)
            rows = [line_of("none", 0, fid=fid)["values"] for fid in (99, 7)]
            scores = [{name: {"value": value} for name, value in row.items()} for row in rows]
            path.write_text("".join(json.dumps({"scores": row}) + "\n" for row in scores))
        if words[0] == "-m":
            course = {"seconds": 12.5, "variety": {"lost": 6, "was_there": True}}
            log.with_suffix(".json").write_text(json.dumps(course))


def test_finished_runs_are_left_out(programs, tmp_path):
    run = programs("run")
    failed = programs("series").Failed
    names = ("none", "acgan", "sn_d")
    runs = [run.Run("digits", name, 0, 20, run.settings_of("digits", name)) for name in names]
    assert len({one.settings for one in runs}) == 3

    # One of three fails; the others have their results.
    first = Played(failed, broken=runs[1].name)
    failures = run.measure_all(runs, tmp_path, jobs=1, finish=first)
    assert failures == [f"{runs[1].name}: broken"]
    assert len(first.commands) == 3 + 1 + 3

    # The next start makes that one alone.
    second = Played(failed)
    assert run.measure_all(runs, tmp_path, jobs=2, finish=second) == []
    words = ["train_imagenet.py", "eval_imagenet.py", "-m"]
    assert second.commands == [(runs[1].name, word) for word in words]
    assert run.measure_all(runs, tmp_path, jobs=1, finish=pytest.fail) == []

    # 20 batches of 12 images: in 20 iterations, or in 4 with five D steps each.
    found = programs("results").read(tmp_path / "results.jsonl")
    assert {key[1]: row["iterations"] for key, row in found.items()} == {
        "none": 20,
        "acgan": 4,
        "sn_d": 20,
    }
    assert {row["images"] for row in found.values()} == {240}
    assert {row["values"]["fid"] for row in found.values()} == {7}
    assert {(row["seconds"], row["variety"]["lost"]) for row in found.values()} == {(12.5, 6)}


def test_commands_of_a_series(programs, tmp_path, monkeypatch, capsys):
    """Seeds come one after the other; files that the commands name are there."""
    words = ["run.py", str(tmp_path), "--rows=none,acgan", "--seeds=2", "--max-steps=40", "--show"]
    monkeypatch.setattr("sys.argv", words)
    programs("run").main()
    lines = capsys.readouterr().out.splitlines()
    trained = [line for line in lines if "train_imagenet.py" in line]
    names = [re.search(r"--run_name=digits-(\w+)-40-\w{8}-(\d) ", line) for line in trained]
    expected = [("none", "0"), ("acgan", "0"), ("none", "1"), ("acgan", "1")]
    assert [name.groups() for name in names] == expected
    assert len(lines) == 3 * 4
    assert all("--use_ema --standing_statistics" in line for line in lines if "eval_" in line)
    for name, value in re.findall(r"--(flagfile|inception|data_dir)=(\S+)", "\n".join(lines)):
        assert (ROOT / value).exists(), name
    assert any(" -m docs.ablation.course " in line for line in lines)
    assert (ROOT / "docs/ablation/course.py").exists()


def test_seconds_leave_pauses_out(programs):
    """10 s to an end, 5 s to the last row before a kill, 7 s to a kill that is the last event."""
    seconds_of = programs("course").seconds_of
    words = ["start", "warning", "end", "start", "start", "warning"]
    events = [{"event": word, "time": time} for word, time in zip(words, (0, 3, 10, 100, 200, 201))]
    assert seconds_of(events, [1, 9, 105, 203, 207]) == 10 + 5 + 7
    assert seconds_of(events[:4], [1, 9]) == 10
    assert seconds_of([], []) == 0


def test_course_is_that_of_the_rows(programs, tmp_path):
    """The average of 0.998 needs 500 steps: the row before them counts for nothing."""
    train = config.TrainConfig(ema_decay=0.998, use_ema=True)
    directory.write_config(str(tmp_path), train=train)
    ratios = {300: 0.1, 600: 0.5, 900: 0.3, 1200: 0.6}
    rows = [{"step": step, "time": step, "health/variety_ratio": ratios[step]} for step in ratios]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    events = [{"event": "start", "time": 0, "step": 0}, {"event": "end", "time": 1300, "step": 0}]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in events))
    variety = {"lost": 900, "was_there": True, "lowest": 0.3, "lowest_step": 900, "last": 0.6}
    found = programs("course").course_of(str(tmp_path))
    assert found == {"seconds": 1300, "variety": variety}


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("run", ["x", "--rows=none,attention64"], "attention64: expected some of none, attention8"),
        ("run", ["x", "--rows=residual32"], "--rows=residual32: --recipe=digits has none, att"),
        ("run", ["x", "--max-steps=42"], "--max-steps=42: expected a multiple of 5, the D steps"),
        ("table", ["{folder}/absent"], "absent: it holds no results; run.py writes them"),
        ("table", ["{folder}/damaged"], "damaged, line 1: expected the result of a run; remove"),
    ],
)
def test_bad_input_is_one_line(programs, tmp_path, monkeypatch, capsys, name, flags, message):
    (tmp_path / "damaged").write_text('{"recipe": "digits"}\n')
    words = [flag.replace("{folder}", str(tmp_path)) for flag in flags]
    monkeypatch.setattr("sys.argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit) as ended:
        programs(name).main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
