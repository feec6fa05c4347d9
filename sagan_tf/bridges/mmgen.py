"""Names of mmgeneration's SAGAN and SNGAN-projection (mmagic's are the same).

Source: open-mmlab/mmgeneration@ccd1f56, mmgen/models/architectures/sngan_proj/
generator_discriminator.py and modules.py, mmgen/models/architectures/biggan/modules.py:316-379.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import checks, pickle_machine, torch_file, torch_layers
from sagan_tf.bridges.mapping import Shapes, Table
from sagan_tf.bridges.structure import Blocks, Opened, Traits, blocks_of, number_of
from sagan_tf.config import ModelConfig

_NETWORKS = {
    "generator": "generator",
    "generator_ema": "averaged",
    "discriminator": "discriminator",
}

# What the published configurations say where the file itself says nothing: plain tables of classes
# came with an epsilon of 1e-5, the others have mmgeneration's default.
_EPSILON_OF_PLAIN_TABLES = 1e-5
_EPSILON = 1e-4
# The configuration of what is written: that of "BigGAN's schedule"
# (configs/sagan/sagan_128_woReLUinplace_noaug_bigGAN_Glr-1e-4_Dlr-4e-4_ndisc1_imagenet1k_b32x8.py)
# with the sizes of a run. Its networks have 64 channels, 1,000 classes, and attention as here.
_CONFIGURATION = """\
spectral_norm = '{spectral_norm}'
model = dict(
    type='BasiccGAN',
    num_classes={classes},
    generator=dict(
        type='SAGANGenerator',
        output_scale=128,
        noise_size={noise},
        base_channels={width},
        num_classes={classes},
        attention_cfg=dict(type='SelfAttentionBlock', sn_style='torch'),
        attention_after_nth_block={attention},
        with_spectral_norm=True,
        with_embedding_spectral_norm=False,
        norm_eps=1e-5),
    discriminator=dict(
        type='ProjDiscriminator',
        input_scale=128,
        base_channels={critic_width},
        num_classes={classes},
        attention_cfg=dict(type='SelfAttentionBlock', sn_style='torch'),
        attention_after_nth_block={critic_attention},
        act_cfg=dict(type='ReLU', inplace={in_place}),
        with_spectral_norm=True),
    gan_loss=dict(type='GANLoss', gan_type='hinge'))
train_cfg = dict(disc_steps=1, use_ema={averages})
"""
# Of a configuration: published ones have some kilobytes.
_MOST_TEXT = 1 << 16
_ATTENTION = {
    "sn_conv_theta": "theta.conv",
    "sn_conv_phi": "phi.conv",
    "sn_conv_g": "g.conv",
    "sn_conv_attn": "o.conv",
}


def opened(paths: Sequence[str]) -> Opened:
    """The networks in a file.

    Args:
      paths: of one file.
    Raises:
      errors.UserError: it cannot be read, or holds no generator of mmgeneration.
    """
    # Read the file.
    if len(paths) != 1:
        raise errors.UserError(f"--path: mmgen has all networks in one file; got {len(paths)}")
    path = paths[0]
    content = torch_file.read(path)
    state = torch_layers.state(content, path)

    # Take the networks apart.
    networks: dict[str, dict[str, np.ndarray]] = {}
    for name, value in state.items():
        network, _, rest = name.partition(".")
        if network in _NETWORKS:
            networks.setdefault(_NETWORKS[network], {})[rest] = value
    others = sorted({name.split(".")[0] for name in state} - set(_NETWORKS))
    if others or not networks.keys() & {"generator", "averaged"}:
        raise errors.UserError(
            f"--path={path}: expected names that begin with generator, generator_ema or "
            f"discriminator; it has {_listed(others)}. Is --source right?"
        )
    networks.setdefault("generator", networks.get("averaged", {}))

    # See what else is known of them.
    meta = content.get("meta") if isinstance(content, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    configuration = meta.get("config")
    configuration = configuration[:_MOST_TEXT] if isinstance(configuration, str) else ""
    traits = _traits(networks["generator"], path=path, configuration=configuration)
    return Opened(networks, traits, checks.step_of(meta.get("iter")), path)


def _listed(names: Sequence[str]) -> str:
    """Names of a file in an error."""
    return pickle_machine.shown(", ".join(names)) or "no generator"


def _traits(names: Mapping[str, Any], *, path: str, configuration: str) -> Traits:
    """What the configuration in a file says, its name, or else the published configurations."""
    # Epsilon.
    said = re.search(r"norm_eps['\" \t]{0,4}[=:][ \t]{0,4}(\d[\d.]*(?:e-?\d+)?)", configuration)
    normalized = "noise2feat.weight_orig" in names
    plain_tables = "conv_blocks.0.norm_1.weight_embedding.weight" in names
    epsilon = _EPSILON_OF_PLAIN_TABLES if normalized and plain_tables else _EPSILON
    if said and said[1].count(".") <= 1 and 0 < float(said[1]) < 1:
        epsilon = float(said[1])

    # StudioGAN's networks, converted.
    name = os.path.basename(path)
    converted = "convert-studio" in name or _says(configuration, "rgb_to_bgr")
    in_place = _says(configuration, "inplace")

    # What only files that this project has written say.
    own = re.search(r"spectral_norm[ ]{0,4}=[ '\"]{0,4}(exact|at_most_one)", configuration)
    return Traits(
        epsilon=epsilon,
        bgr=not converted,
        relu_shortcut=converted or in_place or "_wReLUinplace" in name,
        spectral_norm=own[1] if own else "exact",
        ours=own is not None,
    )


def _blocks(names: Shapes, *, first: tuple[str, ...] = ()) -> Blocks:
    """The blocks of a network; `first`: those before `conv_blocks`."""
    convolutional = list(first)
    attention = None
    before = 0
    for number, words in torch_layers.blocks(list(names), "conv_blocks."):
        name = f"conv_blocks.{number}"
        if any(word.startswith("theta.") for word in words):
            attention = name
            before = len(convolutional)
        else:
            convolutional.append(name)
    return Blocks(tuple(convolutional), attention, before)


def _says(configuration: str, name: str) -> bool:
    """Whether a configuration sets a name to True."""
    return re.search(rf"{name}['\" \t]{{0,4}}[=:][ \t]{{0,4}}True", configuration) is not None


def generator_blocks(names: Shapes) -> Blocks:
    """The blocks of a generator."""
    return _blocks(names)


def discriminator_blocks(names: Shapes) -> Blocks:
    """The blocks of a discriminator."""
    return _blocks(names, first=("from_rgb",))


def generator_dimensions(names: Shapes, *, source: str) -> dict[str, int]:
    """Fields of `ModelConfig` that a generator's shapes show."""

    def length(name: str, axis: int) -> int:
        return number_of(names, name, axis=axis, source=source)

    suffix = "_orig" if "noise2feat.weight_orig" in names else ""
    table = "conv_blocks.0.norm_1.weight_embedding.weight"
    table_suffix = "_orig" if f"{table}_orig" in names else ""
    return {
        "z_dim": length(f"noise2feat.weight{suffix}", 1),
        "gf_dim": length("to_rgb.bn.weight", 0),
        "number_classes": length(table + table_suffix, 0),
    }


def discriminator_width(names: Shapes, *, source: str) -> int:
    """`ModelConfig.df_dim`."""
    return number_of(names, "from_rgb.conv_1.conv.bias", axis=0, source=source)


def generator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours.

    Args:
      names: shapes by name.
      structure: of `generator_blocks`.
      traits: its epsilon, and the order of colours.
    """
    # From z to the 4x4 map.
    layers = torch_layers.Layers(list(names), epsilon=traits.epsilon)
    channels = number_of(names, first_statistics(structure), axis=0, source="--path")
    layers.dense("noise2feat", "g_snh0", channels=channels)

    # The blocks.
    for number, theirs in enumerate(structure.convolutional, start=1):
        ours = f"g_block{number}"
        _convolutions(layers, theirs, f"{ours}/snconv")
        for order, norm in enumerate(("norm_1", "norm_2")):
            layers.conditional_norm(
                f"{theirs}.{norm}.norm",
                f"{theirs}.{norm}.weight_embedding",
                f"{theirs}.{norm}.bias_embedding",
                ours=f"{ours}/cbn_{order}",
            )
    _attention(layers, structure.attention, "g_non_local")

    # From features to colours.
    layers.norm("to_rgb.bn", "g_bn")
    layers.conv("to_rgb.conv", "g_snconv_last", reverse="out" if traits.bgr else "")
    return layers.table


def discriminator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours; arguments as of `generator_table`."""
    layers = torch_layers.Layers(list(names), epsilon=traits.epsilon)

    # The blocks; the first sees the image.
    reverse = "in" if traits.bgr else ""
    for theirs, ours, numbers in structure.in_discriminator():
        shortcut = 3 in numbers
        _convolutions(layers, theirs, f"{ours}/sn_conv", shortcut=shortcut, reverse=reverse)
        reverse = ""
    _attention(layers, structure.attention, "d_non_local")

    # From features and label to the logit.
    layers.dense("decision", "d_sn_linear")
    layers.embedding("proj_y", "d_embedding")
    return layers.table


def first_statistics(structure: Blocks) -> str:
    """Name of an array of a generator that has as many numbers as its 4x4 map has channels."""
    return f"{structure.convolutional[0]}.norm_1.norm.running_mean"


def _convolutions(
    layers: torch_layers.Layers,
    theirs: str,
    ours: str,
    *,
    shortcut: bool = True,
    reverse: str = "",
) -> None:
    """The convolutions of a block; `reverse`: of those that see its input."""
    layers.conv(f"{theirs}.conv_1.conv", f"{ours}1", reverse=reverse)
    layers.conv(f"{theirs}.conv_2.conv", f"{ours}2")
    if shortcut:
        layers.conv(f"{theirs}.shortcut.conv", f"{ours}3", reverse=reverse)


def _attention(layers: torch_layers.Layers, theirs: Optional[str], ours: str) -> None:
    if theirs is not None:
        layers.attention(theirs, ours, convolutions=_ATTENTION, scalar="gamma")


def written_blocks(model_config: ModelConfig, network: str) -> Blocks:
    """The blocks that a network of ours has in a file; `network`: "generator" or the other."""
    first = ("from_rgb",) if network == "discriminator" else ()
    return blocks_of(model_config, network, name="conv_blocks.{}", first=first)


def written_traits(model_config: ModelConfig) -> Traits:
    """What is true of a file that is written: its configuration says so."""
    return Traits(
        epsilon=_EPSILON_OF_PLAIN_TABLES,
        bgr=True,
        relu_shortcut=model_config.relu_shortcut,
        spectral_norm=model_config.spectral_norm,
        ours=True,
    )


def is_normalized(ours: str) -> bool:
    """Whether a file that is written normalises an array of ours."""
    return ours.endswith(torch_layers.NORMALIZED)


def contents(
    path: str, states: Mapping[str, dict], *, model_config: ModelConfig, step: int
) -> dict[str, dict]:
    """The file to write, by its path.

    Args:
      path: of the file.
      states: arrays by their names, of each network.
      model_config: settings of the networks.
      step: iterations that they were trained.
    """
    # All networks are in one dictionary.
    state = {}
    for prefix, network in _NETWORKS.items():
        for name, values in states.get(network, {}).items():
            state[f"{prefix}.{name}"] = values

    # Say what they are.
    text = _configuration(model_config, averages="averaged" in states)
    return {path: {"meta": {"config": text, "iter": step}, "state_dict": state}}


def _configuration(model_config: ModelConfig, *, averages: bool) -> str:
    """The settings of the networks as mmgeneration writes them."""
    attention = {}
    for network in ("generator", "discriminator"):
        blocks = written_blocks(model_config, network)
        attention[network] = blocks.before_attention if blocks.attention else 0
    return _CONFIGURATION.format(
        spectral_norm=model_config.spectral_norm,
        classes=model_config.number_classes,
        noise=model_config.z_dim,
        width=model_config.gf_dim,
        critic_width=model_config.df_dim,
        attention=attention["generator"],
        critic_attention=attention["discriminator"],
        in_place=model_config.relu_shortcut,
        averages=averages,
    )


def notes(model_config: ModelConfig) -> list[str]:
    """Where mmgeneration computes other numbers with what is written: nowhere."""
    del model_config
    return []
