"""The networks of another run or of an exported model, as the beginning of a new run.

Both networks come, with SN's vectors u and batch norm's moving statistics; Adam's moments, the step
and the augmentation's probability begin anew. It is how a small set of pictures profits from a
larger one (Wang et al., 2018, "Transferring GANs"; Karras et al., 2020, appendix D).
"""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf import errors, model, reference_checkpoint
from sagan_tf.bridges import classes as class_tables
from sagan_tf.bridges import widening
from sagan_tf.bridges.mapping import Network, Tensors
from sagan_tf.config import ModelConfig, difference
from sagan_tf.data import class_names
from sagan_tf.runs import directory, exported, restore
from sagan_tf.runtime import files

FILE = directory.NETWORKS
_FACTS = "facts"
# Settings that a run may choose otherwise than the networks it begins with.
_FREE = ("number_classes", "cbn_decay", "bn_decay")
_NETWORKS = ("generator/", "discriminator/")


@dataclasses.dataclass(frozen=True)
class Beginning:
    """Both networks of a run, at one of its steps.

    Attributes:
      model_config: the networks' settings.
      classes: names of the classes.
      arrays: path of a weight, as in a checkpoint -> its values. The generator is the moving
        average where the run has one.
    """

    model_config: ModelConfig
    classes: class_names.Classes
    arrays: dict[str, np.ndarray]


def of_run(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> Beginning:
    """The networks of a run.

    Args:
      run_dir: directory of the run.
      step: of the checkpoint; -1: the newest that can be read.
      note: told of damaged checkpoints that were skipped.
    Raises:
      errors.UserError: there is no run, or no such checkpoint.
    """
    generator, discriminator = restore.open_networks(run_dir, step, note=note)
    weights = [*generator.weights, *discriminator.weights]
    config = generator.config
    return Beginning(
        model_config=config,
        classes=class_names.read(run_dir, config.number_classes),
        arrays={weight.path: weight.value.numpy() for weight in weights},
    )


def write(beginning: Beginning, out: str) -> None:
    """Writes `training.npz` into a directory.

    Raises:
      OSError: it cannot be written.
    """
    facts = {
        "model_config": dataclasses.asdict(beginning.model_config),
        "classes": dataclasses.asdict(beginning.classes),
    }
    np.savez_compressed(
        os.path.join(out, FILE), **beginning.arrays, **{_FACTS: np.array(json.dumps(facts))}
    )


def read(path: str, *, note: Callable[[str], None] = lambda _: None) -> Beginning:
    """The networks of a run directory, or those that `export --for_training` wrote.

    Args:
      path: the directory of a run, or one that holds a single run, or that of an exported model,
        or its `training.npz`.
      note: as in `of_run`.
    Raises:
      errors.UserError: there are none.
    """
    # Find the file.
    folder = os.path.dirname(path) if path.endswith(".keras") else path
    written = folder if folder.endswith(".npz") else os.path.join(folder, FILE)
    if tf.io.gfile.exists(written):
        return _read_file(path, written)
    if exported.is_exported(path):
        raise errors.UserError(
            f"--init_from={path}: holds no {FILE}; export the model again with --for_training, or "
            "give a directory that has one, such as data/emoji_networks"
        )

    # Without one it is a run.
    run_dir = directory.find_run(path, "init_from")
    try:
        return of_run(run_dir, note=note)
    except errors.UserError as error:
        raise errors.UserError(f"--init_from={path}: {error}") from error


def _read_file(path: str, written: str) -> Beginning:
    """What `write` wrote; `path` is what the user named."""
    try:
        # Read it.
        with tf.io.gfile.GFile(written, "rb") as file, files.open_npz(file) as content:
            arrays = {name: content[name] for name in content.files}
        facts = json.loads(str(arrays.pop(_FACTS)))

        # Refuse what no network can be set to.
        for name, values in arrays.items():
            is_number = values.dtype.kind == "f" and np.isfinite(values).all()
            if not name.startswith(_NETWORKS) or not is_number:
                raise ValueError(f"{name}: expected finite numbers of a generator or discriminator")
        return Beginning(
            model_config=ModelConfig(**facts["model_config"]),
            classes=class_names.from_json(facts["classes"]),
            arrays=arrays,
        )
    except (*files.NPZ_ERRORS, errors.UserError) as error:
        raise errors.UserError(
            f"--init_from={path}: {FILE} cannot be read ({files.first_line(error)}); export the "
            "model again with --for_training"
        ) from error


def begin(
    gan: model.SAGAN,
    path: str,
    *,
    classes: class_names.Classes,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Gives new networks the weights of others; the moving average begins with the generator.

    Where the classes have the same names in the same order, each keeps its rows of the tables. Else
    each begins as the mean of the others' classes. A generator without SN and residual block may be
    wider than theirs (`widening`).

    Args:
      gan: new; its weights are replaced.
      path: as in `read`.
      classes: of the new run.
      note: told what the classes begin as, and as in `of_run`.
    Raises:
      errors.UserError: there are no networks, or they do not fit the run's settings; nothing has
        been changed then.
    """
    # Read them, and refuse others than the run's.
    beginning = read(path, note=note)
    config = gan.model_config
    same: dict[str, Any] = {name: getattr(config, name) for name in _FREE}
    is_wider = _is_wider(config, beginning.model_config)
    if is_wider:
        same["gf_dim"] = config.gf_dim
    changed = difference(dataclasses.replace(beginning.model_config, **same), config)
    if changed:
        remedy = "give their settings, and prepare the data at their size"
        if any(change.startswith("gf_dim") for change in changed):
            remedy += (
                "; G can be wider with --nogenerator_sn, as theirs, and without --block=residual"
            )
        raise errors.UserError(
            f"--init_from={path}: holds other networks ({'; '.join(changed)}); {remedy}"
        )

    # Take their classes, or their mean.
    arrays = {name.split("/", 1)[1]: values for name, values in beginning.arrays.items()}
    network = Network(arrays, sigmas={})
    if beginning.classes.names == classes.names:
        words = "as the one of its name, or of its number where there are no names"
    else:
        network = class_tables.with_classes(network, config.number_classes)
        words = f"as the mean of its {len(beginning.classes.names)}"

    # Set the weights.
    try:
        weights = _widened(network.arrays, gan) if is_wider else network.arrays
        named = {f"model/{name}": values for name, values in weights.items()}
        reference_checkpoint.assign(gan, named)
    except (errors.UserError, ValueError) as error:
        raise errors.UserError(f"--init_from={path}: {error}") from error
    note(f"beginning with the networks of {path}, each class {words}")
    if is_wider:
        width = beginning.model_config.gf_dim
        note(f"--gf_dim={config.gf_dim}: their generator, of {width}, made wider with equal images")
    if gan.averaged is not None:
        gan.begin_average()


def _is_wider(config: ModelConfig, than: ModelConfig) -> bool:
    """Whether a generator is wider than another, and can begin with equal images."""
    can_be = not config.generator_sn and config.block != "residual"
    return can_be and config.gf_dim > than.gf_dim


def _widened(arrays: Tensors, gan: model.SAGAN) -> dict[str, np.ndarray]:
    """The weights of both networks, the generator's in the shapes of `gan`."""
    shapes = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in gan.generator.weights}
    narrow = {name: values for name, values in arrays.items() if name in shapes}
    return {**arrays, **widening.widened(narrow, shapes, seed=gan.train_config.seed)}
