"""Networks of ours in the names of PyTorch projects: the tables of `imports` read backwards.

What comes back through `imports` is the same to the last bit.
"""

from collections.abc import Mapping

import numpy as np

from sagan_tf import errors
from sagan_tf.bridges import mapping, mmgen, spectral, studiogan, torch_layers
from sagan_tf.bridges.mapping import Norm, Part, Table
from sagan_tf.bridges.published import PROJECTS
from sagan_tf.config import ModelConfig

_PROJECTS = {"mmgen": mmgen, "studiogan": studiogan}
# Their channels are those of ours at this size only: mmgen/models/architectures/sngan_proj/
# generator_discriminator.py:104-108, StudioGAN's src/models/resnet.py:73-87 and 175-191.
_IMAGE_SIZE = 128


def contents(
    path: str,
    networks: Mapping[str, Mapping[str, np.ndarray]],
    *,
    names: str,
    model_config: ModelConfig,
    step: int,
) -> dict[str, dict]:
    """The files to write, by path: what `torch_file.write` takes.

    Args:
      path: of mmgeneration's file, or of the directory of StudioGAN's.
      networks: float32 arrays by our names, of "generator", "averaged" (where there is an average)
        and "discriminator".
      names: "mmgen" or "studiogan".
      model_config: settings of the networks.
      step: iterations that they were trained.
    Raises:
      errors.UserError: their networks cannot hold these.
    """
    # Refuse what does not fit.
    require_fit(model_config, names)

    # Convert each network, and put them into files.
    project = _PROJECTS[names]
    states = {}
    for network, arrays in networks.items():
        table = table_of(network, model_config, names=names)
        states[network] = _state(table, arrays, at_most_one=model_config.norms_at_most_one)
    return project.contents(path, states, model_config=model_config, step=step)


def require_fit(model_config: ModelConfig, names: str) -> None:
    """Raises errors.UserError unless their networks can have the layers and channels of ours."""
    # Every table is of attention, a normalised generator and a projection.
    departures = model_config.departures(("block", "generator_sn", "conditioning"))
    for name, (value, expected) in departures.items():
        raise errors.UserError(
            f"--names={names}: this run has --{name}={value}; expected {expected}, because "
            f"this export writes no other networks for {PROJECTS[names]}"
        )

    # Their channels.
    if model_config.image_size != _IMAGE_SIZE:
        raise errors.UserError(
            f"--names={names}: this run makes images of {model_config.image_size} px; expected "
            f"{_IMAGE_SIZE}, the only size at which {PROJECTS[names]}'s networks have the channels "
            "of ours"
        )


def notes(model_config: ModelConfig, names: str) -> list[str]:
    """Where another project computes other numbers with what is written, a line each."""
    found = _PROJECTS[names].notes(model_config)
    if model_config.norms_at_most_one:
        found.append(
            "PyTorch has no --spectral_norm=at_most_one: images of eval() are those of this run, "
            "but training divides by sigma where it is below 1"
        )
    return found


def table_of(network: str, model_config: ModelConfig, *, names: str) -> Table:
    """The table of a network without a file that shows its names.

    Args:
      network: "generator", "averaged" or "discriminator".
      model_config: settings of the networks.
      names: "mmgen" or "studiogan".
    """
    # The structure.
    project = _PROJECTS[names]
    kind = "discriminator" if network == "discriminator" else "generator"
    table = project.discriminator_table if kind == "discriminator" else project.generator_table
    structure = project.written_blocks(model_config, kind)
    traits = project.written_traits(model_config)

    # The table in which nothing is normalised names all weights; then those that are have another
    # name.
    shapes = {}
    if kind == "generator":
        channels = model_config.gf_dim * 2 ** (model_config.num_blocks - 1)
        shapes[project.first_statistics(structure)] = (channels,)
    plain = table(shapes, structure, traits=traits)
    for part in plain.parts:
        if project.is_normalized(part.ours):
            shapes[f"{part.theirs}_orig"] = ()
    return table(shapes, structure, traits=traits)


def _state(
    table: Table, arrays: Mapping[str, np.ndarray], *, at_most_one: bool
) -> dict[str, np.ndarray]:
    """The state dict of a network."""
    # What both have.
    state = mapping.to_theirs(table, arrays)
    for part in table.parts:
        state[part.theirs] = _narrowed(part, state[part.theirs], ours=arrays[part.ours])

    # The vectors of the power iteration.
    for norm in table.norms:
        if norm.scope is None:
            table_of_classes = next(part.ours for part in table.parts if part.norm == norm)
            state[norm.u], state[norm.v] = _vectors_of_one(state[norm.weight], table_of_classes)
        else:
            state[norm.v] = _left_vector(state, norm, at_most_one=at_most_one)

    # Counters, which PyTorch's strict loading asks for; momentum does not depend on them.
    for name in list(state):
        scope, _, kind = name.rpartition(".")
        if kind == "running_mean":
            state[f"{scope}.num_batches_tracked"] = np.zeros((), np.int64)
    return state


def _narrowed(part: Part, theirs: np.ndarray, *, ours: np.ndarray) -> np.ndarray:
    """An array of theirs: float32, or float64 where float32 would not bring ours back.

    PyTorch rounds float64 to float32 when it loads it.
    """
    narrow = np.asarray(theirs, np.float32)
    back = np.asarray(part.transform.to_ours(narrow)).astype(np.float32)
    return narrow if np.array_equal(back, ours) else theirs


def _left_vector(state: Mapping[str, np.ndarray], norm: Norm, *, at_most_one: bool) -> np.ndarray:
    """The v with which u^T W v is what our layer divides by; its length is 1 only by chance.

    v = l2(W u) c, so PyTorch's eval() divides by what our layers do, and train() replaces v first.
    """
    matrix = torch_layers.matrix(state, norm)
    u = torch_layers.right_vector(state, norm)
    divisor = spectral.divisor_of_ours(matrix, u, scope=norm.scope, at_most_one=at_most_one)
    left = matrix @ u
    return np.float32(left * (divisor / (left @ left)))


def _vectors_of_one(weight: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """u and v of a table of classes, with which u^T W v is 1.

    Each has one number that is not 0. v is float64, so that `imports` divides by 1 to the last bit;
    the number is chosen so that PyTorch, which rounds v to float32, does so too.

    Args:
      weight: [out, in].
      name: of our table, for errors.
    Raises:
      errors.UserError: there is no such number, because all are 0.
    """
    # Numbers that times their float32 inverse are 1 in float32; of these the largest.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverses = 1 / weight.astype(np.float64)
        is_one = np.float32(weight) * np.float32(inverses) == 1
    sizes = np.where(is_one, np.abs(weight), 0)
    row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
    if not sizes[row, column]:
        raise errors.UserError(
            f"--names=studiogan: {name} has its initial values only, and StudioGAN divides such a "
            "table by its norm, which is 0; train the run first, or take --names=mmgen"
        )

    # One place of each vector.
    u = np.zeros(weight.shape[0], np.float32)
    v = np.zeros(weight.shape[1], np.float64)
    u[row] = 1
    v[column] = inverses[row, column]
    return u, v
