"""Names of PyTorch-StudioGAN's SAGAN and SNGAN-projection, of 2021 and of 2022.

Source: POSTECH-CVLab/PyTorch-StudioGAN@947b35e, src/models/resnet.py:64-340 and
src/utils/ops.py:16-103; @88b6385 is the code of 2021, whose tables of classes are embeddings.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import checks, torch_file, torch_layers
from sagan_tf.bridges.mapping import Shapes, Table
from sagan_tf.bridges.structure import Blocks, Opened, Traits, blocks_of, number_of
from sagan_tf.config import ModelConfig

# Of all batch norms (src/utils/ops.py:20, 227).
EPSILON = 1e-4
# How the file of a moving average is called (src/worker.py:968).
_AVERAGED = "model=G_ema-"
# In files that this project has written: settings of ours that StudioGAN has not.
_OWN = "sagan_tf"
# Letters of the networks in names of files, and what its loader asks for beside weights.
_LETTERS = {"generator": "G", "averaged": "G_ema", "discriminator": "D"}
_STATE_OF_TRAINING = {"seed": 0, "epoch": 0, "topk": "initialize", "aa_p": 0, "best_fid": None}
_ATTENTION = {
    "sn_conv_theta": "conv1x1_theta",
    "sn_conv_phi": "conv1x1_phi",
    "sn_conv_g": "conv1x1_g",
    "sn_conv_attn": "conv1x1_attn",
}
# Of its convolutions, those of ours: the shortcut is our third.
_CONVOLUTIONS = {"conv2d1": 1, "conv2d2": 2, "conv2d0": 3}


def opened(paths: Sequence[str]) -> Opened:
    """The networks in the files of a generator and, where they are there, of the other two.

    Args:
      paths: of one to three files, in any order: the generator, its moving average, which
        StudioGAN's name of the file tells, and the discriminator.
    Raises:
      errors.UserError: one cannot be read, or they are not these networks.
    """
    networks: dict[str, dict[str, np.ndarray]] = {}
    found_in = {}
    step = None
    own: dict = {}
    for path in paths:
        # Read a file.
        content = torch_file.read(path)
        state = torch_layers.state(content, path)
        network = "generator" if "linear0.bias" in state else "discriminator"
        if network == "generator" and os.path.basename(path).startswith(_AVERAGED):
            network = "averaged"
        known = any(name.startswith(("linear0.", "linear1.")) for name in state)
        if not known or network in networks:
            found = f"a second {network}" if known else "neither"
            raise errors.UserError(
                f"--path={path}: expected a generator or a discriminator of StudioGAN, found "
                f"{found}; is --source right?"
            )

        # Take its network, the step (which the files of 2022 have in D's alone), and what files of
        # this project say.
        networks[network] = state
        found_in[network] = path
        said = checks.step_of(content.get("step"))
        if said is not None and (step is None or network != "discriminator"):
            step = said
        if isinstance(content.get(_OWN), dict):
            own.update(content[_OWN])

    if not networks.keys() & {"generator", "averaged"}:
        raise errors.UserError(f"--path={paths[0]}: is a discriminator; give the generator's too")
    networks.setdefault("generator", networks.get("averaged", {}))
    sampled = found_in.get("averaged") or found_in["generator"]
    return Opened(networks, _traits(own), step, sampled)


def _traits(own: Mapping[str, Any]) -> Traits:
    """What is known of all of its networks; `own`: what files of this project say besides."""
    return Traits(
        epsilon=EPSILON,
        relu_shortcut=own.get("relu_shortcut") is not False,
        spectral_norm="at_most_one" if own.get("spectral_norm") == "at_most_one" else "exact",
        ours=bool(own),
    )


def generator_blocks(names: Shapes) -> Blocks:
    """The blocks of a generator."""
    return _blocks(names)


def discriminator_blocks(names: Shapes) -> Blocks:
    """The blocks of a discriminator."""
    return _blocks(names)


def _blocks(names: Shapes) -> Blocks:
    convolutional: list[str] = []
    attention = None
    before = 0
    for number, words in torch_layers.blocks(list(names), "blocks."):
        name = f"blocks.{number}.0"
        if any("conv1x1_theta" in word for word in words):
            attention = name
            before = len(convolutional)
        else:
            convolutional.append(name)
    return Blocks(tuple(convolutional), attention, before)


def generator_dimensions(names: Shapes, *, source: str) -> dict[str, int]:
    """Fields of `ModelConfig` that a generator's shapes show."""
    # Tables of classes are [classes, channels] in 2021, [channels, classes] in 2022.
    suffix = "_orig" if "linear0.weight_orig" in names else ""
    if _is_of_2021(names):
        classes = number_of(names, f"blocks.0.0.bn1.embed0.weight{suffix}", axis=0, source=source)
    else:
        classes = number_of(names, f"blocks.0.0.bn1.gain.weight{suffix}", axis=1, source=source)

    return {
        "z_dim": number_of(names, f"linear0.weight{suffix}", axis=1, source=source),
        "gf_dim": number_of(names, "bn4.weight", axis=0, source=source),
        "number_classes": classes,
    }


def _is_of_2021(names: Shapes) -> bool:
    return any(".bn1.embed0." in name for name in names)


def discriminator_width(names: Shapes, *, source: str) -> int:
    """`ModelConfig.df_dim`."""
    return number_of(names, "blocks.0.0.conv2d1.bias", axis=0, source=source)


def generator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours.

    Args:
      names: shapes by name.
      structure: of `generator_blocks`.
      traits: its epsilon.
    """
    # From z to the 4x4 map.
    layers = torch_layers.Layers(list(names), epsilon=traits.epsilon)
    channels = number_of(names, first_statistics(structure), axis=0, source="--path")
    layers.dense("linear0", "g_snh0", channels=channels)

    # The blocks.
    of_2021 = _is_of_2021(names)
    gain, shift = ("embed0", "embed1") if of_2021 else ("gain", "bias")
    for number, theirs in enumerate(structure.convolutional, start=1):
        ours = f"g_block{number}"
        _convolutions(layers, theirs, f"{ours}/snconv")
        for order, norm in enumerate(("bn1", "bn2")):
            layers.conditional_norm(
                f"{theirs}.{norm}.bn",
                f"{theirs}.{norm}.{gain}",
                f"{theirs}.{norm}.{shift}",
                ours=f"{ours}/cbn_{order}",
                transposed=not of_2021,
            )
    _attention(layers, structure.attention, "g_non_local")

    # From features to colours.
    layers.norm("bn4", "g_bn")
    layers.conv("conv2d5", "g_snconv_last")
    return layers.table


def discriminator_table(names: Shapes, structure: Blocks, *, traits: Traits) -> Table:
    """Its arrays beside ours; arguments as of `generator_table`."""
    layers = torch_layers.Layers(list(names), epsilon=traits.epsilon)

    # The blocks.
    for theirs, ours, numbers in structure.in_discriminator():
        _convolutions(layers, theirs, f"{ours}/sn_conv", shortcut=3 in numbers)
    _attention(layers, structure.attention, "d_non_local")

    # From features and label to the logit.
    layers.dense("linear1", "d_sn_linear")
    layers.embedding("embedding", "d_embedding")
    return layers.table


def first_statistics(structure: Blocks) -> str:
    """Name of an array of a generator that has as many numbers as its 4x4 map has channels."""
    return f"{structure.convolutional[0]}.bn1.bn.running_mean"


def _convolutions(
    layers: torch_layers.Layers, theirs: str, ours: str, *, shortcut: bool = True
) -> None:
    for name, number in _CONVOLUTIONS.items():
        if number < 3 or shortcut:
            layers.conv(f"{theirs}.{name}", f"{ours}{number}")


def _attention(layers: torch_layers.Layers, theirs: Optional[str], ours: str) -> None:
    if theirs is not None:
        layers.attention(theirs, ours, convolutions=_ATTENTION, scalar="sigma")


def written_blocks(model_config: ModelConfig, network: str) -> Blocks:
    """The blocks that a network of ours has in a file; `network`: "generator" or the other."""
    return blocks_of(model_config, network, name="blocks.{}.0")


def written_traits(model_config: ModelConfig) -> Traits:
    """What is true of a file that is written."""
    return _traits(_own(model_config))


def is_normalized(ours: str) -> bool:
    """Whether StudioGAN normalises an array of ours: its tables of classes as well."""
    is_table = "/cbn_" in ours and ours.endswith(("/gamma", "/beta"))
    return is_table or ours.endswith(torch_layers.NORMALIZED)


def contents(
    path: str, states: Mapping[str, dict], *, model_config: ModelConfig, step: int
) -> dict[str, dict]:
    """The files to write, by path: those that StudioGAN's `-ckpt PATH -best` looks for.

    Args:
      path: of their directory.
      states: arrays by their names, of each network.
      model_config: settings of the networks.
      step: iterations that they were trained.

    Source: src/utils/ckpt.py:44-71 and 80-107, src/worker.py:938-966.
    """
    # Its loader takes the state of training from the discriminator's file.
    run_name = os.path.basename(os.path.abspath(path))
    state = {**_STATE_OF_TRAINING, "run_name": run_name, "best_fid_ckpt": path, "best_step": step}

    # A file for each network.
    found = {}
    for network, arrays in states.items():
        content = {"state_dict": arrays, "step": step, _OWN: _own(model_config)}
        if network == "discriminator":
            content.update(state)
        name = f"model={_LETTERS[network]}-best-weights-step={step}.pth"
        found[os.path.join(path, name)] = content
    return found


def _own(model_config: ModelConfig) -> dict[str, Any]:
    return {
        "relu_shortcut": model_config.relu_shortcut,
        "spectral_norm": model_config.spectral_norm,
    }


def notes(model_config: ModelConfig) -> list[str]:
    """Where StudioGAN computes other numbers with what is written, a line each."""
    # It iterates at every batch, for which our tables of classes were not trained.
    found = [
        "StudioGAN's own evaluation divides its tables of classes by their norm, and so makes "
        "other images; PyTorch's eval() alone does not"
    ]

    # Its ReLU works in place.
    if not model_config.relu_shortcut:
        found.append(
            "this run has plain shortcuts; StudioGAN's discriminator has --relu_shortcut, and "
            "computes other logits"
        )
    return found
