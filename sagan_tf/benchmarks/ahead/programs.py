"""The programs that a run has on one device, as StableHLO, without that device.

An iteration is a step of G, a step of D, both Adams, all state and the counter: the same function
that training runs (`training/steps.py`), traced once and handed to XLA as it is.
"""

import dataclasses
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config, errors, model
from sagan_tf.benchmarks.ahead import saved
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.gan import execution
from sagan_tf.runtime import files
from sagan_tf.training import steps

ITERATION = "iteration"
GENERATION = "generation"
# TensorFlow writes what it returns as a copy, which StableHLO does not have.
_COPY = re.compile(r"mhlo\.copy (%\w+) : (tensor<[^>]*>)")
_PRODUCT = re.compile(
    r"%(\w+) = stablehlo\.multiply %(\w+), (%\w+) : tensor<([^>]+)> loc\((#\w+)\)"
)
_MARK = "mean_over_replicas"
_ALIAS = re.compile(r"parameter_number = (\d+) : i64\}, output_index = array<i64: (\d+)>")


def program(setting: Setting, what: str, *, kind: str, replicas: int = 1) -> saved.Program:
    """The program of one device.

    Args:
      setting: the model and its training.
      what: `ITERATION` or `GENERATION`, images of a whole batch with moving statistics.
      kind: "GPU" or "TPU", for which "auto" of the optimizations is chosen.
      replicas: devices that share the towers.
    Raises:
      errors.UserError: TensorFlow cannot make one program of it.
    """
    # Make the networks on the CPU, with the optimizations of the device.
    keras.utils.set_random_seed(setting.train.seed)
    train_config = _train_config(setting.train, kind, replicas=replicas)
    share = Setting(setting.model, train_config)
    gan = _Replica(replicas, *share) if replicas > 1 else model.SAGAN(*share)
    function, inputs = _function(gan, share, what=what)

    # Trace, and hand it to XLA. Nothing is compiled for the CPU.
    traced = tf.function(function, jit_compile=True, autograph=False)
    try:
        concrete = traced.get_concrete_function(*inputs)
        text = traced.experimental_get_compiler_ir(*inputs)(stage="stablehlo", platform_name="CPU")
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise errors.UserError(
            f"the {what} cannot be handed to XLA ({files.first_line(error)}); expected flags "
            "that --jit_compile can train with"
        ) from error

    # Say what its arguments are.
    names = {id(v.handle): (name, v) for name, v in gan.state().items()}
    given = [names[id(outer)] for outer, _ in concrete.graph.captures if id(outer) in names]
    text = _COPY.sub(r"stablehlo.reshape \1 : (\2) -> \2", text)
    return saved.Program(
        text=reduced(text, replicas) if replicas > 1 else text,
        arguments=[_input(spec, setting) for spec in inputs]
        + [_state(name, variable) for name, variable in given],
        fed_back={int(result): int(argument) for argument, result in _ALIAS.findall(text)},
    )


def optimizations(text: str, kind: str) -> str:
    """--optimizations for a device that is not here, with every name and every size spelt out."""
    chosen = config.optimizations(text, kind, compiled=True)
    sized = config.SIZED
    words = [f"{name}:{side}" if name in sized else name for name, side in chosen.items()]
    return ",".join(["none", *words])


def _train_config(
    train_config: config.TrainConfig, kind: str, *, replicas: int
) -> config.TrainConfig:
    """The settings of one replica; one XLA program has no XLA program inside it."""
    return dataclasses.replace(
        train_config,
        jit_compile=False,
        optimizations=optimizations(train_config.optimizations, kind),
        num_towers=train_config.num_towers // replicas,
    )


class _Replica(model.SAGAN):
    """One replica of several, whose gradients and values are marked for `reduced`."""

    def __init__(self, replicas: int, *settings):
        self._replicas = replicas
        super().__init__(*settings)

    def _executed(self, part, network, states, metrics) -> execution.Part:
        run = super()._executed(part, network, states, metrics)

        def marked(*batch: tf.Tensor) -> execution.Outcome:
            outcome = run(*batch)
            gradients, values = tf.nest.map_structure(
                lambda x: tf.multiply(x, 1 / self._replicas, name=_MARK),
                (outcome.gradients, outcome.values),
            )
            return execution.Outcome(outcome.metrics, gradients, values)

        return marked


def reduced(text: str, replicas: int) -> str:
    """StableHLO with a sum over all replicas in front of every marked product.

    XLA's kernels of TensorFlow for a CPU have no such sum, so that it is put in here.

    Args:
      text: the module of one replica.
      replicas: how many there are.
    """
    # Find the marked lines by the locations that their names have.
    marked = set(re.findall(rf'^(#\w+) = loc\("{_MARK}(?:_\d+)?"', text, re.MULTILINE))
    for location, parts in re.findall(r"^(#\w+) = loc\(fused\[(.*)\]\)", text, re.MULTILINE):
        if marked & set(parts.split(", ")):
            marked.add(location)
    groups = f"dense<[{list(range(replicas))}]> : tensor<1x{replicas}xi64>"

    # Sum up their first factor.
    def with_sum(found: re.Match) -> str:
        result, factor, rest, kind, location = found.groups()
        if location not in marked:
            return found[0]
        number = f"tensor<{kind.rpartition('x')[2]}>"
        total, left, right, both = (
            f"%{name}_{result}" for name in ("total", "left", "right", "both")
        )
        return (
            f'{total} = "stablehlo.all_reduce"(%{factor}) ({{\n'
            f"^bb0({left}: {number}, {right}: {number}):\n"
            f"{both} = stablehlo.add {left}, {right} : {number}\n"
            f"stablehlo.return {both} : {number}\n"
            f"}}) {{replica_groups = {groups}}} : (tensor<{kind}>) -> tensor<{kind}> "
            f"loc({location})\n"
            f"%{result} = stablehlo.multiply {total}, {rest} : tensor<{kind}> loc({location})"
        )

    return _PRODUCT.sub(with_sum, text)


def _function(gan: model.SAGAN, setting: Setting, *, what: str) -> tuple[Any, list[tf.TensorSpec]]:
    """A function of plain tensors, and what it takes."""
    # Describe the inputs.
    size = setting.model.image_size
    images = tf.TensorSpec([setting.batch, size, size, 3], tf.uint8, name="images")
    labels = tf.TensorSpec([setting.batch], tf.int32, name="labels")
    z = tf.TensorSpec([setting.batch, setting.model.z_dim], name="z")

    # Choose the function.
    if what == GENERATION:
        return lambda z, labels: gan.generator(z, labels, training=False), [z, labels]
    iteration = steps.make_iteration(gan, setting.train.seed)

    def run(images, labels):
        metrics = iteration([(images, labels)] * setting.train.d_step)
        with tf.control_dependencies([metrics]):
            gan.step.assign_add(1)
        return metrics

    return run, [images, labels]


def _input(spec: tf.TensorSpec, setting: Setting) -> saved.Argument:
    """Pixels and labels are uniform, z is normal."""
    most = {"images": 256, "labels": setting.model.number_classes}.get(spec.name, 0)
    return saved.Argument(
        name=spec.name,
        dtype=spec.dtype.name,
        shape=tuple(spec.shape),
        below=most,
        mean=0.0,
        deviation=0.0 if most else 1.0,
    )


def _state(name: str, variable: tf.Variable) -> saved.Argument:
    """Numbers like those that a run begins with."""
    values = variable.numpy()
    return saved.Argument(
        name=name,
        dtype=variable.dtype.name,
        shape=tuple(variable.shape),
        below=0,
        mean=float(np.mean(values)),
        deviation=float(np.std(values)),
    )
