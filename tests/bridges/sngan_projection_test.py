import io
import pickle

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.bridges import imports, sngan_projection
from sagan_tf.gan import discriminator, generator
from sagan_tf.viewing import folding
from tests.bridges import sngan

WIDTH = 8
CLASSES = 5
Z_DIM = 16
GENERATOR, DISCRIMINATOR = sngan.networks()


def options(paths, **changes):
    paths = tuple(str(path) for path in paths)
    return config.ImportConfig(source="sngan_projection", path=paths, out="somewhere", **changes)


@pytest.fixture(name="paths", scope="module")
def fixture_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    networks = zip((GENERATOR, DISCRIMINATOR), sngan.NAMES)
    return [sngan.write(folder, *network) for network in networks]


@pytest.fixture(name="imported", scope="module")
def fixture_imported(paths):
    return imports.read(options(paths))


def discriminator_of(imported):
    network = discriminator.Discriminator(imported.model_config)
    network.build()
    imported.networks["discriminator"].assign_to(network)
    return network


def batch():
    """Images in their layout, and labels."""
    images = np.random.default_rng(2).uniform(-1, 1, (2, 3, 128, 128)).astype(np.float32)
    return images, np.array([1, 4], np.int32)


@pytest.mark.slow
def test_generator_makes_the_images_of_the_published_arithmetic(imported):
    z = np.random.default_rng(3).normal(size=(2, Z_DIM)).astype(np.float32)
    labels = np.array([3, 0], np.int32)
    expected = sngan.generate(GENERATOR, z, labels).transpose(0, 2, 3, 1)
    assert 0.1 < expected.std() < 0.7

    # Ours, folded.
    live = generator.Generator(imported.model_config)
    live.build()
    network = imported.networks["generator"]
    network.assign_to(live)
    images = folding.fold(live, network.sigmas)([z, labels]).numpy()
    np.testing.assert_allclose(images, expected, rtol=0, atol=5e-6)


@pytest.mark.slow
def test_discriminator_gives_the_logits_of_the_published_arithmetic(imported):
    images, labels = batch()
    expected = sngan.judge(DISCRIMINATOR, images, labels)
    network = discriminator_of(imported)
    logits = network(images.transpose(0, 2, 3, 1), labels, update_sn=False)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=5e-6)


def test_settings_follow_from_shapes_and_names(imported, paths):
    settings = imported.model_config
    assert (settings.image_size, settings.z_dim, settings.number_classes) == (128, Z_DIM, CLASSES)
    assert (settings.gf_dim, settings.df_dim) == (WIDTH, WIDTH)
    assert settings.generator_type == settings.discriminator_type == "baseline"
    assert imported.traits.epsilon == 2e-5
    assert imported.step == 850_000
    assert list(imported.files) == [str(path) for path in paths]
    assert not imported.normalized
    assert not settings.generator_sn
    assert set(imported.networks["generator"].sigmas.values()) == {1.0}


def test_order_of_the_files_means_nothing(paths):
    assert sngan_projection.opened([str(path) for path in reversed(paths)]).path == str(paths[0])


def test_missing_channels_are_zeros(imported):
    """Block 3 takes 16 channels, makes 32, and has 16 inside, where ours has 32."""
    arrays = imported.networks["discriminator"].arrays
    weight = DISCRIMINATOR["block3/c1/W"]
    assert (weight.shape, arrays["d_block3/sn_conv1/w"].shape) == ((16, 16, 3, 3), (3, 3, 16, 32))
    np.testing.assert_array_equal(
        arrays["d_block3/sn_conv1/w"][..., :16], weight.transpose(2, 3, 1, 0)
    )
    for name in ("sn_conv1/w", "sn_conv1/biases", "sn_conv1/u"):
        assert not arrays[f"d_block3/{name}"][..., 16:].any()
    assert not arrays["d_block3/sn_conv2/w"][:, :, 16:].any()
    np.testing.assert_array_equal(
        arrays["d_block3/sn_conv2/w"][:, :, :16],
        DISCRIMINATOR["block3/c2/W"].transpose(2, 3, 1, 0),
    )


@pytest.mark.slow
def test_zeros_stay_zeros_in_training(imported):
    """No gradient moves them, and u moves as the published one does."""
    # Gradients of the sum of the logits.
    images, labels = batch()
    network = discriminator_of(imported)
    layers = [network.blocks[3].sn_conv1, network.blocks[3].sn_conv2]
    with tf.GradientTape() as tape:
        logits = network(images.transpose(0, 2, 3, 1), labels, update_sn=True)
        total = tf.reduce_sum(logits)
    variables = [layers[0].weight, layers[0].bias, layers[1].weight]
    weight, bias, after = (gradient.numpy() for gradient in tape.gradient(total, variables))

    # Block 4 takes 32 channels.
    assert np.abs(weight[..., :32]).max() > 0
    assert not weight[..., 32:].any()
    assert not bias[32:].any()
    assert not after[:, :, 32:].any()

    # u after that pass.
    _, u = sngan.power_iteration(DISCRIMINATOR["block4/c1/W"], DISCRIMINATOR["block4/c1/u"])
    np.testing.assert_allclose(layers[0].u[:, :32], u, rtol=0, atol=2e-6)
    assert not layers[0].u.numpy()[:, 32:].any()


def test_every_array_is_used_once(imported):
    """But for Chainer's counters."""
    for theirs, table, kind in (
        (GENERATOR, sngan_projection.generator_table, "generator"),
        (DISCRIMINATOR, sngan_projection.discriminator_table, "discriminator"),
    ):
        shapes = {name: np.shape(values) for name, values in theirs.items()}
        structure = sngan_projection.generator_blocks(shapes)
        parts = table(shapes, structure, traits=imported.traits).parts
        used = sorted(part.theirs for part in parts)
        assert used == sorted(name for name in theirs if not name.endswith("/N"))
        ours = sorted(part.ours for part in parts)
        assert ours == sorted(imported.networks[kind].arrays)


def test_numbers_of_parameters_at_full_size():
    """Width 64, 1,000 classes, z of 128 numbers; in closed form, and as pinned."""
    # G: the first layer, blocks with two tables for each norm, the last norm and convolution.
    count = 129 * 16 * 1024
    for inputs, outputs in ((1024, 1024), (1024, 512), (512, 256), (256, 128), (128, 64)):
        count += 9 * inputs * outputs + 9 * outputs**2 + inputs * outputs + 3 * outputs
        count += 2000 * (inputs + outputs)
    count += 2 * 64 + 27 * 64 + 3
    shapes = sngan.generator_shapes(64, classes=1000, z_dim=128)
    assert sngan.parameters(shapes) == count == 41_996_931

    # D of theirs: the first block, the last one, the two heads, and between them blocks with as
    # many channels inside as they take.
    count = 30 * 64 + 9 * 64**2 + 3 * 64
    count += 2 * (9 * 1024**2 + 1024)
    count += 1025 + 1000 * 1024
    padded = count
    for inputs in (64, 128, 256, 512):
        count += 29 * inputs**2 + 5 * inputs
        padded += 56 * inputs**2 + 6 * inputs
    assert sngan.parameters(sngan.discriminator_shapes(64, classes=1000)) == count == 30_041_857
    assert padded == 39_443_137


@pytest.mark.slow
def test_ours_have_as_many_parameters_at_full_size():
    """`baseline`: G as theirs, D with the channels that stay zero."""
    settings = config.ModelConfig(generator_type="baseline", discriminator_type="baseline")
    counts = []
    for kind in (generator.Generator, discriminator.Discriminator):
        network = kind(settings)
        network.build()
        counts.append(sum(int(np.prod(v.shape)) for v in network.trainable_variables))
    assert counts == [41_996_931, 39_443_137]


# What is wrong is said in one line.


def message(paths, **changes):
    with pytest.raises(errors.UserError) as raised:
        imports.read(options(paths, **{"to": "run", **changes}))
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_all_faults_are_named(paths, tmp_path):
    arrays = dict(DISCRIMINATOR)
    for name in ("l7/b", "block3/c1/u"):
        del arrays[name]
    arrays["block4/c1/W"] = np.zeros((64, 32, 3, 3), np.float32)
    arrays["l_y/u"] = np.zeros((1, 6), np.float32)
    arrays["extra"] = np.zeros(2)
    text = message([paths[0], sngan.write(tmp_path, arrays, sngan.NAMES[1])])
    for fault in (
        "5 of its arrays",
        "discriminator: missing l7/b",
        "missing block3/c1/u",
        "unexpected extra",
        "block4/c1/W has shape (64, 32, 3, 3), expected (32, 32, 3, 3)",
        "l_y/u has shape (1, 6), expected (1, 5)",
    ):
        assert fault in text


def test_arrays_that_are_no_numbers(tmp_path):
    arrays = {**GENERATOR, "b7/gamma": np.full(WIDTH, np.nan, np.float32)}
    assert "generator: b7/gamma has numbers that are not finite" in message(
        [sngan.write(tmp_path, arrays, sngan.NAMES[0])]
    )


@pytest.mark.slow
def test_networks_that_are_not_ours(tmp_path, paths):
    """That of 64 px has one block less, and more channels; others have no classes."""
    small = {name: values for name, values in GENERATOR.items() if "block6" not in name}
    for kind in "bl":
        for name in [name for name in small if name.startswith(f"{kind}7/")]:
            small[f"{kind}6/{name[3:]}"] = small.pop(name)
    assert "for 64 px has other channels than ours of width 8" in message(
        [sngan.write(tmp_path, small, sngan.NAMES[0])]
    )
    plain = {name: values for name, values in GENERATOR.items() if "gammas" not in name}
    assert "holds no block2/b1/gammas/W from which to tell" in message(
        [sngan.write(tmp_path, plain, sngan.NAMES[0])]
    )

    # A discriminator that is not ours is left out of a model.
    other = {name: values for name, values in DISCRIMINATOR.items() if "l_y" not in name}
    found = imports.read(options([paths[0], sngan.write(tmp_path, other, sngan.NAMES[1])]))
    assert "discriminator: left out (" in found.left_out
    assert "missing l_y/W" in found.left_out


def archive(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"a.npz": archive(x=np.zeros(2))}, "ResNetGenerator_N.npz or SNResNetProjection"),
        ({sngan.NAMES[1]: archive(**{"block1/c1/W": np.zeros(2)})}, "give the generator's too"),
        (
            {
                "a_1.npz": archive(**{"l1/W": np.zeros(2)}),
                "b_1.npz": archive(**{"l1/W": np.zeros(2)}),
            },
            "found a second generator",
        ),
        (
            {
                "a_10.npz": archive(**{"l1/W": np.zeros(2)}),
                "b_20.npz": archive(**{"block1/c1/W": np.zeros(2)}),
            },
            "the names say two steps",
        ),
        ({"a.npz": archive(**{"l1/W": np.zeros(2)})}, "holds no l1/W from which to tell"),
        ({"a.npz": pickle.dumps({"l1/W": 1})}, "expected an .npz file of NumPy"),
    ],
)
def test_wrong_files(contents, expected, tmp_path):
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert expected in message([tmp_path / name for name in contents])


def test_file_that_is_not_there():
    assert "there is no such file" in message(["nothing.npz"])


def test_step_of_a_renamed_file(tmp_path, paths):
    """One name that says it is enough; none is not stated."""
    renamed = tmp_path / "g.npz"
    renamed.write_bytes(paths[0].read_bytes())
    assert sngan_projection.opened([str(renamed), str(paths[1])]).step == 850_000
    assert sngan_projection.opened([str(renamed)]).step is None


def test_colours_have_one_order():
    with pytest.raises(errors.UserError, match="--channel_order=bgr: expected auto or rgb"):
        options(["a.npz"], channel_order="bgr")
