"""Networks of ours in other projects' names: NumPy's arithmetic, and the way back."""

import dataclasses

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.bridges import exports, imports, torch_file
from sagan_tf.gan import discriminator, generator, ops

SMALL = {"z_dim": 4, "gf_dim": 8, "df_dim": 8, "number_classes": 3}
MODEL = config.ModelConfig(generator_type="test_64", discriminator_type="test_64", **SMALL)
# No attention in G; that of D elsewhere; both options.
OTHER = config.ModelConfig(
    generator_type="baseline",
    discriminator_type="test",
    attention_resolution=16,
    relu_shortcut=True,
    spectral_norm="at_most_one",
    **SMALL,
)


def built(name, model_config):
    """One of our networks."""
    kind = discriminator.Discriminator if name == "discriminator" else generator.Generator
    network = kind(model_config)
    network.build()
    return network


def random_networks(model_config) -> dict:
    """Arrays as after some training: no u has length 1, and no number is an initial one."""
    rng = np.random.default_rng(0)
    found = {}
    for name in ("generator", "averaged", "discriminator"):
        network = built(name, model_config)
        arrays = {}
        for weight in network.weights:
            path = weight.path.split("/", 1)[1]
            values = rng.normal(size=weight.shape)
            if path.endswith(("/w", "/Matrix", "/embedding_map")):
                values *= rng.uniform(0.02, 0.5)
            if path.endswith(("/var", "/moving_variance")):
                values = rng.uniform(1e-4, 2, weight.shape)
            arrays[path] = np.float32(values)
        found[name] = arrays
    return found


@pytest.fixture(scope="module", name="networks")
def fixture_networks():
    return random_networks(MODEL)


def written(networks, names, *, model_config=MODEL, path="weights") -> dict:
    """Contents of the files, by path."""
    return exports.contents(path, networks, names=names, model_config=model_config, step=7)


def states(networks, names, **options) -> dict:
    """The state dict of each network, without mmgeneration's prefixes."""
    contents = written(networks, names, **options)
    if names == "studiogan":
        return dict(zip(networks, (content["state_dict"] for content in contents.values())))
    (content,) = contents.values()
    found = {"generator": {}, "generator_ema": {}, "discriminator": {}}
    for name, values in content["state_dict"].items():
        network, _, rest = name.partition(".")
        found[network][rest] = values
    return dict(zip(networks, found.values()))


@pytest.mark.slow
@pytest.mark.parametrize("names", ["mmgen", "studiogan"])
@pytest.mark.parametrize("model_config", [MODEL, OTHER], ids=["attention", "options"])
def test_all_comes_back_to_the_last_bit(tmp_path, names, model_config):
    networks = random_networks(model_config)
    path = str(tmp_path / "weights")
    contents = written(networks, names, model_config=model_config, path=path)
    if names == "studiogan":
        (tmp_path / "weights").mkdir()
    for file, content in contents.items():
        torch_file.write(file, content)
    imported = imports.read(config.ImportConfig(source=names, path=tuple(contents), out="out"))

    assert imported.model_config == model_config
    assert imported.step == 7
    assert imported.networks.keys() == networks.keys()
    for network, arrays in networks.items():
        found = imported.networks[network].arrays
        assert found.keys() == arrays.keys()
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{network} {name}")


def test_numbers_of_arrays_are_those_of_the_projects(networks):
    """mmgeneration's own file has 136 and 88; StudioGAN's 20 tables have u and v besides."""
    of_mmgen = states(networks, "mmgen")
    assert [len(state) for state in of_mmgen.values()] == [136, 136, 88]
    of_studiogan = states(networks, "studiogan")
    assert [len(state) for state in of_studiogan.values()] == [176, 176, 88]


def test_axes_colours_gains_and_counters_of_mmgen(networks):
    ours = networks["generator"]
    state = states(networks, "mmgen")["generator"]

    # Unit c * 16 + y * 4 + x there is unit (y * 4 + x) * channels + c here.
    channels = 16 * MODEL.gf_dim
    matrix = ours["g_snh0/Matrix"]
    for c, y, x in ((0, 0, 1), (5, 2, 3)):
        row = state["noise2feat.weight_orig"][c * 16 + y * 4 + x]
        np.testing.assert_array_equal(row, matrix[:, (y * 4 + x) * channels + c])

    # Blue comes first.
    kernel = state["to_rgb.conv.weight_orig"]
    assert kernel.shape == (3, 8, 3, 3)
    np.testing.assert_array_equal(kernel[0, 5], ours["g_snconv_last/w"][:, :, 5, 2])
    np.testing.assert_array_equal(state["to_rgb.conv.weight_u"], ours["g_snconv_last/u"][0, ::-1])
    seen = states(networks, "mmgen")["discriminator"]["from_rgb.shortcut.conv.weight_orig"]
    expected = networks["discriminator"]["d_optimized_block1/sn_conv3/w"]
    np.testing.assert_array_equal(seen[4, :, 0, 0], expected[0, 0, ::-1, 4])

    # Tables, statistics and counters.
    gain = state["conv_blocks.5.norm_2.weight_embedding.weight"]
    np.testing.assert_array_equal(gain + np.float64(1), ours["g_block5/cbn_1/gamma"])
    variance = state["conv_blocks.5.norm_2.norm.running_var"]
    np.testing.assert_array_equal(variance, ours["g_block5/cbn_1/var"].ravel())
    assert state["conv_blocks.4.gamma"].shape == ()
    counters = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert len(counters) == 11
    assert all(value.dtype == np.int64 and value == 0 for value in counters)


def test_numbers_have_float64_only_where_float32_would_lose_bits(networks):
    state = states(networks, "studiogan")["generator"]
    ours = networks["generator"]

    # A gain of 0.3 has more bits than 0.3 - 1; a variance has most of its bits after all.
    gain = state["blocks.0.0.bn1.gain.weight_orig"]
    back = np.float32(np.float32(gain) + np.float64(1))
    assert not np.array_equal(back.T, ours["g_block1/cbn_0/gamma"])
    assert gain.dtype == np.float64
    variance = state["blocks.0.0.bn1.bn.running_var"]
    back = np.float32(variance + np.float64(9e-5))
    np.testing.assert_array_equal(back, ours["g_block1/cbn_0/var"].ravel())
    assert variance.dtype == np.float32
    assert state["linear0.weight_orig"].dtype == np.float32
    assert {value.dtype for value in states(networks, "mmgen")["discriminator"].values()} == {
        np.dtype(np.float32)
    }


@pytest.mark.parametrize("model_config", [MODEL, OTHER], ids=["exact", "at_most_one"])
def test_u_w_v_is_what_our_layers_divide_by(model_config):
    networks = random_networks(model_config)
    state = states(networks, "mmgen", model_config=model_config)["discriminator"]
    kinds = {
        "from_rgb.conv_2.conv": "d_optimized_block1/sn_conv2",
        "decision": "d_sn_linear",
        "proj_y": "d_embedding",
    }
    network = built("discriminator", model_config)
    for weight in network.weights:
        weight.assign(networks["discriminator"][weight.path.split("/", 1)[1]])
    for layer in network.spectral_norm_layers():
        theirs = next((name for name, ours in kinds.items() if ours == ops.scope_of(layer)), None)
        if theirs is None:
            continue
        matrix = state[f"{theirs}.weight_orig"].reshape(len(state[f"{theirs}.weight_u"]), -1)
        sigma = state[f"{theirs}.weight_u"] @ matrix @ state[f"{theirs}.weight_v"]
        ratio = layer.oriented_weight() / layer.normalized_weight()
        np.testing.assert_allclose(sigma, np.median(ratio), rtol=2e-6)


def test_tables_of_studiogan_are_divided_by_1(networks):
    state = states(networks, "studiogan")["generator"]
    tables = [name for name in state if name.endswith(("gain.weight_orig", "bias.weight_orig"))]
    assert len(tables) == 20
    for name in tables:
        u, v = (state[name.replace("orig", letter)] for letter in "uv")
        weight = state[name]
        np.testing.assert_allclose(u @ np.float64(weight) @ v, 1, atol=1e-15)

        # PyTorch has float32 only.
        rounded = np.float32(u) @ np.float32(weight) @ np.float32(v)
        assert rounded == np.float32(1)

    gain = state["blocks.0.0.bn1.gain.weight_orig"]
    expected = networks["generator"]["g_block1/cbn_0/gamma"].T
    np.testing.assert_allclose(gain, expected - np.float64(1), rtol=1e-7)


def test_studiogan_has_the_files_that_its_loader_looks_for(networks):
    contents = written(networks, "studiogan", path="dir/run")
    assert list(contents) == [
        f"dir/run/model={letter}-best-weights-step=7.pth" for letter in ("G", "G_ema", "D")
    ]
    *_, of_critic = contents.values()
    assert of_critic["run_name"] == "run"
    # Source: src/utils/ckpt.py:44-62.
    names = {"seed", "step", "aa_p", "best_step", "best_fid", "best_fid_ckpt"}
    assert names <= of_critic.keys()


def test_mmgen_has_its_configuration_in_the_file(networks):
    model_config = dataclasses.replace(MODEL, relu_shortcut=True)
    (content,) = written(networks, "mmgen", model_config=model_config).values()
    found = {}
    exec(content["meta"]["config"], found)
    assert content["meta"]["iter"] == 7
    assert found["train_cfg"] == {"disc_steps": 1, "use_ema": True}
    of_generator = found["model"]["generator"]
    assert of_generator["norm_eps"] == 1e-5
    assert of_generator["attention_after_nth_block"] == 4
    assert of_generator["noise_size"] == 4
    of_critic = found["model"]["discriminator"]
    assert of_critic["attention_after_nth_block"] == 1
    assert of_critic["act_cfg"] == {"type": "ReLU", "inplace": True}


@pytest.mark.parametrize("image_size", [32, 64, 256])
def test_other_sizes_are_refused(image_size):
    model_config = dataclasses.replace(MODEL, image_size=image_size, attention_resolution=16)
    with pytest.raises(
        errors.UserError, match=f"names=mmgen: this run makes images of {image_size}"
    ):
        exports.require_fit(model_config, "mmgen")


def test_tables_at_their_initial_values_are_refused_for_studiogan_only(networks):
    initial = {**networks["generator"]}
    initial["g_block2/cbn_1/gamma"] = np.ones_like(initial["g_block2/cbn_1/gamma"])
    changed = {**networks, "generator": initial}
    with pytest.raises(errors.UserError, match="^--names=studiogan: g_block2/cbn_1/gamma has its"):
        written(changed, "studiogan")
    assert written(changed, "mmgen")


def test_what_another_project_computes_otherwise_is_a_line_each():
    assert not exports.notes(MODEL, "mmgen")
    assert len(exports.notes(OTHER, "mmgen")) == 1
    assert "divides its tables" in exports.notes(OTHER, "studiogan")[0]
    assert "plain shortcuts" in exports.notes(MODEL, "studiogan")[1]


def test_generator_is_built_as_its_table_says():
    """Every array of ours is in the table once."""
    network = built("generator", MODEL)
    for names in ("mmgen", "studiogan"):
        expected = sorted(weight.path.split("/", 1)[1] for weight in network.weights)
        table = exports.table_of("generator", MODEL, names=names)
        assert sorted(part.ours for part in table.parts) == expected
