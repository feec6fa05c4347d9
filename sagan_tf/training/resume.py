"""Resuming and rollback: back to the newest checkpoint, on every worker alike."""

from typing import Optional, Union

import tensorflow as tf

from sagan_tf import errors, model
from sagan_tf.gan import adaptive
from sagan_tf.runs import checkpoints
from sagan_tf.runtime import distribution
from sagan_tf.training.roles import ChiefRun, FollowerRun

# Between the seeds of a run before and after a rollback: 2^32 over the golden ratio.
_SEED_OFFSET = 0x9E3779B9


def make_rollback_counter(gan: model.SAGAN) -> tf.Variable:
    """An int64 variable that counts the rollbacks; checkpoints keep it."""
    with gan.strategy.scope():
        return tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name=checkpoints.ROLLBACKS,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


def restore_newest(
    gan: model.SAGAN, saved: checkpoints.Checkpoints
) -> tuple[Optional[int], list[str]]:
    """Goes to the newest checkpoint that can be read; all workers go to the same one.

    Every worker must call it at the same point.

    Returns:
      The checkpoint's step, or None where there is none; and warnings.

    Raises:
      errors.UserError: no checkpoint can be read, or they are another model's.
    """
    warnings = []
    is_chief = distribution.is_chief(gan.strategy)

    with gan.strategy.scope():
        # The chief finds the newest checkpoint that is not damaged.
        found = saved.restore(note=warnings.append) if is_chief else None

        # The others go to the same one. A mean over all carries the chief's step to them.
        workers = distribution.number_of_workers(gan.strategy)
        contribution = 0 if found is None else workers * (found + 1)
        mean = distribution.mean_over_workers(gan.strategy, [contribution])[0]
        step = round(float(mean)) - 1
        if not is_chief and step >= 0:
            saved.restore(step)

        # A run without an average begins one.
        if any(name.startswith(model.AVERAGE) for name in saved.missing):
            gan.begin_average()
            warnings.append(f"the average of the generator begins at step {step}")

        # So does one without a probability of the augmentation.
        if any(name.startswith(adaptive.ADA) for name in saved.missing):
            gan.adaptive.begin()
            warnings.append(f"adaptive augmentation begins at step {step}")

    return (step if step >= 0 else None), warnings


def seed_after(seed: int, rollbacks: int) -> int:
    """The run's seed, or after rollbacks another one; 0 .. 2**32 - 1."""
    return (seed + rollbacks * _SEED_OFFSET) % 2**32


def roll_back(
    gan: model.SAGAN,
    run: Union[ChiefRun, FollowerRun],
    *,
    fault: errors.UserError,
    rollbacks: tf.Variable,
) -> None:
    """Goes back to the last checkpoint, to go on from there with other random numbers.

    Args:
      gan: what is trained.
      run: drops the rows that are walked again.
      fault: why.
      rollbacks: counted up.

    Raises:
      errors.UserError: the fault, where no rollback is wanted or none is left.
    """
    # Refuse one rollback too many.
    config = gan.train_config
    if config.on_nonfinite != "rollback":
        raise fault
    number = int(rollbacks.numpy()) + 1
    if number > config.max_rollbacks:
        raise errors.UserError(
            f"{fault}; --max_rollbacks={config.max_rollbacks} is used up"
        ) from fault

    # Go back. The checkpoint may be older than the rollback before this one.
    restored, warnings = restore_newest(gan, run.saved)
    step = restored or 0
    rollbacks.assign(number)
    run.drop_rows_after(step)

    # Say so.
    for text in warnings:
        run.events.warn(text)
    run.events.warn(
        f"{fault}; rollback {number} of at most {config.max_rollbacks}: "
        f"continuing from step {step} with other random numbers"
    )
