"""The setting of a benchmark: one model, trained in one way."""

import dataclasses
from typing import Any, NamedTuple

from sagan_tf import config, errors


class Setting(NamedTuple):
    """What is measured: one model, trained in one way."""

    model: config.ModelConfig
    train: config.TrainConfig

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self.train.batch_size * self.train.num_towers

    def changed(self, text: str) -> "Setting":
        """A copy with other values: "mixed_precision=bfloat16 batch_size=32".

        Raises:
          errors.UserError: no such setting, or a value that does not fit.
        """
        model_values: dict[str, Any] = {}
        train_values: dict[str, Any] = {}
        for word in text.split():
            name, given, value = word.partition("=")
            if given and name in _names(self.model):
                model_values[name] = _converted(value, getattr(self.model, name), text=text)
            elif given and name in _names(self.train):
                train_values[name] = _converted(value, getattr(self.train, name), text=text)
            else:
                raise errors.UserError(
                    f"--compare={text}: expected name=value of training's flags, got {word}"
                )

        # All at once: a single change need not fit without the others.
        return Setting(
            dataclasses.replace(self.model, **model_values),
            dataclasses.replace(self.train, **train_values),
        )


def _names(part: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(part)}


def _converted(value: str, like: Any, *, text: str) -> Any:
    """A value in the type of the one that it replaces."""
    try:
        if isinstance(like, bool):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        return value if like is None else type(like)(value)
    except (KeyError, ValueError) as error:
        raise errors.UserError(
            f"--compare={text}: {value} is not of type {type(like).__name__}"
        ) from error
