"""The reference's variable names, and its TensorFlow 1 checkpoints, read and written.

| reference | here |
|---|---|
| `model/g_...`, `model/d_...` | the weight of the same path in the generator or discriminator |
| `<name>/Adam`, `<name>/Adam_1` | Adam's first and second moment of that weight |
| `global_step`, `d_step`, `g_step` | `SAGAN.step`, iterations of the optimizers of D and G |
| `beta1_power`, `beta2_power` (D), `..._1` (G) | follow from the iterations; written, not read |

Source: variable scopes in reference `generator.py`, `discriminator.py`, `model.py:173-187`.
"""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from sagan_tf import errors, model
from sagan_tf.config import ModelConfig

_SCOPE = "model/"
# Adam's moments in TensorFlow 1's names.
_SLOTS = {"m": "Adam", "v": "Adam_1"}


# Settings with which networks have other variables than the reference's.
_OTHER_VARIABLES = ("block", "generator_sn", "conditioning")


def require_fit(model_config: ModelConfig) -> None:
    """Raises errors.UserError where the reference has no place for the networks' variables."""
    for name, (value, expected) in model_config.departures(_OTHER_VARIABLES).items():
        raise errors.UserError(
            f"--{name}={value}: the reference has no such network, and its checkpoints no "
            f"place for it; expected {expected}"
        )


def _model_table(gan: model.SAGAN) -> dict[str, tf.Variable]:
    """Reference name -> variable, for every weight of both networks."""
    weights = [*gan.generator.weights, *gan.discriminator.weights]
    return {_name_of(weight.path): weight.value for weight in weights}


def _optimizer_table(gan: model.SAGAN) -> dict[str, tf.Variable]:
    """Reference name -> variable, for Adam's slots and the three counters."""
    table = {"global_step": gan.step}
    for prefix, optimizer in (("d", gan.d_optimizer), ("g", gan.g_optimizer)):
        for key, variable in optimizer.state().items():
            slot, _, path = key.partition("/")
            if path:
                table[f"{_name_of(path)}/{_SLOTS[slot]}"] = variable
            else:
                table[f"{prefix}_step"] = variable
    return table


def _name_of(path: str) -> str:
    """A weight's name in the reference: its path without the network's name."""
    return _SCOPE + path.split("/", 1)[1]


def _beta_powers(gan: model.SAGAN) -> dict[str, np.ndarray]:
    """TensorFlow 1's Adam keeps beta^(t + 1) in variables; D's optimizer was made first."""
    powers = {}
    for optimizer, suffix in ((gan.d_optimizer, ""), (gan.g_optimizer, "_1")):
        exponent = np.float32(int(optimizer.iterations.numpy()) + 1)
        powers[f"beta1_power{suffix}"] = np.float32(optimizer.beta1) ** exponent
        powers[f"beta2_power{suffix}"] = np.float32(optimizer.beta2) ** exponent
    return powers


def variables(gan: model.SAGAN, optimizer: bool = False) -> dict[str, np.ndarray]:
    """The model's variables as arrays, by reference name.

    Args:
      gan: the model.
      optimizer: whether to give Adam's slots, beta powers and the counters as well.
    """
    arrays = {name: v.numpy() for name, v in _model_table(gan).items()}
    if optimizer:
        arrays.update({name: v.numpy() for name, v in _optimizer_table(gan).items()})
        arrays.update(_beta_powers(gan))
        arrays.update({name: arrays[name].astype(np.int32) for name in ("d_step", "g_step")})
    return arrays


def assign(gan: model.SAGAN, values: Mapping[str, np.ndarray]) -> None:
    """Sets the model's variables from arrays, by reference name.

    Args:
      gan: the model.
      values: every weight of both networks. Adam's slots and the counters may be there or not,
        but all of them or none; without them the optimizers stay as they are.

    Raises:
      errors.UserError: names all missing, unexpected and wrongly shaped variables; nothing has
        been assigned then.
    """
    # Adam's variables are asked for where one of them is given.
    table = _model_table(gan)
    slots = _optimizer_table(gan)
    if any(name in slots for name in values):
        table.update(slots)

    # Find all faults first.
    known = {*table, *_beta_powers(gan)}
    faults = [f"missing {name}" for name in table if name not in values]
    faults += [f"unexpected {name}" for name in values if name not in known]
    for name, variable in table.items():
        here = tuple(variable.shape)
        there = tuple(np.shape(values[name])) if name in values else here
        if there != here:
            faults.append(f"{name} has shape {there} there, {here} here")
    if faults:
        raise errors.UserError("the variables are not those of this model: " + "; ".join(faults))

    # Assign.
    for name, variable in table.items():
        variable.assign(tf.cast(values[name], variable.dtype))


def read(gan: model.SAGAN, path: str) -> None:
    """Reads a checkpoint that `tf.compat.v1.train.Saver` wrote (`path` as given to its restore).

    Raises:
      errors.UserError: there is no such checkpoint, or its variables are not this model's, or the
        reference has no such model.
    """
    # Read.
    require_fit(gan.model_config)
    try:
        reader = tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise errors.UserError(
            f"{path}: expected a TensorFlow 1 checkpoint (the path without .index)"
        ) from error
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    # Its faults are those of the file.
    try:
        assign(gan, values)
    except errors.UserError as error:
        raise errors.UserError(f"{path}: {error}") from error


def write(gan: model.SAGAN, path: str) -> None:
    """Writes a checkpoint that `tf.compat.v1.train.Saver.restore` reads, Adam's slots included.

    Args:
      gan: the model.
      path: prefix of the files, for instance `dir/model.ckpt-1000`.

    Raises:
      errors.UserError: the reference has no such model.
    """
    require_fit(gan.model_config)
    tf.io.gfile.makedirs(os.path.dirname(path) or ".")
    arrays = variables(gan, optimizer=True)
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
