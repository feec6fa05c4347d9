import dataclasses
import io
import os
import shutil

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.evaluation import (
    comparison,
    console,
    evaluate,
    features,
    generators,
    protocol,
    sources,
    watch,
)
from sagan_tf.gan import noise, ops
from sagan_tf.runs import checkpoints
from sagan_tf.runs import directory as runs_directory
from sagan_tf.runtime import files
from sagan_tf.viewing import folding, trained
from tests import processes
from tests.conftest import ROOT
from tests.evaluation.conftest import DIGITS_MODEL
from tests.testing import make_data

STANDING = config.Sampling(0.7, 3, 4, seed=1)


def write_model(run_dir, directory, *, settled=False, **changes):
    """The directory of an exported model of step 5: the .keras file alone, which tools open."""
    network, card = trained.open_generator(run_dir, 5)
    if settled:
        ops.settle_spectral_norms(network)
    directory.mkdir()
    card = dataclasses.replace(card, **changes)
    model = trained.Trained(folding.fold(network), card, source=run_dir)
    trained.write_keras(model, str(directory / "generator.keras"))
    return str(directory)


@pytest.fixture(name="run_dir", scope="module")
def fixture_run_dir(run):
    return str(run / "imagenet_64")


@pytest.fixture(name="settled", scope="module")
def fixture_settled(run_dir, tmp_path_factory):
    """A model of the run, with u as an evaluation of the run has it."""
    return write_model(run_dir, tmp_path_factory.mktemp("settled") / "M", settled=True)


@pytest.fixture(name="exported", scope="module")
def fixture_exported(run_dir, tmp_path_factory):
    """A model of the run, with u as the checkpoint has it."""
    return write_model(run_dir, tmp_path_factory.mktemp("exported") / "M")


@pytest.fixture(name="truncated", scope="module")
def fixture_truncated(run_dir, tmp_path_factory):
    """A model that says that it is an average with standing statistics, of no checkpoint."""
    return write_model(
        run_dir,
        tmp_path_factory.mktemp("truncated") / "M",
        use_ema=True,
        sampling=STANDING,
        run=None,
        checkpoint_sha256=None,
    )


@pytest.fixture(name="scored", scope="module")
def fixture_scored(settled, settings):
    """Scores of the settled model, what was printed, and the row."""
    stream = io.StringIO()
    scores = evaluate.evaluate(settings(run=settled), stream)
    return scores, stream.getvalue(), processes.rows(f"{settled}/eval")[0]


def open_source(eval_config):
    network = generators.find(eval_config)
    return sources.GeneratedImages(
        network.config,
        network,
        devices=comparison.make_devices(eval_config),
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )


@pytest.mark.slow
def test_exported_model_gets_the_scores_of_its_run(scored, first):
    (model, *real), printed, row = scored
    (of_run, *real_of_run), _, row_of_run = first
    assert [one.name for one in (model, *real)] == ["step 5", "real images", "real, held out"]
    assert model.inception_score == pytest.approx(of_run.inception_score, rel=1e-4)
    assert model.fid == pytest.approx(of_run.fid, rel=1e-3)
    assert model.kid == pytest.approx(of_run.kid, rel=1e-3)
    assert model.manifold == pytest.approx(of_run.manifold, abs=0.02)
    assert model.intra_fids == pytest.approx(of_run.intra_fids, rel=1e-3)
    assert real[1].fid == real_of_run[1].fid
    assert set(row["scores"]) == set(row_of_run["scores"])
    assert row["run"] == row_of_run["run"]
    assert "step 5" in printed


@pytest.mark.slow
def test_record_says_which_model_it_is(scored, settled, run_dir):
    record = scored[2]["protocol"]
    file = os.path.join(settled, "generator.keras")
    checkpoint = checkpoints.Checkpoints(run_dir, {}).sha256(5)
    assert record["exported"] == {
        "model": settled,
        "sha256": files.sha256(file),
        "run": runs_directory.run_id(run_dir),
        "step": 5,
        "use_ema": False,
        "checkpoint_sha256": checkpoint,
        "sampling": dataclasses.asdict(config.Sampling()),
        "u": "u as exported, not settled",
    }
    assert (record["checkpoint_step"], record["checkpoint_sha256"]) == (5, checkpoint)
    assert record["spectral_norm"] == "u as exported, not settled"
    assert record["departures"] == {"eval_sample_size": 120}
    citation = scored[2]["citation"]
    model = files.sha256(file)[:12]
    assert f"step 5 (sha256:{checkpoint[:12]}), exported (sha256:{model}): IS120" in citation
    assert (
        "(uniform random labels, moving statistics, u as exported, not settled, no EMA, not "
        in (citation)
    )


@pytest.mark.slow
def test_scores_of_two_exported_models_compare_but_not_with_their_run(scored, first):
    record = scored[2]["protocol"]
    other = {**record, "exported": {"model": "N"}, "checkpoint_step": 9}
    assert protocol.same_protocol(record, other)
    assert not protocol.same_protocol(record, first[2]["protocol"])


@pytest.mark.slow
def test_results_lie_in_the_model_which_opens_as_before(scored, settled):
    assert scored[1].splitlines()[-1] == f"samples: {settled}/eval/samples-00000005.png"
    assert {"metrics.jsonl", "samples-00000005.png"} <= set(os.listdir(f"{settled}/eval"))
    assert sorted(os.listdir(settled)) == ["eval", "generator.keras"]
    assert trained.open_model(settled).card.step == 5


@pytest.mark.process
@pytest.mark.slow
def test_command_scores_a_model_by_the_protocol_of_mmgeneration(exported, stats_dir, tmp_path):
    """And says what it cannot have of it."""
    shutil.copytree(exported, tmp_path / "M")
    flags = [
        str(tmp_path / "M"),
        "--protocol=mmgen",
        "--eval_sample_size=20",
        f"--inception={ROOT}/data/digits_classifier",
        f"--stats_dir={stats_dir}",
    ]
    code, out, err = processes.run("eval_imagenet.py", *flags)
    assert (code, out) == (1, "")
    line = err.splitlines()[-1]
    assert line.startswith(
        "error: --data_dir: expected the directory of the real images' records; "
    )
    assert "Traceback" not in err

    # Name the real images.
    code, out, err = processes.run("eval_imagenet.py", *flags, f"--data_dir={ROOT}/data/digits")
    assert code == 0, err
    (row,) = processes.rows(tmp_path / "M" / "eval")
    record = row["protocol"]
    assert record["real"]["images"] == 1797
    assert record["departures"] == {"eval_sample_size": 20}
    assert record["differs"] == list(config.protocol_differences("mmgen"))
    for difference in record["differs"]:
        assert f"protocol mmgen: {difference}\n" in out
    assert "u as exported, not settled, no EMA, uint8 by round" in row["citation"]


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 2])
def test_images_are_those_of_the_model(settings, exported, num_devices):
    """With the u of the checkpoint, whatever the number of devices."""
    path = os.path.join(exported, "generator.keras")
    source = open_source(settings(run=path, eval_sample_size=20, num_devices=num_devices))
    assert source.load() == 5
    parts = [source.devices.on_host(images, count) for images, _, count in source.batches()]
    z, labels = noise.draw_samples(0, noise.EVALUATION, count=20, z_dim=8, number_classes=10)
    expected = trained.open_model(exported).generate(z, labels)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)


@pytest.mark.slow
def test_card_decides_average_truncation_and_statistics(settings, truncated):
    source = open_source(settings(run=truncated))
    words = "standing statistics of 3 batches of 4 images from seed 1"
    images = f"uniform random labels, z truncated at 0.7, {words}, u as exported, not settled, EMA"
    assert source.describe() == {
        "batch_norm": words,
        "ema": True,
        "images": f"{images}, not quantized",
        "sampling": {"truncation": 0.7, "batches": 3, "batch_size": 4, "seed": 1},
        "spectral_norm": "u as exported, not settled",
    }
    assert source.network.config.departures(120) == {
        "eval_sample_size": 120,
        "truncation": 0.7,
        "standing_batches": 3,
    }
    record = source.network.record()
    assert "checkpoint_sha256" not in record
    assert record["exported"]["checkpoint_sha256"] is None
    ((images, _, count),) = source.batches_of_class(3, 5)
    z, _ = noise.draw_samples(4, noise.EVALUATION, count=5, z_dim=8, number_classes=10, limit=0.7)
    expected = trained.open_model(truncated).generate(z, [3] * 5)
    np.testing.assert_allclose(source.devices.on_host(images, count), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"all": True}, "--all: .*M is an exported model, which holds one step; leave out the fl"),
        ({"watch": True}, "--watch: .*M is an exported model, which holds one step; leave out"),
        (
            {"compare_untrained": True},
            "--compare_untrained: .*M is an exported model, which has no untrained version; leave",
        ),
        ({"checkpoint_step": 6}, "--checkpoint_step=6: .*M holds only step 5"),
        ({"use_ema": True}, "--use_ema: .*M was exported without --use_ema"),
        ({"standing_statistics": True}, "--standing_statistics: .*M was exported with moving"),
        ({"gf_dim": 64}, "--gf_dim=64: the model in .*M was trained with 8"),
        ({"data_dir": "absent"}, "--data_dir=absent: no such directory"),
        ({"eval_sample_size": 2000}, "--eval_sample_size=2000: data/digits holds 1797 images"),
    ],
)
def test_what_the_model_does_not_have_is_one_line(settings, exported, changes, message):
    eval_config = settings(run=exported, **changes)
    several = eval_config.all or eval_config.watch
    score = watch.score_all if several else evaluate.evaluate
    watch.wait_for_run(eval_config)
    with pytest.raises(errors.UserError, match=message) as error:
        score(eval_config, io.StringIO())
    assert "\n" not in str(error.value)
    assert os.listdir(exported) == ["generator.keras"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "message"),
    [({"size": 64}, "expected .*32"), ({"count": 140, "classes": 12}, "expected is 0 to 9")],
)
def test_real_images_of_another_size_or_more_classes_are_refused(
    settings, exported, run_dir, tmp_path, data, message
):
    """In the words that a run has for them."""
    data_dir = make_data(tmp_path / "data", **data)
    lines = []
    for run in (run_dir, exported):
        asked = settings(run=run, data_dir=data_dir, eval_sample_size=10)
        with pytest.raises(errors.UserError, match=message) as error:
            evaluate.evaluate(asked, io.StringIO())
        lines.append(str(error.value))
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_other_truncation_is_refused_or_must_be_meant(settings, exported, truncated):
    asked = settings(run=exported, truncation=0.5, standing_batches=0)
    assert generators.find(asked).sampling == config.Sampling(0.5)
    with pytest.raises(errors.UserError, match="--truncation=0.5: batch norm's statistics in "):
        generators.find(settings(run=exported, truncation=0.5))
    with pytest.raises(errors.UserError, match="--truncation=0.5: .* for z truncated at 0.7"):
        generators.find(settings(run=truncated, truncation=0.5))


def test_keras_file_of_another_program_is_refused(settings, tmp_path):
    (tmp_path / "a.keras").write_bytes(b"no archive")
    with pytest.raises(errors.UserError, match="a.keras: expected a model that export wrote"):
        generators.find(settings(run=str(tmp_path / "a.keras")))


def test_run_is_as_before(settings, run_dir):
    found = generators.find(settings(run=run_dir, gf_dim=8))
    assert found.model_config == DIGITS_MODEL
    assert (found.eval_dir, found.copy_dir) == (settings(run=run_dir).eval_dir, f"{run_dir}/eval")
