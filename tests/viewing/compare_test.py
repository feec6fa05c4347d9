"""Several runs side by side: rows, means and deviations by hand, refused protocols, the same z."""

import csv
import dataclasses
import io
import json
import statistics

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import class_names
from sagan_tf.evaluation import protocol
from sagan_tf.runs import card
from sagan_tf.runs import directory as runs_directory
from sagan_tf.runtime import files
from sagan_tf.viewing import (
    charts,
    compare,
    compare_charts,
    compare_csv,
    compare_groups,
    compare_page,
    compare_protocol,
    compare_samples,
    compare_scores,
    run_summary,
    trained,
)
from tests.testing import TINY_MODEL

PROTOCOL = {
    "name": "reference",
    "departures": {"eval_sample_size": 5000},
    "eval_sample_size": 5000,
    "checkpoint_sha256": "0",
    "real": {"source": "data", "images": 5000, "fingerprint": "crc32c:" + "a" * 64},
    "classifier": {"handle": "x", "sha256": "b" * 64},
    "ema": True,
    "batch_norm": "standing statistics of 16 batches of 4 images from seed 0",
    "images": "standing statistics of 16 batches of 4 images from seed 0, EMA",
    "sampling": {"truncation": 0.0, "batches": 16, "batch_size": 4, "seed": 0},
}
FIDS = {0: 10.0, 1: 12.0, 2: 17.0}


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def make_run(place, name, *, seed=0, fids=None, record=PROTOCOL, ratios=(), **changes):
    """A run without checkpoints; `fids` by step, `ratios` of variety by step."""
    run_dir = place / name
    model = {key: changes.pop(key) for key in list(changes) if hasattr(TINY_MODEL, key)}
    train = config.TrainConfig(batch_size=4, num_towers=1, max_steps=600, ema_decay=0.9)
    runs_directory.write_config(
        str(run_dir),
        model=dataclasses.replace(TINY_MODEL, **model),
        data=config.DataConfig(),
        train=dataclasses.replace(train, seed=seed, **changes),
    )
    rows = [{"step": step, "health/variety_ratio": ratio} for step, ratio in dict(ratios).items()]
    write_lines(run_dir / "metrics.jsonl", map(json.dumps, rows))
    add_scores(run_dir, fids or {}, record)
    return run_dir


def add_scores(run_dir, fids, record, time=0.0):
    own = {"run": runs_directory.run_id(str(run_dir)), "protocol": record, "version": 2}
    path = run_dir.parent / "eval" / run_dir.name / "metrics.jsonl"
    before = path.read_text().splitlines() if path.exists() else []
    rows = []
    for step, fid in fids.items():
        scores = {
            "fid": {"value": fid, "images": 5000},
            "intra_fid": {"value": 2 * fid, "images": 100 + step},
        }
        rows.append(json.dumps({"step": step, "scores": scores, "time": time, **own}))
    write_lines(path, [*before, *rows])


def read(*run_dirs):
    return [run_summary.read(str(run_dir)) for run_dir in run_dirs]


def scored(runs, **options):
    options = config.CompareConfig(runs=("x",), **options)
    chosen = compare_protocol.choose_protocol(runs, options.protocol)
    return compare_scores.read(runs, chosen, options)


@pytest.fixture(name="seeds")
def fixture_seeds(tmp_path):
    """Three seeds of one recipe, and one run with another attention."""
    runs = [
        make_run(tmp_path, f"at16_s{seed}", seed=seed, fids={100: 50.0, 200: fid})
        for seed, fid in FIDS.items()
    ]
    other = make_run(tmp_path, "at8_s0", attention_resolution=8, fids={100: 40.0, 200: 20.0})
    return [*runs, other]


def test_mean_and_deviation_are_those_of_the_statistics_module(seeds):
    runs = read(*seeds)
    grouping = compare_groups.group(runs)
    three, one = compare_scores.spreads(grouping.groups, scored(runs), "fid")
    assert three.mean == pytest.approx(13.0)
    assert three.deviation == pytest.approx(statistics.stdev(FIDS.values()))
    assert (three.count, one) == (3, (20.0, None, 1))
    assert compare_scores.cells([three, one, None]) == ["13.00 +- 3.61", "20.00", "-"]


def test_small_scores_have_three_significant_digits():
    spreads = [compare_scores.spread([0.00123, 0.00125]), compare_scores.spread([0.5])]
    assert compare_scores.cells(spreads) == ["0.00124 +- 0.00001", "0.50000"]


def test_runs_that_differ_in_the_seed_are_one_row(seeds):
    grouping = compare_groups.group(read(*seeds))
    assert [one.label for one in grouping.groups] == [
        "attention_resolution=16",
        "attention_resolution=8",
    ]
    assert [one.count for one in grouping.groups] == ["3 seeds", "1 seed"]
    assert grouping.differing == {"attention_resolution": ["16", "8"]}
    assert grouping.mixed == grouping.others == []


def test_one_row_has_the_name_of_its_runs_without_the_seed(seeds):
    (only,) = compare_groups.group(read(*seeds[1:3])).groups
    assert only.label == only.name == f"{seeds[0].parent.name}/at16"


def test_what_does_not_decide_does_not_part_runs(tmp_path):
    """Health checks, and the same images in another place."""
    first = make_run(tmp_path, "a", health_every=100)
    second = make_run(tmp_path, "b", health_every=500)
    text = (second / "config.json").read_text().replace('"data_dir": "data"', '"data_dir": "x/y"')
    (second / "config.json").write_text(text)
    assert len(compare_groups.group(read(first, second)).groups) == 2
    kept = {"within_class": 1.0, "data": {"records": 7, "bytes": 70, "fingerprint": ""}}
    for run_dir in (first, second):
        (run_dir / "real_variety.json").write_text(json.dumps(kept))
    grouping = compare_groups.group(read(first, second))
    assert len(grouping.groups) == 1
    assert grouping.others == ["health_every"]
    assert grouping.groups[0].count == "2 runs of 1 seed"


def test_by_chooses_the_rows_and_says_what_it_mixes(seeds):
    grouping = compare_groups.group(read(*seeds), ["gf_dim", "seed"])
    assert [one.label for one in grouping.groups] == [f"gf_dim=8 seed={seed}" for seed in FIDS]
    assert [len(one.runs) for one in grouping.groups] == [2, 1, 1]
    assert grouping.mixed == ["attention_resolution"]
    with pytest.raises(errors.UserError, match="--by=gf_dims: .* did you mean gf_dim\\?"):
        compare_groups.group(read(*seeds), ["gf_dims"])


LONG = {"discriminator_learning_rate": 0.25, "generator_learning_rate": 0.5}
LONG_LABEL = "discriminator_learning_rate=0.25 generator_learning_rate=0.5"


def test_rows_with_long_labels_have_the_names_of_their_runs(tmp_path):
    """What the names of a row's runs have in common, without what those of all rows have."""
    names = [("table1-none-f00", "table1-none-f01"), ("table1-sn_both-e70", "table1-sn_both-e71")]
    runs = []
    for pair, settings in zip(names, ({}, LONG)):
        runs += [make_run(tmp_path, name, seed=seed, **settings) for seed, name in enumerate(pair)]
    groups = compare_groups.group(read(*runs)).groups
    assert [one.name for one in groups] == ["none", "sn_both"]
    assert groups[1].full_label == f"sn_both: {LONG_LABEL}"
    assert groups[1].legend == "sn_both"

    # A single run has its whole name, without the seed where it says that.
    one = make_run(tmp_path, "table1-sn-d_seed3", seed=3, gf_dim=16, **LONG)
    groups = compare_groups.group(read(*runs[:2], one)).groups
    assert [one.name for one in groups] == ["none", "sn-d"]

    # Names that do not help are numbers, and the legend says what they stand for.
    groups = compare_groups.group(read(runs[0], make_run(tmp_path, "table1-", **LONG))).groups
    assert [one.legend for one in groups] == [groups[0].full_label, f"row 2: {LONG_LABEL}"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # Nothing but the directory in common; the same words.
        ((["p/none0", "p/none1"], ["p/sn0"]), ["row 1", "row 2"]),
        ((["p/none-0", "p/none-1"], ["p/sn-0", "p/ttur-0"]), ["row 1", "row 2"]),
        ((["p/x-a", "p/x-b"], ["p/x-c", "p/x-d"]), ["row 1", "row 2"]),
        # A value is not cut in two.
        ((["p/lr-1e-4_s0"], ["p/lr-1e-3_s0"]), ["lr-1e-4", "lr-1e-3"]),
        ((["p/lr0.1"], ["p/lr0.2"]), ["lr0.1", "lr0.2"]),
        # One group keeps its words.
        ((["p/digits-none-f00", "p/digits-none-f01"],), ["digits-none"]),
        ((["p/digits0"],), ["digits0"]),
        # Other directories are a part of the name.
        ((["a_s0/run"], ["b_s0/run"]), ["a/run", "b/run"]),
    ],
)
def test_names_of_runs_become_names_of_rows(names, expected):
    train = config.TrainConfig(seed=0)
    empty = run_summary.Run(
        **{**dict.fromkeys(run_summary.Run.__dataclass_fields__), "train": train}
    )
    groups = [[dataclasses.replace(empty, directory=f"/{name}") for name in of] for of in names]
    assert compare_groups.names_of_groups(groups, ["x" * 49] * len(groups)) == expected


@pytest.mark.parametrize(
    ("at", "expected"), [("last", (300, 30.0)), ("best", (200, 5.0)), ("100", (100, 9.0))]
)
def test_at_chooses_the_step(tmp_path, at, expected):
    runs = read(make_run(tmp_path, "a", fids={100: 9.0, 200: 5.0, 300: 30.0}))
    (one,) = scored(runs, at=at)
    assert (one.row["step"], one.scores["fid"].value) == expected


def test_a_step_without_scores_is_refused_with_the_nearest(tmp_path):
    runs = read(make_run(tmp_path, "a", fids={100: 9.0, 200: 5.0}))
    with pytest.raises(errors.UserError, match="--at=150: .*/a has no scores .* of 100, 200$"):
        scored(runs, at="150")


def test_different_protocols_are_refused_field_by_field(tmp_path):
    other = {
        **PROTOCOL,
        "departures": {"eval_sample_size": 1000},
        "eval_sample_size": 1000,
        "ema": False,
        "sampling": {**PROTOCOL["sampling"], "truncation": 0.5, "batches": 0},
        "real": {**PROTOCOL["real"], "fingerprint": "crc32c:" + "c" * 64},
        "classifier": {"handle": "y", "sha256": "d" * 64},
        "images": "other words",
    }
    first = make_run(tmp_path, "a", fids={100: 1.0})
    second = make_run(tmp_path, "b", fids={100: 1.0}, record=other)
    with pytest.raises(errors.UserError) as refused:
        compare_protocol.choose_protocol(read(first, second))
    beginning, _, differing = str(refused.value).partition(f"those of {first}: ")
    assert beginning.startswith(f"--runs={second}: its scores are of another protocol than ")
    phrases, _, remedy = differing.partition(". ")
    assert remedy == "Score the runs alike, or leave some out"
    # A batch of standing statistics has a size of its own only where they are gathered.
    own = protocol.OWN_SIZE
    assert sorted(phrases.split("; ")) == [
        "EMA: true against false",
        "classifier's digest: bbbbbbbbbbbb against dddddddddddd",
        "number of generated images: 5000 against 1000",
        "real images' digest: crc32c:aaaaaaaaaaaa against crc32c:cccccccccccc",
        "standing statistics, batches: 16 against 0",
        f"standing statistics, images in a batch: {own} against 4",
        "truncation: 0.0 against 0.5",
    ]


def test_the_run_that_parts_the_others_is_named(tmp_path):
    """Not the second, which has a protocol of the first, if not its newest."""
    less = {**PROTOCOL, "eval_sample_size": 1000}
    first = make_run(tmp_path, "a", fids={100: 1.0})
    add_scores(first, {200: 2.0}, less, time=9.0)
    second = make_run(tmp_path, "b", fids={100: 1.0})
    third = make_run(tmp_path, "c", fids={100: 1.0}, record={**PROTOCOL, "ema": False})
    with pytest.raises(errors.UserError) as refused:
        compare_protocol.choose_protocol(read(first, second, third))
    assert str(refused.value).startswith(f"--runs={third}: ")
    assert f"those of {first}: EMA: true against false. " in str(refused.value)


def test_batches_as_large_as_the_run_s_own_are_one_protocol(tmp_path):
    text = "standing statistics of 16 batches of 8 images from seed 0"
    sampling = {**PROTOCOL["sampling"], "batch_size": 8}
    larger = {**PROTOCOL, "sampling": sampling, "batch_norm": text, "images": f"{text}, EMA"}
    first = make_run(tmp_path, "a", fids={100: 1.0})
    own = make_run(tmp_path, "b", fids={100: 1.0}, record=larger, batch_size=8)
    chosen = compare_protocol.choose_protocol(read(first, own))
    assert chosen.own_batches
    # Eight images of a run that has trained with four are another protocol.
    foreign = make_run(tmp_path, "c", fids={100: 1.0}, record=larger)
    with pytest.raises(errors.UserError, match="images in a batch: the run's own number against 8"):
        compare_protocol.choose_protocol(read(first, foreign))


def test_of_common_protocols_that_with_most_scores_counts(tmp_path):
    less = {**PROTOCOL, "ema": False}
    runs = [make_run(tmp_path, name, fids={100: 1.0, 200: 2.0}) for name in "ab"]
    for run_dir in runs:
        add_scores(run_dir, {200: 7.0}, less, time=9.0)
    runs = read(*runs)
    chosen = compare_protocol.choose_protocol(runs)
    assert chosen.record["ema"] is True
    (name,) = chosen.others
    assert [one.scores["fid"].value for one in scored(runs, protocol=name)] == [7.0, 7.0]
    with pytest.raises(errors.UserError, match=f"--protocol=x: expected one of .*{name} "):
        compare_protocol.choose_protocol(runs, "x")


def test_row_says_how_many_of_its_seeds_are_scored(seeds, tmp_path):
    runs = read(*seeds[:2], make_run(tmp_path, "at16_s7", seed=7))
    chosen = compare_protocol.choose_protocol(runs)
    grouping = compare_groups.group(runs)
    found = compare_page.Comparison(
        runs, grouping, chosen=chosen, scored=scored(runs), at=config.LAST
    )
    head, row = found.table()
    assert head == ["", "runs", "step", "real images seen", "FID5k", "intra-FID"]
    # stdev(10, 12) = sqrt(2), of the two that are scored. D has seen 200 batches of 4.
    assert row[1:5] == ["3 seeds, 2 scored", "200", "800", "11.00 +- 1.41"]


def test_images_that_d_has_seen_count_its_steps_and_towers(tmp_path):
    """step x d_step x batch x towers: 200 x 5 x 4 x 2."""
    path = make_run(tmp_path, "a", fids={200: 1.0}, d_step=5, num_towers=2)
    runs = read(path, make_run(tmp_path, "b", gf_dim=16))
    groups = compare_groups.group(runs).groups
    texts = [compare_scores.images_text(group, scored(runs)) for group in groups]
    assert texts == ["8,000", "-"]


def test_csv_of_the_rows_has_their_means_and_deviations(seeds):
    runs = read(*seeds)
    groups = compare_groups.group(runs).groups
    found = scored(runs)
    text = compare_csv.of_rows(groups, found, titles=compare_scores.columns(found))
    three, one = csv.DictReader(io.StringIO(text))
    assert (three["settings"], three["runs"], three["scored"]) == (
        "attention_resolution=16",
        "3",
        "3",
    )
    assert (three["step"], three["real_images_seen"]) == ("200", "800")
    assert float(three["FID5k mean"]) == pytest.approx(13.0)
    assert float(three["FID5k deviation"]) == pytest.approx(statistics.stdev(FIDS.values()))
    assert float(one["intra-FID mean"]) == 40.0
    assert one["FID5k deviation"] == ""
    assert (three["protocol"], three["classifier"]) == (one["protocol"], "x (sha256:bbbbbbbbbbbb)")
    assert one["protocol"].startswith("reference-")


def test_csv_has_a_line_for_each_run(seeds, tmp_path):
    runs = read(*seeds, make_run(tmp_path, "without", gf_dim=16))
    groups = compare_groups.group(runs).groups
    lines = list(csv.DictReader(io.StringIO(compare_csv.of_runs(groups, scored(runs)))))
    assert [line["run"] for line in lines] == [run.directory for run in runs]
    assert [line["seed"] for line in lines] == ["0", "1", "2", "0", "0"]
    assert [line["step"] for line in lines] == ["200"] * 4 + [""]
    assert [line["real_images_seen"] for line in lines] == ["800"] * 4 + [""]
    assert [line["fid5k"] for line in lines] == ["10.0", "12.0", "17.0", "20.0", ""]
    # The smallest class has another number of images in each run, and is in no title.
    assert [line["intra_fid"] for line in lines] == ["20.0", "24.0", "34.0", "40.0", ""]
    assert len({line["protocol"] for line in lines[:4]}) == 1
    assert [line["classifier"] for line in lines] == ["x (sha256:bbbbbbbbbbbb)"] * 4 + [""]


def test_band_is_the_deviation_where_the_steps_are_the_same(seeds):
    runs = read(*seeds)
    groups = compare_groups.group(runs).groups
    (panel, _) = compare_charts.panels(groups, scored(runs), {"fid": "FID5k", "intra_fid": "x"})
    three, one = panel.lines
    deviation = statistics.stdev(FIDS.values())
    np.testing.assert_allclose(three.steps, [100, 200])
    np.testing.assert_allclose(three.values, [50, 13])
    np.testing.assert_allclose(three.low, [50, 13 - deviation])
    np.testing.assert_allclose(three.high, [50, 13 + deviation])
    assert (one.low, one.label) == (None, "attention_resolution=8")


def test_seeds_of_other_steps_have_a_line_each(tmp_path):
    first = make_run(tmp_path, "a_s0", fids={100: 9.0, 200: 5.0})
    second = make_run(tmp_path, "a_s1", seed=1, fids={110: 8.0, 200: 6.0})
    runs = read(first, second)
    (panel,) = compare_charts.panels(
        compare_groups.group(runs).groups, scored(runs), {"fid": "FID5k"}
    )
    assert [line.values.tolist() for line in panel.lines] == [[9.0, 5.0], [8.0, 6.0]]
    assert [line.label for line in panel.lines] == [f"{tmp_path.name}/a"] * 2


def test_variety_of_the_runs_is_drawn_with_its_limit(tmp_path):
    """Mean and deviation of two seeds, in %, up to the limit of the health check."""
    ratios = ({100: 1.5, 200: 0.5}, {100: 0.5, 200: 0.3})
    runs = read(
        *(make_run(tmp_path, f"a_s{seed}", seed=seed, ratios=ratios[seed]) for seed in range(2)),
        make_run(tmp_path, "b", gf_dim=16, ratios={150: 0.2}),
        make_run(tmp_path, "c", gf_dim=32),
    )
    groups = compare_groups.group(runs).groups
    (panel,) = compare_charts.panels(groups, scored(runs), {})
    two, one, limit = panel.lines
    np.testing.assert_allclose(two.values, [100, 40])
    np.testing.assert_allclose(two.high - two.values, [np.sqrt(5000), np.sqrt(200)])
    assert (one.steps.tolist(), one.values.tolist()) == ([150], [20])
    assert (limit.label, limit.values.tolist()) == ("variety is lost below 40 %", [40, 40])
    assert limit.steps.tolist() == [0, 200]


def test_single_point_beside_a_long_curve_is_seen(tmp_path):
    fids = dict.fromkeys(range(1, 41), 2.0)
    first, second = make_run(tmp_path, "a_s0", fids=fids), make_run(tmp_path, "a_s1", seed=1)
    add_scores(second, {9: 3.0}, PROTOCOL)
    runs = read(first, second)
    groups = compare_groups.group(runs).groups
    (panel,) = compare_charts.panels(groups, scored(runs), {"fid": "FID5k"})
    assert [line.style for line in panel.lines] == ["-", "o-"]


def test_single_points_are_seen_in_every_row(tmp_path):
    """The seventh row has the colour of the first, and another line and marker."""
    runs = read(*(make_run(tmp_path, f"r{i}", gf_dim=8 * i, fids={9: i}) for i in range(1, 9)))
    groups = compare_groups.group(runs).groups
    (panel,) = compare_charts.panels(groups, scored(runs), {"fid": "FID5k"})
    first, *_, seventh, _ = panel.lines
    assert (first.colour, first.style, first.marker) == (seventh.colour, "o-", "o")
    assert (seventh.style, seventh.marker, seventh.dash) == ("s--", "s", "dashed")
    symbols = [(trace["marker"]["symbol"], trace["mode"]) for trace in panel.traces]
    assert symbols[::-1][5:7] == [("circle", "lines+markers"), ("square", "lines+markers")]


def test_long_names_of_the_legend_are_wrapped():
    """A name of 600 letters takes four lines of the picture's 163."""
    point = np.ones(1)
    line = charts.Curve("a", point, point)
    drawn = [charts.Chart("x", "", [line])] * 3

    def height(text):
        content = compare_charts.as_png(drawn, {"a": text}, classifier="")
        return Image.open(io.BytesIO(content)).height

    assert height("word " * 120) - height("word") == 3 * 22


def test_bad_input_is_one_line(tmp_path, seeds):
    cases = {
        str(tmp_path / "none"): "there is no such directory",
        str(tmp_path / "eval"): "no run there",
        str(tmp_path / "x*"): "no run matches this pattern",
        str(tmp_path): "several runs are there",
    }
    for word, fault in cases.items():
        with pytest.raises(errors.UserError) as refused:
            compare.find_runs([word], print)
        assert str(refused.value).startswith(f"--runs={word}: ")
        assert fault in str(refused.value)


def test_runs_given_twice_count_once(tmp_path, seeds):
    said = []
    (tmp_path / "at16_notes").mkdir()  # No run, and left out.
    words = [str(seeds[0]), str(tmp_path / "at16*"), f"{seeds[0]}/"]
    assert compare.find_runs(words, said.append) == [str(run_dir) for run_dir in seeds[:3]]
    assert said == [
        f"{words[1]}: 1 run given twice; each counts once",
        f"{words[2]}: 1 run given twice; each counts once",
    ]


def test_directory_of_several_runs_is_left_out_of_a_pattern(tmp_path):
    """As 'checkpoint/*' where checkpoint/ablation holds the runs of a series."""
    alone = make_run(tmp_path, "a")
    for seed in (0, 1):
        make_run(tmp_path / "series", f"s{seed}", seed=seed)
    said = []
    assert compare.find_runs([f"{tmp_path}/*"], said.append) == [str(alone)]
    series = tmp_path / "series"
    assert said == [f"{series}: several runs are there, left out; '{series}/*' names them"]


def test_rows_that_cannot_be_read_are_said(tmp_path):
    run_dir = make_run(tmp_path, "a", fids={100: 1.0})
    path = tmp_path / "eval" / "a" / "metrics.jsonl"
    write_lines(path, [*path.read_text().splitlines(), '{"step": 2', '{"step": 3}'])
    said = []
    assert [row["step"] for row in compare.read_run(str(run_dir), said.append).scores] == [100]
    assert said == [
        f"{path}: 1 line cannot be read, left out",
        f"{tmp_path}/eval/a: 1 row of another run or of an older release, left out",
    ]


def test_average_of_a_run_without_one_is_refused(tmp_path):
    runs = read(make_run(tmp_path, "a"), make_run(tmp_path, "b", ema_decay=0.0))
    options = config.CompareConfig(runs=("x",), use_ema=True)
    with pytest.raises(errors.UserError, match="--use_ema: .*/b has kept no moving average"):
        compare_samples.require_average(options, runs)


class Stub(trained.Trained):
    """A model whose images show the z and the label that they were made of."""

    def __init__(self, path, model_config):
        labels = [str(label) for label in range(model_config.number_classes)]
        names = class_names.Classes(labels, labels)
        about = card.Card(model_config, names, 7, use_ema=True, sigma_ratio=0.0)
        super().__init__(None, about, source=path, batch_size=5)
        self.seen = []

    def generate_pixels(self, z, labels):
        self.seen.append((np.asarray(z), np.asarray(labels)))
        grey = np.asarray(50 + 50 * np.asarray(labels), np.uint8)
        return np.broadcast_to(grey[:, None, None, None], (len(grey), 32, 32, 3))


@pytest.fixture(name="stubs")
def fixture_stubs(monkeypatch):
    """Each run's model is a stub; the stubs by directory."""
    opened = {}

    def open_model(path, **_):
        kind = config.ModelConfig
        model_config = runs_directory.read_config(path, "model", kind=kind)
        return opened.setdefault(path, Stub(path, model_config))

    monkeypatch.setattr(trained, "open_model", open_model)
    return opened


@pytest.mark.slow
def test_every_grid_has_the_same_z_and_classes(seeds, stubs):
    runs = read(*seeds)
    options = config.CompareConfig(runs=("x",), seeds="3-5", use_ema=True)
    groups = compare_groups.group(runs).groups
    grids = compare_samples.draw(options, groups, note=print)
    assert len(grids) == 4
    (z, labels), *others = [tuple(map(np.concatenate, zip(*one.seen))) for one in stubs.values()]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(z[:3], z[3:6])
    assert len(np.unique(z[:3], axis=0)) == 3
    for other_z, other_labels in others:
        np.testing.assert_array_equal(other_z, z)
        np.testing.assert_array_equal(other_labels, labels)
    assert "the same place is the same z and class" in compare_samples.sentence(
        runs, grids[0], None
    )


@pytest.mark.slow
def test_grids_of_other_classes_say_so(tmp_path, stubs):
    """As many classes, with other names."""
    run_dirs = make_run(tmp_path, "a"), make_run(tmp_path, "b")
    for run_dir, names in zip(run_dirs, (["ant", "bee", "cat"], ["car", "dog", "egg"])):
        class_names.write(str(run_dir), names, titles=None)
    runs = read(*run_dirs)
    options = config.CompareConfig(runs=("x",), seeds="0")
    (grid, _) = compare_samples.draw(options, compare_groups.group(runs).groups, note=print)
    found = compare_samples.sentence(runs, grid, None)
    assert "The runs differ in the names of their classes: the grids have the same seeds" in found


@pytest.mark.slow
def test_samples_of_other_weights_than_the_scores_say_so(seeds, stubs):
    """The stubs are averages with moving statistics; PROTOCOL gathers standing ones."""
    runs = read(seeds[0])
    options = config.CompareConfig(runs=("x",), seeds="0")
    (grid,) = compare_samples.draw(options, compare_groups.group(runs).groups, note=print)
    assert (
        "But the scores are of others: moving average (EMA), standing statistics. Compare with "
        "--standing_statistics --use_ema to see those. A class a row"
        in compare_samples.sentence(runs, grid, PROTOCOL)
    )

    # As they are scored, with batches of another size; and scores of older releases.
    sampling = {"truncation": 0.0, "batches": 0, "batch_size": 4, "seed": 0}
    alike = {**PROTOCOL, "sampling": sampling}
    old = {name: value for name, value in PROTOCOL.items() if name != "sampling"}
    for record in (alike, old, None):
        assert "scores" not in compare_samples.sentence(runs, grid, record)


@pytest.mark.slow
def test_grid_whose_classes_mean_nothing_says_so(tmp_path, stubs):
    runs = read(make_run(tmp_path, "a"), make_run(tmp_path, "b", conditioning="none"))
    options = config.CompareConfig(runs=("x",), classes="0", seeds="0")
    grids = compare_samples.draw(options, compare_groups.group(runs).groups, note=print)
    assert [grid.caption.partition("; ")[2] for grid in grids] == [
        "",
        "its classes mean nothing (--conditioning=none)",
    ]


@pytest.mark.slow
def test_grids_of_other_sizes_say_what_is_not_the_same(tmp_path, stubs):
    runs = read(make_run(tmp_path, "a"), make_run(tmp_path, "b", number_classes=2))
    options = config.CompareConfig(runs=("x",))
    grids = compare_samples.draw(options, compare_groups.group(runs).groups, note=print)
    assert (
        "differ in number_classes (3, 2): the grids have the same seeds, but the same place in two "
        "grids is not the same z and class" in compare_samples.sentence(runs, grids[0], None)
    )


@pytest.mark.slow
def test_everything_is_written(seeds, stubs, tmp_path):
    lost = make_run(
        tmp_path, "lost", gf_dim=16, ratios={100: 0.1, 300: 0.9, 500: 0.3, 600: 0.2}, fids={}
    )
    stream = io.StringIO()
    options = config.CompareConfig(
        runs=(str(tmp_path / "at*"), str(lost)), out=str(tmp_path / "out"), seeds="0-1"
    )
    before = {path: path.stat().st_mtime_ns for path in seeds[0].iterdir()}
    written = compare.compare(options, stream)
    assert written == [
        str(tmp_path / "out" / name)
        for name in ("index.html", "table.csv", "rows.csv", "curves.png", "samples.png")
    ]
    assert {path: path.stat().st_mtime_ns for path in seeds[0].iterdir()} == before
    said = stream.getvalue()
    page = (tmp_path / "out" / "index.html").read_text()
    course = "below 40 % at step 500, still below it at the end: lowest 20 % at step 600"
    alike = f"with the flags that the others are scored with: sagan eval {lost} --watch"
    for text in ("13.00 +- 3.61", "1 of 1 (step 500)", course, alike, "lower is better; the oth"):
        assert text in said
        assert text in page
    assert "://" not in page
    # With the table of scores, the curves and the single runs; in what is printed too.
    assert page.count("by the classifier x (sha256:bbbbbbbbbbbb)") == 3
    assert "by the classifier x (sha256:bbbbbbbbbbbb)" in said
    assert page.count("data:image/jpeg") == 5
    for name in ("curves.png", "samples.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.convert("RGB").getextrema() != ((255, 255),) * 3


def test_a_run_without_checkpoint_is_left_out_of_the_samples(tmp_path):
    runs = read(make_run(tmp_path, "a"))
    said = []
    options = config.CompareConfig(runs=("x",))
    groups = compare_groups.group(runs).groups
    assert compare_samples.draw(options, groups, note=said.append) == []
    assert said[-1].startswith(f"no samples of {tmp_path}/a: ")
    assert "holds no checkpoint yet" in said[-1]


def test_out_that_is_a_file_is_refused_before_the_work(seeds, tmp_path):
    (tmp_path / "file").write_text("")
    options = config.CompareConfig(runs=(str(seeds[0]),), out=str(tmp_path / "file"))
    with pytest.raises(errors.UserError, match="--out=.*cannot be written to"):
        compare.compare(options, io.StringIO())
    assert files.read_lines(str(tmp_path / "file")) == []


def test_pictures_of_an_earlier_comparison_go(tmp_path):
    """Runs without scores and checkpoints have neither curves nor samples."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("curves.png", "samples.png", "notes.txt"):
        (out / name).write_text("of another comparison")
    runs = (str(make_run(tmp_path, "a", fids={})), str(make_run(tmp_path, "b", gf_dim=16, fids={})))
    compare.compare(config.CompareConfig(runs=runs, out=str(out)), io.StringIO())
    assert {path.name for path in out.iterdir()} == {
        "index.html",
        "table.csv",
        "rows.csv",
        "notes.txt",
    }
