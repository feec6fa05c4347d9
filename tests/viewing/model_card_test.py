import dataclasses
import io
import json
import math
import os
import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import class_names
from sagan_tf.runs import card, checkpoints, directory
from sagan_tf.viewing import card_facts, card_metadata, export, model_card, trained
from tests.testing import PLAIN_MODEL, TINY_MODEL

KERAS_CARD = card.Card(
    model_config=TINY_MODEL,
    classes=class_names.make(["cat", "a|b", "<i>"], None, count=3),
    step=5000,
    use_ema=False,
    sigma_ratio=0.5,
    run="f00d",
    checkpoint_sha256="ab" * 32,
    made_with={"keras": "3.15.1"},
)
RECORD = {
    "name": "reference",
    "departures": {"eval_sample_size": 1797},
    "seed": 7,
    "ema": False,
    "checkpoint_sha256": "ab" * 32,
    "real": {"images": 1797, "split": "train", "source": "/home/ada/digits"},
    "classifier": {"handle": "/home/ada/digits_classifier", "sha256": "47d6400f5296" + "0" * 52},
}
ROW = {
    "step": 5000,
    "version": 2,
    "run": "f00d",
    "scores": {
        "fid": {"value": 12.5, "images": 1797},
        "kid": {"value": 1e-05, "images": 1797, "error": 2e-06},
        "recall": {"value": math.nan, "images": 1797},
    },
    "protocol": RECORD,
    "citation": "step 5000: FID1797 12.50; protocol reference: 1797 images (moving statistics)",
}


def hub_card(text):
    """The text as the hub's own parser reads it."""
    return pytest.importorskip("huggingface_hub").ModelCard(text)


def test_parser_of_the_hub_reads_the_metadata():
    facts = card_facts.Facts("cc-by-4.0", "digits", "ada/sagan-digits", scores=(ROW,))
    data = hub_card(model_card.text(KERAS_CARD, facts)).data
    assert (data.license, data.library_name) == ("cc-by-4.0", "keras")
    assert data.pipeline_tag == "unconditional-image-generation"
    assert {"sagan", "self-attention", "class-conditional"} <= set(data.tags)
    assert (data.datasets, data.model_name) == (["digits"], "sagan-digits")
    fid, kid = data.eval_results
    assert (fid.task_type, fid.dataset_name) == ("unconditional-image-generation", "digits")
    assert (fid.dataset_split, fid.metric_type) == ("train", "fid")
    assert (fid.metric_name, fid.metric_value) == ("FID, 1,797 images", 12.5)
    assert (kid.metric_type, kid.metric_value) == ("kid", 1e-05)
    assert fid.metric_args == {
        "protocol": "protocol reference, eval_sample_size 1797",
        "classifier": "digits_classifier (sha256:47d6400f5296)",
        "generated_images": "1,797",
        "real_images": "1797",
        "seed": 7,
    }


def test_what_is_unknown_is_said():
    text = model_card.text(KERAS_CARD, card_facts.Facts())
    data = hub_card(text).data
    assert (data.license, data.datasets, data.eval_results) == ("unknown", None, None)
    for part in (
        "Unknown: whoever exported the model did not say.",
        "Data set: unknown",
        "This project has no scores of this model",
        "Its quality, as it is here, has not been measured.",
        "hf://USER/NAME",
    ):
        assert part in text


def test_scores_stand_with_protocol_and_classifier_and_without_paths():
    text = model_card.text(KERAS_CARD, card_facts.Facts(scores=(ROW,)))
    assert "Classifier: `digits_classifier (sha256:47d6400f5296)`." in text
    assert "| FID, 1,797 images | 12.5000 |" in text
    assert "| KID, 1,797 images | 0.00001 (standard error 0.00000) |" in text
    assert "Recall" not in text  # It is no number.
    assert f"Protocol: {ROW['citation']}." in text
    assert "/home/ada" not in text


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"ema": True}, False),
        ({"checkpoint_sha256": "cd" * 32}, False),
        ({"sampling": {"truncation": 0.7, "batches": 16, "batch_size": 2, "seed": 0}}, False),
    ],
)
def test_scores_are_of_these_weights_and_statistics(change, holds):
    row = {**ROW, "protocol": {**RECORD, **change}}
    assert card_facts.scores_of([row], KERAS_CARD) == ([row] if holds else [])


def test_names_of_classes_are_text():
    text = model_card.text(KERAS_CARD, card_facts.Facts())
    assert r"Classes: 0 cat, 1 a\|b, 2 \<i\>." in text


def test_thousand_classes_are_not_all_listed():
    many = card.Card(
        model_config=config.ModelConfig(number_classes=1000),
        classes=class_names.make([str(label) for label in range(1000)], None, count=1000),
        step=1,
        use_ema=True,
        sigma_ratio=None,
    )
    text = model_card.text(many, card_facts.Facts())
    assert "38, 39, and 960 more in `model.json`." in text
    assert "their moving average" in text


def test_card_of_other_projects_has_source_and_licence():
    origin = {
        "project": "PyTorch-StudioGAN",
        "licence": "code MIT; weights MIT (model card)",
        "hub_licence": "mit",
        "url": "https://example.org/G.pth",
        "published": "IS 19.16, FID 51.82 at step 120,000",
        "protocol": "50,000 images",
        "files": {"G.pth": "12" * 32},
    }
    imported = card.Card(KERAS_CARD.model_config, KERAS_CARD.classes, 1, True, 0.5, origin=origin)
    facts = card_facts.of_import(config.ExportConfig(run="x", out="y"), imported)
    text = model_card.text(imported, facts)
    assert hub_card(text).data.license == "mit"
    for part in (
        "Its weights are from PyTorch-StudioGAN.",
        "mit. The source states: code MIT; weights MIT (model card)",
        "Source: <https://example.org/G.pth>.",
        "The source publishes: IS 19.16, FID 51.82 at step 120,000.",
        f"File `G.pth`: SHA-256 `{'12' * 32}`.",
    ):
        assert part in text
    assert facts.dataset == ""  # It has three classes, not those of ImageNet.


def test_yaml_keeps_texts_and_small_numbers():
    hub = pytest.importorskip("yaml")
    values = {"a": 'quote " and \\ : # é', "b": 1e-07, "c": [{"d": 2.0, "e": ["f"]}], "g": "no"}
    lines = "\n".join(card_metadata.yaml_lines(values))
    assert hub.safe_load(lines) == values


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"licence": "Apache 2.0"}, "--licence=Apache 2.0: expected a name of Hugging Face's list"),
        ({"dataset": "a/b/c"}, "--dataset=a/b/c: expected a name of letters"),
        ({"hub_repo": "sagan"}, "--hub_repo=sagan: expected USER/NAME"),
    ],
)
def test_bad_flags_are_one_line(flags, message):
    with pytest.raises(errors.UserError, match=re.escape(message)):
        config.ExportConfig(run="run", out="out", **flags)


@pytest.fixture(name="exported", scope="module")
def fixture_exported(plain_run, tmp_path_factory):
    """(directory, what was printed) of an export of a run with scores of two steps."""
    # Score the checkpoint.
    folder = tmp_path_factory.mktemp("card")
    digest = checkpoints.Checkpoints(plain_run, {}).sha256(5)
    run = directory.run_id(plain_run)
    rows = []
    for step, sha256 in ((4, "0" * 64), (5, digest)):
        record = {**RECORD, "checkpoint_sha256": sha256}
        rows.append(json.dumps({**ROW, "step": step, "run": run, "protocol": record}) + "\n")
    (folder / "eval").mkdir()
    (folder / "eval/metrics.jsonl").write_text("".join(rows))

    # Export it.
    stream = io.StringIO()
    out = str(folder / "M")
    flags = {"eval_dir": str(folder / "eval"), "hub_repo": "ada/plain"}
    export.export(config.ExportConfig(run=plain_run, out=out, **flags), stream)
    return out, stream.getvalue()


@pytest.mark.slow
def test_export_holds_what_its_card_names(exported):
    text = pathlib.Path(exported[0], "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.]+)`", text.partition("## Files")[2]))
    assert named <= set(os.listdir(exported[0]))
    assert len(named) == 8
    assert "- Seed: 0." in text
    assert "- Images a step: 2." in text
    (fid, _) = hub_card(text).data.eval_results
    assert fid.metric_value == 12.5
    with Image.open(f"{exported[0]}/samples.png") as grid:
        assert grid.width > 4 * 32
        assert grid.height > 3 * 32


@pytest.fixture(name="downloaded")
def fixture_downloaded(exported, tmp_path, monkeypatch):
    """A stand-in for the hub: it has the files of the export, and no empty directories."""
    # Upload it.
    hub = pytest.importorskip("huggingface_hub")
    snapshot = tmp_path / "snapshot"
    for path in pathlib.Path(exported[0]).rglob("*"):
        if path.is_file():
            copy = snapshot / path.relative_to(exported[0])
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)

    # Download it.
    asked = []

    def snapshot_download(repo_id, **_):
        asked.append(repo_id)
        return str(snapshot)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    return asked


@pytest.mark.slow
def test_five_lines_of_the_card_make_an_image_from_the_hub(
    exported, downloaded, tmp_path, monkeypatch
):
    """Keras's `hf://` reads the directory as it was uploaded; the images are the run's."""
    text = pathlib.Path(exported[0], "README.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len(program.splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(program, scope)
    assert downloaded == ["ada/plain"]

    # Compare with the model that was exported.
    z = np.random.default_rng(0).standard_normal((4, PLAIN_MODEL.z_dim), dtype="float32")
    expected = trained.open_model(exported[0]).generate(z, [0, 1, 2, 0])
    np.testing.assert_allclose(scope["images"], expected, atol=1e-5)
    with Image.open("image.png") as image:
        pixels = np.asarray(image).astype(float)
    assert np.abs(pixels - (expected[0] + 1) * 127.5).max() <= 0.51


def test_truncated_z_of_the_card_stay_in_their_bounds():
    """The program draws z by the inverse of the distribution, as by SciPy's truncated normal."""
    stats = pytest.importorskip("scipy.stats")
    cut_off = card.Card(
        KERAS_CARD.model_config,
        KERAS_CARD.classes,
        1,
        False,
        0.5,
        sampling=config.Sampling(0.7, 16, 2),
    )
    text = model_card.text(cut_off, card_facts.Facts())
    line = re.search(r"^z = .*$", text, re.MULTILINE)[0]
    scope = {"np": np, "keras": keras}
    exec(line, scope)
    uniform = np.random.default_rng(0).uniform(size=(4, 8))
    expected = stats.truncnorm(-0.7, 0.7).ppf(uniform)
    np.testing.assert_allclose(scope["z"], expected, atol=1e-6)


def test_names_of_files_stay_between_their_backquotes():
    origin = {"project": "a", "files": {"odd`name\n# of.pth": "ab"}}
    imported = dataclasses.replace(KERAS_CARD, origin=origin)
    text = model_card.text(imported, card_facts.Facts())
    assert "\n- File `odd'name # of.pth`: SHA-256 `ab`.\n" in text


@pytest.mark.parametrize("limit", [0.0, 0.7])
def test_five_lines_of_every_card_make_an_image(limit, tmp_path, monkeypatch):
    """Keras refuses a tensor beside an array: z and labels of the program are of one kind."""
    # Let a network take the place of the download.
    z, labels = keras.Input((TINY_MODEL.z_dim,)), keras.Input((), dtype="int32")
    image = keras.layers.Reshape((1, 1, 3))(keras.layers.Dense(3, "tanh")(z))
    network = keras.Model([z, labels], [image, labels])
    monkeypatch.setattr(keras.saving, "load_model", lambda _: lambda inputs: network(inputs)[0])
    monkeypatch.chdir(tmp_path)

    # Run the program of a card.
    cut_off = dataclasses.replace(KERAS_CARD, sampling=config.Sampling(limit, 16, 2))
    text = model_card.text(cut_off, card_facts.Facts())
    scope = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], scope)
    assert scope["images"].shape == (4, 1, 1, 3)
    with Image.open("image.png") as written:
        assert written.size == (1, 1)


@pytest.mark.slow
def test_exported_model_is_no_run(exported, tmp_path):
    """Keras's config.json does not make a run of it."""
    with pytest.raises(directory.NoRun):
        directory.find_run(exported[0])
