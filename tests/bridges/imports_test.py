import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.bridges import imports, mmgen, studiogan, torch_file
from sagan_tf.gan import discriminator, generator
from sagan_tf.viewing import folding
from tests.bridges import sources

SOURCES = ["mmgen", "studiogan", "tfgan"]


def set_up(kind, imported, name):
    """One of our networks with imported arrays."""
    network = kind(imported.model_config)
    network.build()
    for weight in network.weights:
        weight.assign(imported.networks[name].arrays[weight.path.split("/", 1)[1]])
    return network


def folded_images(imported, found):
    """What the folded generator makes of z and labels."""
    live = set_up(generator.Generator, imported, "generator")
    network = imported.sampled(live=False)
    for weight in live.weights:
        weight.assign(network.arrays[weight.path.split("/", 1)[1]])
    return folding.fold(live, network.sigmas)([found["z"], found["labels"]]).numpy()


@pytest.fixture(name="imported", scope="module", params=SOURCES)
def fixture_imported(request):
    return request.param, imports.read(sources.options(request.param))


def test_generator_makes_the_images_of_its_own_code(imported):
    source, found = imported
    expected = sources.computed(source)
    assert expected["generated"].std() > 0.1
    np.testing.assert_allclose(
        folded_images(found, expected), expected["generated"], rtol=0, atol=5e-6
    )


def test_discriminator_gives_the_logits_of_its_own_code(imported):
    source, found = imported
    expected = sources.computed(source)
    network = set_up(discriminator.Discriminator, found, "discriminator")
    logits = network(expected["images"], expected["labels"], update_sn=False)
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=5e-6)


def test_settings_follow_from_shapes_and_source(imported):
    source, found = imported
    kind = "test" if source == "tfgan" else "test_64"
    settings = found.model_config
    assert (settings.image_size, settings.z_dim, settings.number_classes) == (128, 16, 5)
    assert (settings.gf_dim, settings.df_dim) == (8, 8)
    assert (settings.generator_type, settings.discriminator_type) == (kind, kind)
    assert settings.relu_shortcut == (source == "studiogan")
    assert settings.spectral_norm == ("at_most_one" if source == "tfgan" else "exact")
    assert found.traits.epsilon == {"mmgen": 1e-5, "studiogan": 1e-4, "tfgan": 1e-3}[source]
    assert found.traits.bgr == (source == "mmgen")
    assert found.step == {"mmgen": 826_000, "studiogan": 120_000, "tfgan": None}[source]
    assert found.normalized


def test_digests_are_of_the_files(imported):
    source, found = imported
    for path, digest in found.files.items():
        with open(path, "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == digest
    assert len(found.files) == (1 if source == "mmgen" else 2)


@pytest.mark.parametrize("source", ["mmgen", "tfgan"])
def test_u_of_a_run_gives_the_sigma_of_the_source(source):
    """So that the run's own generator makes the source's images too."""
    found = imports.read(sources.options(source))
    name = "averaged" if source == "mmgen" else "generator"
    network = set_up(generator.Generator, found, name)
    expected = sources.computed(source)
    images = network(expected["z"], expected["labels"], training=False, update_sn=False)
    np.testing.assert_allclose(images, expected["generated"], rtol=0, atol=5e-6)


def test_settled_sigmas_are_singular_values():
    found = imports.read(sources.options("studiogan", sigma="settled"))
    network = found.networks["generator"]
    for scope in ("g_block2/snconv1", "g_non_local/sn_conv_g"):
        weight = network.arrays[f"{scope}/w"]
        values = np.linalg.svd(weight.reshape(-1, weight.shape[-1]), compute_uv=False)
        np.testing.assert_allclose(network.sigmas[scope], values[0], rtol=1e-5)


def test_settled_sigmas_of_at_most_one(tmp_path):
    """A file of ours with that option: weights whose norm is below 1 are divided by 1."""
    content = sources.content("mmgen_biggan_schedule.pth")
    own = {"config": "spectral_norm = 'at_most_one'", "iter": 1}
    state = dict(content["state_dict"])
    for name in ("conv_blocks.0.conv_1.conv", "conv_blocks.4.theta.conv"):
        full = f"generator_ema.{name}.weight_orig"
        state[full] = 0.01 * state[full]
    path = written(tmp_path, {"meta": own, "state_dict": state})
    found = imports.read(sources.options("mmgen", [path], sigma="settled"))
    network = found.networks["generator"]
    assert network.sigmas["g_block1/snconv1"] == 1
    weight = network.arrays["g_non_local/sn_conv_theta/w"]
    values = np.linalg.svd(weight[0, 0], compute_uv=False)
    assert values[0] < 1
    np.testing.assert_allclose(network.sigmas["g_non_local/sn_conv_theta"], values[0], rtol=1e-5)


# Files of other settings of the same projects, made from the ones that are here.


def written(tmp_path, content, name="changed.pth"):
    path = tmp_path / name
    torch_file.write(str(path), content)
    return path


def without_normalisation(state):
    """The same network with W / sigma in the place of W, u and v, as SNGAN's generators are."""
    plain = {}
    for name, value in state.items():
        if name.endswith("weight_orig"):
            matrix = value.reshape(len(value), -1).astype(np.float64)
            sigma = state[f"{name[:-5]}_u"] @ matrix @ state[f"{name[:-5]}_v"]
            plain[name[:-5]] = (value / sigma).astype(np.float32)
        elif not name.endswith(("weight_u", "weight_v")):
            plain[name] = value
    return plain


@pytest.mark.parametrize("source", ["mmgen", "studiogan"])
def test_generator_without_normalisation(source, tmp_path):
    name = sources.PATHS[source][0]
    state = sources.content(name)["state_dict"]
    if source == "mmgen":
        state = {key: value for key, value in state.items() if key.startswith("generator_ema.")}
    path = written(tmp_path, {"state_dict": without_normalisation(state)})
    # Without normalised weights mmgeneration's default is 1e-4; this file is of 1e-5.
    found = imports.read(sources.options(source, [path], epsilon=1e-5 if source == "mmgen" else 0))
    assert not found.normalized
    assert not found.model_config.generator_sn
    assert set(found.networks["generator"].sigmas.values()) == {1.0}
    expected = sources.computed(source)
    np.testing.assert_allclose(
        folded_images(found, expected), expected["generated"], rtol=0, atol=5e-6
    )


def test_studiogans_names_of_2022(tmp_path):
    """Tables of classes are dense layers of one-hot labels there."""
    content = sources.content("studio_2021_G.pth")
    state = {}
    for name, value in content["state_dict"].items():
        new = name.replace("embed0.", "gain.").replace("embed1.", "bias.")
        if ".embed" in name and name.endswith("weight_orig"):
            value = np.ascontiguousarray(value.T)
        elif ".embed" in name:
            new = new[:-1] + {"u": "v", "v": "u"}[new[-1]]
        state[new] = value
    path = written(tmp_path, {**content, "state_dict": state})
    found = imports.read(sources.options("studiogan", [path]))
    assert found.model_config.number_classes == 5
    expected = sources.computed("studiogan")
    np.testing.assert_allclose(
        folded_images(found, expected), expected["generated"], rtol=0, atol=5e-6
    )


def test_network_without_attention(tmp_path):
    """The blocks after the attention have smaller numbers then."""
    state = sources.content("studio_2021_G.pth")["state_dict"]
    kept = {name: value for name, value in state.items() if not name.startswith("blocks.4.")}
    moved = {name.replace("blocks.5.", "blocks.4."): value for name, value in kept.items()}
    found = imports.read(sources.options("studiogan", [written(tmp_path, {"state_dict": moved})]))
    assert found.model_config.generator_type == "baseline"
    assert not any("non_local" in name for name in found.networks["generator"].arrays)


@pytest.mark.parametrize(
    ("name", "configuration", "expected"),
    [
        ("sagan_woReLUinplace.pth", "", (True, False, 1e-5)),
        ("sngan_wReLUinplace_fid.pth", "", (True, True, 1e-5)),
        ("sagan_convert-studio-rgb.pth", "", (False, True, 1e-5)),
        ("x.pth", "act_cfg=dict(type='ReLU', inplace=True)", (True, True, 1e-5)),
        ("x.pth", "generator=dict(rgb_to_bgr=True)", (False, True, 1e-5)),
        ("x.pth", "norm_eps=2e-5, num_classes=5", (True, False, 2e-5)),
    ],
)
def test_traits_of_mmgenerations_files(name, configuration, expected, tmp_path):
    content = sources.content("mmgen_biggan_schedule.pth")
    changed = {**content, "meta": {"config": configuration, "iter": 7}}
    found = mmgen.opened([str(written(tmp_path, changed, name))])
    traits = found.traits
    assert (traits.bgr, traits.relu_shortcut, traits.epsilon) == expected
    assert found.step == 7


def test_flags_go_before_what_the_file_says():
    changed = {"channel_order": "rgb", "shortcut": "relu", "epsilon": 1e-3}
    found = imports.read(sources.options("mmgen", **changed))
    assert dataclasses.astuple(found.traits) == (1e-3, False, True, "exact", False)
    assert found.model_config.relu_shortcut


def test_tfgans_network_for_64_pixels(tmp_path):
    """Its blocks are g_block2 to 5, and d_optimized_block1, d_block2, 3, 4 and 6."""
    path = save_small_tfgan(tmp_path)
    found = imports.read(sources.options("tfgan", [path]))
    settings = found.model_config
    assert (settings.image_size, settings.gf_dim, settings.df_dim) == (64, 8, 8)
    assert (settings.attention_side("generator"), settings.attention_side("discriminator")) == (
        16,
        16,
    )
    assert found.step == 999_999
    reader = tf.train.load_checkpoint(path)
    theirs = reader.get_tensor("Generator/generator/g_block2/snconv2/snconv2/kernel")
    np.testing.assert_array_equal(found.networks["generator"].arrays["g_block1/snconv2/w"], theirs)
    theirs = reader.get_tensor("Discriminator/discriminator/d_block6/sn_conv1/sn_conv1/kernel")
    np.testing.assert_array_equal(
        found.networks["discriminator"].arrays["d_block5/sn_conv1/w"], theirs
    )


def save_small_tfgan(tmp_path):
    """A checkpoint of TF-GAN's names for 64 pixels, with random numbers."""
    random = np.random.default_rng(0)
    arrays = {"global_step": np.int64(999_999)}

    def add(name, *shape):
        arrays[name] = random.normal(size=shape).astype(np.float32)

    def layer(scope, kernel, *shape, bias=True):
        weight = f"{scope}/{kernel}"
        add(weight, *shape)
        add(f"{weight}/Adam", *shape)
        if bias:
            add(f"{scope}/bias", shape[-1])
        u = "spectral_normalize/spectral_norm/spectral_norm_u"
        add(f"{scope}/{weight}/{u}", int(np.prod(shape[:-1])), 1)

    def attention(scope, channels):
        for name, shape in {
            "theta": (channels, channels // 8),
            "phi": (channels, channels // 8),
            "g": (channels, channels // 2),
            "attn": (channels // 2, channels),
        }.items():
            layer(f"{scope}/sn_conv_{name}", "weights", 1, 1, *shape, bias=False)
        add(f"{scope}/sigma_ratio")

    def norm(scope, *table, channels):
        for name in ("gamma", "beta"):
            add(f"{scope}/{name}", *table, 1, 1, channels)
        add(f"{scope}/moving_mean", channels)
        arrays[f"{scope}/moving_variance"] = np.ones(channels, np.float32)

    # The generator.
    g = "Generator/generator/"
    layer(f"{g}g_snh0/dense", "kernel", 16, 16 * 64)
    inputs = 64
    for number, outputs in zip((2, 3, 4, 5), (64, 32, 16, 8)):
        block = f"{g}g_block{number}"
        norm(f"{block}/cbn_0", 5, channels=inputs)
        norm(f"{block}/cbn_1", 5, channels=outputs)
        for name, shape in (
            ("snconv1", (3, 3, inputs, outputs)),
            ("snconv2", (3, 3, outputs, outputs)),
            ("snconv3", (1, 1, inputs, outputs)),
        ):
            layer(f"{block}/{name}/{name}", "kernel", *shape)
        inputs = outputs
    attention(f"{g}g_ops", 32)
    norm(f"{g}g_bn", 1, channels=8)
    layer(f"{g}g_snconv_last/g_snconv_last", "kernel", 3, 3, 8, 3)

    # The discriminator.
    d = "Discriminator/discriminator/"
    inputs = 3
    blocks = ("d_optimized_block1", "d_block2", "d_block3", "d_block4", "d_block6")
    for name, outputs in zip(blocks, (8, 16, 32, 64, 64)):
        convolutions = [
            ("sn_conv1", (3, 3, inputs, outputs)),
            ("sn_conv2", (3, 3, outputs, outputs)),
        ]
        if name != "d_block6":
            convolutions.append(("sn_conv3", (1, 1, inputs, outputs)))
        for convolution, shape in convolutions:
            layer(f"{d}{name}/{convolution}/{convolution}", "kernel", *shape)
        inputs = outputs
    attention(f"{d}d_ops", 16)
    layer(f"{d}d_sn_linear/dense", "kernel", 64, 1)
    add(f"{d}d_embedding/embedding_map", 5, 64)
    add(f"{d}d_embedding/spectral_normalize/spectral_norm/spectral_norm_u", 64, 1)

    # Write it as TensorFlow 1 does.
    path = str(tmp_path / "model.ckpt-999999")
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
    return path


# What is wrong is said in one line.


def message(source, paths, **changes):
    with pytest.raises(errors.UserError) as raised:
        imports.read(sources.options(source, paths, **{"to": "run", **changes}))
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_all_faults_are_named(tmp_path):
    content = sources.content("studio_2021_D.pth")
    state = dict(content["state_dict"])
    for name in ("linear1.bias", "blocks.3.0.conv2d1.weight_v"):
        del state[name]
    state["blocks.2.0.conv2d2.weight_orig"] = np.zeros((16, 16, 1, 1), np.float32)
    state["embedding.weight_u"] = np.zeros(6, np.float32)
    state["extra"] = np.zeros(2, np.float32)
    paths = [
        sources.WEIGHTS / "studio_2021_G.pth",
        written(tmp_path, {"state_dict": state}, "D.pth"),
    ]
    text = message("studiogan", paths)
    for fault in (
        "5 of its arrays",
        "discriminator: missing linear1.bias",
        "missing blocks.3.0.conv2d1.weight_v",
        "unexpected extra",
        "blocks.2.0.conv2d2.weight_orig has shape (16, 16, 1, 1), expected (16, 16, 3, 3)",
        "embedding.weight_u has shape (6,), expected (5,)",
    ):
        assert fault in text


def test_hash_in_the_name(tmp_path):
    source = sources.WEIGHTS / "mmgen_biggan_schedule.pth"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    right = tmp_path / f"sagan_20210818_210232-{digest[:8]}.pth"
    wrong = tmp_path / "sagan_20210818_210232-3f5686af.pth"
    for path in (right, wrong):
        shutil.copy(source, path)
    assert list(imports.read(sources.options("mmgen", [right])).files.values()) == [digest]
    text = message("mmgen", [wrong])
    assert f"its SHA-256 begins with {digest[:8]}, its name says 3f5686af" in text


@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        ("mmgen", ["studio_2021_G.pth"], "expected names that begin with generator"),
        ("mmgen", ["studio_2021_G.pth", "studio_2021_D.pth"], "all networks in one file; got 2"),
        ("mmgen", ["nothing.pth"], "there is no such file"),
        ("mmgen", ["tiny_zip.pth"], "holds no noise2feat.weight from which to tell"),
        ("studiogan", ["mmgen_biggan_schedule.pth"], "expected a generator or a discriminator"),
        ("studiogan", ["studio_2021_D.pth"], "give the generator's too"),
        ("studiogan", ["studio_2021_G.pth"] * 2, "a second generator"),
        ("studiogan", ["acgan.ckpt.index"], "not a PyTorch file"),
        ("tfgan", ["nothing"], "there is no such file"),
        ("tfgan", ["studio_2021_G.pth"], "expected a TensorFlow 1 checkpoint"),
    ],
)
def test_wrong_files(source, names, expected):
    assert expected in message(source, [sources.WEIGHTS / name for name in names])


def test_networks_of_two_runs(tmp_path):
    """A discriminator of another depth."""
    state = sources.content("studio_2021_D.pth")["state_dict"]
    kept = {name: value for name, value in state.items() if not name.startswith("blocks.6.")}
    paths = [
        sources.WEIGHTS / "studio_2021_G.pth",
        written(tmp_path, {"state_dict": kept}, "D.pth"),
    ]
    assert "makes images of 128 pixels and the discriminator takes 64" in message(
        "studiogan", paths
    )


def test_step_of_studiogan_of_2022(tmp_path):
    """It writes the step into D's file alone."""
    contents = {}
    for network in "GD":
        contents[network] = dict(sources.content(f"studio_2021_{network}.pth"))
    del contents["G"]["step"]
    contents["D"]["step"] = 77
    paths = [written(tmp_path, content, f"{name}.pth") for name, content in contents.items()]
    assert studiogan.opened([str(path) for path in paths]).step == 77


def test_arrays_that_are_no_numbers(tmp_path):
    """Of both networks, before anything is made of them."""
    content = sources.content("studio_2021_D.pth")
    state = dict(content["state_dict"])
    state["linear1.bias"] = np.full(1, np.nan, np.float32)
    state["embedding.weight_u"] = np.zeros_like(state["embedding.weight_u"])
    path = written(tmp_path, {**content, "state_dict": state}, "D.pth")
    text = message("studiogan", [sources.WEIGHTS / "studio_2021_G.pth", path])
    assert "discriminator: linear1.bias has numbers that are not finite" in text
    assert "discriminator: embedding.weight_u is 0 everywhere" in text


def test_other_channels_than_ours(tmp_path):
    """As StudioGAN's networks for 32 and 64 px have; and a width that the file cannot fill."""
    state = sources.content("studio_2021_G.pth")["state_dict"]
    last = ("blocks.4.", "blocks.5.")
    deep = {name: value for name, value in state.items() if not name.startswith(last)}
    assert "has other channels than ours" in message(
        "studiogan", [written(tmp_path, {"state_dict": deep})]
    )
    wide = {**state, "bn4.weight": np.ones(200_000, np.float32)}
    assert "has other channels than ours" in message(
        "studiogan", [written(tmp_path, {"state_dict": wide})]
    )


def test_names_in_a_message_are_one_line(tmp_path):
    state = sources.content("studio_2021_G.pth")["state_dict"]
    text = message(
        "studiogan", [written(tmp_path, {"state_dict": {**state, "a\nb\x1b": np.ones(1)}})]
    )
    assert "unexpected a\\nb\\x1b" in text


def test_model_does_without_a_discriminator_that_is_not_ours(tmp_path):
    content = sources.content("mmgen_biggan_schedule.pth")
    state = dict(content["state_dict"])
    del state["discriminator.proj_y.weight_orig"]
    path = written(tmp_path, {**content, "state_dict": state})
    found = imports.read(sources.options("mmgen", [path]))
    assert "discriminator" not in found.networks
    assert "missing proj_y.weight" in found.left_out
    assert "missing proj_y.weight" in message("mmgen", [path])
