import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.images import attention_places
from sagan_tf.viewing import attention_maps, trained
from tests.testing import make_run, random_images

pytestmark = pytest.mark.usefixtures("open_once")


def draw(run_dir, tmp_path, **options):
    """(what was printed, the values)."""
    stream = io.StringIO()
    attention_maps.draw(
        config.AttentionConfig(**{"run": str(run_dir), "out": str(tmp_path / "a.png"), **options}),
        stream,
    )
    with np.load(tmp_path / "a.npz") as archive:
        return stream.getvalue(), dict(archive)


@pytest.mark.slow
def test_values_are_the_attention_of_the_places_asked_for(tiny_run, tmp_path):
    said, values = draw(tiny_run, tmp_path, classes="goldfish", seeds="4,6", queries="0,0;17,30.5")
    assert "attention of the generator, step 5, sigma_ratio 0.5, adds " in said
    assert values["maps"].shape == (2, 2, 8, 8)  # of a 16 x 16 map over 32 pixels
    np.testing.assert_allclose(values["maps"].sum(axis=(2, 3)), 1, atol=1e-5)
    np.testing.assert_array_equal(values["queries"], [[0, 15 * 16 + 8]] * 2)
    np.testing.assert_array_equal(values["points"][0], [[1, 1], [17, 31]])
    network = trained.open_model(tiny_run)
    z, _ = network.draw([4, 6])
    images = network.generate(z, [1, 1])
    _, expected, share = network.attention(z, [1, 1])
    assert values["share"] == pytest.approx(share, rel=1e-4)
    np.testing.assert_allclose(
        values["maps"][1, 1].reshape(-1), expected[1, 15 * 16 + 8], atol=1e-6
    )
    assert np.abs(values["images"] - (images + 1) * 127.5).max() <= 0.51
    np.testing.assert_array_equal(values["seeds"], [4, 6])
    np.testing.assert_array_equal(values["labels"], [1, 1])
    with Image.open(tmp_path / "a.png") as figure:
        assert figure.width > figure.height / 2


@pytest.mark.slow
def test_queries_are_the_most_concentrated_places_or_the_most_spread(tiny_run, tmp_path):
    network = trained.open_model(tiny_run)
    z, _ = network.draw([4])
    _, (attention,), _ = network.attention(z, [1])
    _, values = draw(tiny_run, tmp_path, classes="1", seeds="4")
    expected = attention_places.most_concentrated(attention, 4)
    np.testing.assert_array_equal(values["queries"], [expected])
    _, values = draw(tiny_run, tmp_path, classes="1", seeds="4", queries="spread", num_queries=3)
    expected = attention_places.most_spread(attention, 3)
    np.testing.assert_array_equal(values["queries"], [expected])


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_truncated_images_have_their_own_statistics(tiny_run, tmp_path, network):
    flags = {"truncation": 0.7, "standing_batches": 3}
    _, values = draw(tiny_run, tmp_path, classes="1", seeds="4,6", network=network, **flags)
    generator = trained.open_model(tiny_run, 5, sampling=config.Sampling(0.7, 3))
    z, _ = generator.draw([4, 6])
    assert np.abs(z).max() < 0.7
    expected = generator.generate_pixels(z, [1, 1]).astype(int)
    assert np.abs(values["images"] - expected).max() <= 1


def test_discriminator_looks_at_a_real_picture(tiny_run, tmp_path):
    """Of a tall picture the middle square."""
    (pixels,) = random_images(1, 32)
    tall = np.concatenate([np.zeros((8, 32, 3), np.uint8), pixels, np.ones((8, 32, 3), np.uint8)])
    Image.fromarray(tall).save(tmp_path / "real.png")
    said, values = draw(
        tiny_run,
        tmp_path,
        network="discriminator",
        queries="grid",
        num_queries=3,
        images=str(tmp_path / "real.png"),
    )
    assert "attention of the discriminator, step 5, sigma_ratio -0.25, adds " in said
    np.testing.assert_array_equal(values["images"], [pixels])
    judge, _ = trained.open_discriminator(tiny_run)
    _, expected = judge(
        tf.constant(pixels[None] / np.float32(127.5) - 1), tf.constant([2]), return_attention=True
    )
    np.testing.assert_allclose(
        values["maps"][0].reshape(3, -1), expected.numpy()[0, values["queries"][0]], atol=1e-5
    )
    assert "seeds" not in values

    # What the block adds to what the block before it makes.
    x = judge.blocks[0](tf.constant(pixels[None] / np.float32(127.5) - 1))
    added = judge.non_local(x) - x
    assert values["share"] == pytest.approx(np.abs(added).mean() / np.abs(x).mean(), rel=1e-3)


@pytest.mark.slow
def test_discriminator_looks_at_generated_images(tiny_run, tmp_path):
    _, values = draw(tiny_run, tmp_path, network="discriminator", seeds="0-1")
    network = trained.open_model(tiny_run)
    expected = network.generate(network.draw([0, 1])[0], [0, 2])
    assert np.abs(values["images"] - (expected + 1) * 127.5).max() <= 0.51


@pytest.mark.slow
def test_at_zero_it_says_that_attention_is_not_used_yet(tmp_path):
    run_dir = make_run(tmp_path / "run", ratio=0.0)
    said, values = draw(run_dir, tmp_path, seeds="0", arrows=0)
    assert "sigma_ratio is 0: attention is not used yet" in said
    assert "sigma_ratio 0, not used yet" in said
    assert values["sigma_ratio"] == 0
    assert values["share"] == 0


@pytest.mark.slow
def test_attention_that_hardly_acts_has_a_line_of_its_own(tmp_path):
    run_dir = make_run(tmp_path / "run", ratio=1e-4)
    said, values = draw(run_dir, tmp_path, seeds="0")
    assert 0 < values["share"] < 0.01
    assert said.splitlines()[0].startswith("attention hardly acts on these images: it adds 0.0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": "32,0"}, "--queries=32,0: expected concentrated, spread, grid, or"),
        ({"queries": "a"}, "--queries=a: expected"),
        ({"queries": ";".join(["1,1"] * 9)}, "9 positions; expected at most 8"),
        (
            {"network": "discriminator", "images": "absent.png"},
            "--images=absent.png: expected a pict",
        ),
        ({"classes": "goldfsh"}, "--classes=goldfsh: no such class"),
        ({"out": "/dev/null/a.png"}, "--out=/dev/null/a.png: cannot be written to"),
    ],
)
def test_what_cannot_be_done_is_one_line(tiny_run, tmp_path, options, message):
    with pytest.raises(errors.UserError) as error:
        draw(tiny_run, tmp_path, **options)
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_networks_without_attention_are_one_line(plain_run, tmp_path):
    for network in ("generator", "discriminator"):
        message = f"--network={network}: .* does not have an attention"
        with pytest.raises(errors.UserError, match=message):
            draw(plain_run, tmp_path, network=network)


@pytest.mark.parametrize(
    "options",
    [
        {"num_queries": 9},
        {"num_queries": 0},
        {"seeds": "0-40"},
        {"images": "a.png"},
        {"out": "a.jpg"},
        {"network": "both"},
        {"arrows": -1},
        {"out": "a/.png"},
    ],
)
def test_flags_are_checked_first(options):
    ((name, value),) = options.items()
    with pytest.raises(errors.UserError, match=f"^--{name}={value}: expected "):
        config.AttentionConfig(run="x", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"classes": "1"},
        {"use_ema": True},
        {"truncation": 0.5},
        {"standing_statistics": True},
        {"images": ",".join(["a.png"] * 33)},
    ],
)
def test_flags_that_would_do_nothing_are_refused(options):
    ((name, _),) = options.items()
    with pytest.raises(errors.UserError, match=f"^--{name}="):
        config.AttentionConfig(
            **{"run": "x", "network": "discriminator", "images": "a.png", **options}
        )
