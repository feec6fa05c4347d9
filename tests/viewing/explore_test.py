"""What the page shows has the values of the tools that it stands for."""

import base64
import dataclasses
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.images import grids, pixels
from sagan_tf.viewing import (
    attention_maps,
    explore,
    explore_answers,
    gathered,
    interpolate,
    sample,
    trained,
)
from tests.testing import TINY_MODEL, make_run, random_images

pytestmark = pytest.mark.usefixtures("open_once")


@pytest.fixture(name="answers", scope="module")
def fixture_answers(tiny_run):
    """The answers about a small run."""
    return explore_answers.Answers(
        explore.Explorer(str(tiny_run)), config.ExploreConfig(run=str(tiny_run))
    )


@pytest.fixture(name="other_run", scope="module")
def fixture_other_run(tmp_path_factory):
    """Makes a run with other settings, once for each."""
    made = {}

    def make(**changes):
        key = tuple(changes.items())
        if key not in made:
            settings = dataclasses.replace(TINY_MODEL, **changes)
            made[key] = make_run(tmp_path_factory.mktemp("other"), settings, average=False)
        return made[key]

    return make


def image_of(address):
    """uint8 [height, width, 3] of an image of the page."""
    return pixels.decode_png(base64.b64decode(address.partition(",")[2]))


def png(image):
    """The bytes of a picture as the page sends them."""
    return base64.b64encode(pixels.encode_png(image)).decode()


def test_page_begins_with_what_there_is(answers, tiny_run):
    about = answers.about({})
    assert about["source"] == str(tiny_run)
    assert (about["step"], about["steps"], about["is_run"]) == (5, [5], True)
    assert (about["image_size"], about["all_classes"]) == (32, "0-2")
    assert [one["value"] for one in about["classes"]] == ["tench", "goldfish", "great white shark"]
    assert about["classes"][1]["text"] == "1 n01443537 goldfish, Carassius auratus"
    assert about["has_average"]


def test_grid_has_the_images_of_sample(answers, tiny_run):
    asked = {"step": 5, "classes": "goldfish,tench", "seeds": "4,6"}
    answer = answers.images(asked)
    assert [(one["label"], one["seed"]) for one in answer["images"]] == [
        (1, 4),
        (1, 6),
        (0, 4),
        (0, 6),
    ]
    assert answer["images"][0]["caption"] == "seed 4, goldfish"
    assert (answer["step"], answer["sampling"]) == (5, "moving statistics")
    assert answers.steps({}) == {"steps": [5]}
    network = trained.open_model(str(tiny_run), 5)
    z, _ = network.draw([4, 6, 4, 6])
    expected = network.generate_pixels(z, [1, 1, 0, 0])
    found = [image_of(one["png"]) for one in answer["images"]]
    np.testing.assert_array_equal(found, expected)
    assert answer["command"] == (
        f"sagan sample {tiny_run} --step=5 --classes=goldfish,tench --seeds=4,6"
    )


@pytest.mark.slow
def test_saved_grid_is_the_file_of_its_command(answers, tiny_run, tmp_path):
    asked = {"step": 5, "classes": "0-2", "seeds": "4", "truncation": 0.7}
    name, content = answers.save({"what": "images", **asked})
    out = tmp_path / name
    sample.sample(
        config.SampleConfig(
            run=str(tiny_run), step=5, classes="0-2", seeds="4", truncation=0.7, out=str(out)
        ),
        io.StringIO(),
    )
    assert content == out.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_click_shows_the_attention_of_its_place(answers, tiny_run, tmp_path, network):
    """The saved figure and its values are those of the command that the page names."""
    asked = {"step": 5, "label": 1, "seed": 4, "network": network, "x": 17.2, "y": 30.5}
    answer = answers.attention(asked)
    place = answer["look"]
    assert (place["row"], place["column"], place["side"]) == (15, 8, 16)
    assert tuple(place["corners"]) == (16, 30, 18, 32)
    assert answer["command"] == (
        f"sagan attention-maps {tiny_run} --step=5"
        + (" --network=discriminator" if network == "discriminator" else "")
        + " --classes=1 --seeds=4 --queries=17,31 --nosmooth"
    )
    out = tmp_path / "attention.png"
    attention_maps.draw(
        config.AttentionConfig(
            run=str(tiny_run),
            step=5,
            network=network,
            classes="1",
            seeds="4",
            queries="17,31",
            smooth=False,
            out=str(out),
        ),
        io.StringIO(),
    )
    with np.load(tmp_path / "attention.npz") as values:
        np.testing.assert_allclose(place["weights"], values["maps"][0, 0].reshape(-1), atol=1e-6)
        np.testing.assert_array_equal(image_of(answer["png"]), values["images"][0])
        assert answer["share"] == pytest.approx(float(values["share"]), rel=1e-4)
        assert answer["sigma_ratio"] == pytest.approx(float(values["sigma_ratio"]))
    assert sum(place["weights"]) == pytest.approx(1, abs=1e-5)
    assert answers.save({"what": "attention", **asked}) == ("attention.png", out.read_bytes())


def test_another_place_of_the_same_image_is_read_off_what_is_there(answers, monkeypatch):
    asked = {"step": 5, "label": 2, "seed": 9, "network": "generator"}
    first = answers.attention(asked)["look"]

    def never(*_, **__):
        raise AssertionError("the image was made again")

    monkeypatch.setattr(attention_maps, "of_generator", never)
    row, column = first["row"], first["column"]
    again = answers.attention({**asked, "x": 2 * column + 1, "y": 2 * row + 1})["look"]
    assert again == first


def test_own_picture_has_a_logit_for_each_class(answers, tiny_run):
    """Each is the discriminator's own, of the picture with that label; a tall one is cropped."""
    (square,) = random_images(1, 32)
    tall = np.concatenate([np.zeros((8, 32, 3), np.uint8), square, np.ones((8, 32, 3), np.uint8)])
    fields = {"step": 5, "picture": png(tall), "name": "a,b.png"}
    answer = answers.attention(fields)
    np.testing.assert_array_equal(image_of(answer["png"]), square)
    network, _ = trained.open_discriminator(str(tiny_run), 5)
    images = np.repeat(square[None].astype(np.float32) * 2 / 255 - 1, 3, axis=0)
    expected = network(images, np.arange(3)).numpy()[:, 0]
    assert answer["scores"]["kind"] == "logit"
    np.testing.assert_allclose(answer["scores"]["by_class"], expected, rtol=1e-4, atol=1e-5)
    assert answer["caption"] == "a_b.png"
    assert "--network=discriminator --images=a_b.png --queries=" in answer["command"]
    assert answers.save({"what": "attention", **fields})[1].startswith(b"\x89PNG")


@pytest.mark.slow
def test_classifier_gives_probabilities_and_no_class_one_logit(other_run):
    asked = {"step": 5, "label": 0, "seed": 0, "network": "discriminator"}
    run_dir = str(other_run(conditioning="auxiliary_classifier"))
    explorer = explore.Explorer(run_dir)
    answer = explore_answers.Answers(explorer, config.ExploreConfig(run=run_dir)).attention(asked)
    assert answer["scores"]["kind"] == "probability"
    assert sum(answer["scores"]["by_class"]) == pytest.approx(1, abs=1e-5)
    run_dir = str(other_run(conditioning="none"))
    explorer = explore.Explorer(run_dir)
    answer = explore_answers.Answers(explorer, config.ExploreConfig(run=run_dir)).attention(asked)
    scores = answer["scores"]
    assert (scores["by_class"], scores["kind"]) == (None, "")
    network, _ = trained.open_discriminator(run_dir, 5)
    image = image_of(answer["png"])[None].astype(np.float32) * 2 / 255 - 1
    assert scores["logit"] == pytest.approx(float(network(image, np.zeros(1, int))[0, 0]), abs=0.01)


@pytest.mark.slow
def test_networks_without_attention_say_so(plain_run):
    answers = explore_answers.Answers(
        explore.Explorer(str(plain_run)), config.ExploreConfig(run=str(plain_run))
    )
    for network in ("generator", "discriminator"):
        asked = {"step": 5, "label": 0, "seed": 0, "network": network}
        answer = answers.attention(asked)
        assert answer["look"] is None
        assert "does not have an attention block (its type is baseline)" in answer["why"]
        assert (answer["scores"] is None) == (network == "generator")
        with pytest.raises(errors.UserError, match="does not have an attention block"):
            answers.save({"what": "attention", **asked})


@pytest.mark.slow
def test_images_between_two_ends_are_those_of_sample(answers, tiny_run, tmp_path):
    asked = {"step": 5, "classes": "0,2", "seeds": "4,6"}
    answer = answers.between(asked)
    network = trained.open_model(str(tiny_run), 5)
    expected = interpolate.interpolate(network, [0, 2], seeds=[4, 6], frames=16)
    found = np.stack([image_of(address) for address in answer["images"]])
    np.testing.assert_array_equal(found, expected)
    out = tmp_path / "interpolation.png"
    sample.sample(
        config.SampleConfig(
            run=str(tiny_run),
            step=5,
            classes="0,2",
            seeds="4,6",
            interpolate=True,
            frames=16,
            out=str(out),
        ),
        io.StringIO(),
    )
    assert answers.save({"what": "between", **asked})[1] == out.read_bytes()


@pytest.mark.parametrize(
    ("method", "fields", "sentence"),
    [
        ("images", {"classes": "goldfisch"}, "Classes goldfisch: no such class; did you mean 1 n0"),
        ("images", {"seeds": "x"}, "Seeds x: expected numbers"),
        ("images", {"seeds": "0-999", "classes": "0"}, "1000 images: the page shows at most 144"),
        ("images", {"truncation": -1}, "Truncation -1.0: expected a number from 0.001 on"),
        ("images", {"step": 4}, "Step 4: "),
        ("between", {"classes": "1", "seeds": "4"}, "Interpolate needs two seeds or two classes"),
        ("attention", {"label": "x", "seed": 0}, "Label x: expected a whole number"),
        ("attention", {"label": 9, "seed": 0}, "Classes 9: expected numbers from 0 to 2"),
        ("attention", {"label": 0, "seed": 0, "x": 99, "y": 0}, "Pixel 99,0: is not in the image"),
        ("attention", {"label": 0, "seed": 0, "x": "a", "y": 0}, "Pixel a,0: expected two numbers"),
        ("attention", {"label": 0, "seed": 0, "x": 10**400, "y": 0}, "Pixel: expected two numbers"),
        ("images", {"truncation": 10**400}, "Truncation: expected a number that is not so large"),
        ("images", {"seeds": "1," * 10_001}, "Seeds 1,1,1,1,1,1,1,1,1,1,...: expected at most 20"),
        ("attention", {"picture": "bm8=", "name": "a.png"}, "a.png: expected a picture"),
        ("attention", {"picture": "", "name": "a.png"}, "a.png: expected a picture"),
        ("attention", {"picture": "?"}, "The picture did not arrive whole"),
        ("save", {"what": "all"}, "What all: expected images, between or attention"),
    ],
)
def test_what_there_is_not_is_a_sentence(answers, method, fields, sentence):
    with pytest.raises(errors.UserError) as error:
        getattr(answers, method)({"step": 5, **fields})
    told = explore_answers.tell(str(error.value))
    assert told.startswith(sentence)
    assert "--" not in told


def test_values_of_a_failed_training_are_a_sentence(answers, monkeypatch):
    """JSON has no NaN, which a browser could not read."""
    asked = {"step": 5, "label": 0, "seed": 77}
    found = attention_maps.NetworkAttention(5, np.nan, None, np.full((1, 256, 64), np.nan), np.nan)
    seen = explore.Seen(random_images(1)[0], "seed 77", found, None)
    monkeypatch.setattr(explore.Explorer, "_seen_by_generator", lambda *_: seen)
    with pytest.raises(errors.UserError, match="values are not finite: its training has failed"):
        answers.attention(asked)
    scores = explore.Scores(None, np.array([0, np.inf]), "logit")
    with pytest.raises(errors.UserError, match="not finite"):
        explore.require_finite(seen._replace(found=None, scores=scores))


def test_run_that_is_deleted_meanwhile_is_said_to_be(tiny_run, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(tiny_run, run_dir)
    answers = explore_answers.Answers(
        explore.Explorer(str(run_dir)), config.ExploreConfig(run=str(run_dir))
    )
    asked = {"step": 5, "classes": "0", "seeds": "0"}
    before = answers.images(asked)
    run_dir.rename(tmp_path / "gone")
    for ask in (answers.images, answers.between, answers.attention, answers.about, answers.steps):
        with pytest.raises(errors.UserError, match="it has been deleted or moved; put it back"):
            ask(asked)
    (tmp_path / "gone").rename(run_dir)
    assert answers.images(asked) == before


@pytest.mark.slow
def test_exported_model_has_no_discriminator(tiny_run, tmp_path):
    network = trained.open_model(str(tiny_run))
    path = str(tmp_path / "generator.keras")
    trained.write_keras(network, path)
    answers = explore_answers.Answers(explore.Explorer(path), config.ExploreConfig(run=path))
    about = answers.about({})
    assert (about["is_run"], about["steps"], about["has_average"]) == (False, [5], False)
    asked = {"step": 5, "label": 1, "seed": 4}
    of_run = trained.open_model(str(tiny_run)).attention(network.draw([4])[0], [1])[1]
    place = answers.attention({**asked, "x": 0, "y": 0})["look"]
    np.testing.assert_allclose(place["weights"], of_run[0, 0], atol=1e-5)
    for fields in ({"network": "discriminator"}, {"picture": png(random_images(1)[0])}):
        with pytest.raises(errors.UserError, match="holds only a generator; give the run"):
            answers.attention({**asked, **fields})


@pytest.mark.slow
def test_exported_model_says_its_truncation(tiny_run, tmp_path):
    """Its images are those of the truncation that it was exported with, and the field has it."""
    sampling = config.Sampling(truncation=0.7, batches=3, batch_size=2)
    network = trained.open_model(str(tiny_run), sampling=sampling)
    path = str(tmp_path / "generator.keras")
    trained.write_keras(network, path)
    answers = explore_answers.Answers(explore.Explorer(path), config.ExploreConfig(run=path))
    assert answers.about({})["truncation"] == 0.7
    answer = answers.images({"classes": "1", "seeds": "4", "truncation": 0.7})
    assert answer["sampling"] == (
        "z truncated at 0.7, standing statistics of 3 batches of 2 images from seed 0"
    )


def test_kept_networks_are_few(monkeypatch):
    """The oldest one goes before the next one is made."""
    recent = explore.Recent(2)
    made = []
    for key in (1, 2, 1, 3, 1, 2):
        recent.get(key, lambda: made.append(len(made)) or len(made))
    assert made == [0, 1, 2, 3]  # 1, 2, 3 and, after it had gone, 2 again.

    def fail():
        raise errors.UserError("no")

    with pytest.raises(errors.UserError):
        recent.get(4, fail)
    assert recent.get(4, lambda: "there") == "there"


def test_classes_are_named_so_that_they_are_found():
    names = ["crane", "Crane", "3", "a, b", "cat", ""]
    assert explore_answers.names_to_choose(names) == ["0", "1", "2", "3", "cat", "5"]
    assert explore_answers.all_classes(144) == "0-143"
    many = explore_answers.all_classes(1000).split(",")
    assert (len(many), many[0], many[-1]) == (100, "0", "999")


def test_picture_is_shown_as_the_network_sees_it():
    """The middle square, resized."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = (255, 0, 0)
    found = explore.read_picture(pixels.encode_png(image), "x", size=8)
    np.testing.assert_array_equal(found, np.broadcast_to([255, 0, 0], (8, 8, 3)))
    buffer = io.BytesIO()
    Image.fromarray(grids.grid(random_images(4), 2, columns=2)).save(buffer, format="JPEG")
    assert explore.read_picture(buffer.getvalue(), "x", size=8).shape == (8, 8, 3)


@pytest.mark.slow
def test_statistics_of_a_checkpoint_are_gathered_once(tiny_run):
    """The generator that is opened again has those of before."""
    known = gathered.Gathered()
    images = []
    for _ in range(2):
        network, card = trained.open_generator(
            str(tiny_run), 5, sampling=config.Sampling(0.5, 2), gathered=known
        )
        images.append(network.batch_norm_layers()[0].moving_mean.numpy())
        ((key, values),) = known.known.items()
        assert key == (card.checkpoint_sha256, False, card.sampling)
        values[0][...] += 1  # The second one takes what is known.
    np.testing.assert_allclose(images[1], images[0] + 1, rtol=1e-6)


@pytest.mark.slow
def test_one_generator_gathers_for_other_weights_and_truncations(tiny_run):
    """What it finds after others is what a new one finds."""
    network, _ = trained.open_generator(str(tiny_run), 5)
    shared = gathered.Gathered()
    for number, truncation in enumerate((0.5, 1.0)):
        network.set_weights([1.1 * weight for weight in network.get_weights()])
        found = []
        for known in (shared, gathered.Gathered()):
            known.put(network, config.Sampling(truncation, 2, 4), key=number)
            layers = network.batch_norm_layers()
            found.append([layer.moving_variance.numpy() for layer in layers])
        for one, other in zip(*found):
            np.testing.assert_array_equal(one, other)
    assert sorted(shared.known) == [0, 1]
