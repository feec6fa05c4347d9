"""Flags of a model card: what neither a run nor a file of weights knows."""

import dataclasses

from sagan_tf.config import fields

_GROUP = "Model card"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_NAME_LETTERS = _LETTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ._-")


def _is_name(text: str, parts: range) -> bool:
    """Whether a text is so many names with slashes between them."""
    names = text.split("/")
    return len(names) in parts and all(name and set(name) <= _NAME_LETTERS for name in names)


@dataclasses.dataclass(frozen=True)
class CardConfig:
    """What a model card says beside what is known (not in the reference)."""

    licence: str = fields.option(
        "",
        "Licence of the model for the model card, as Hugging Face names it: apache-2.0, "
        "cc-by-4.0, mit, other.",
        group=_GROUP,
        meaning="that of the source where it states one; else the card says unknown",
    )
    dataset: str = fields.option(
        "",
        "Data set that the model was trained with, for the model card. Hugging Face links a name "
        "that it has, such as imagenet-1k or USER/NAME.",
        group=_GROUP,
        meaning="that of known weights; else the card says unknown",
    )
    hub_repo: str = fields.option(
        "",
        "Repository that the directory will be uploaded to, USER/NAME. The model card's program "
        "loads the model from there.",
        group=_GROUP,
        meaning="the card has USER/NAME, which you replace",
    )

    def check_card(self) -> None:
        """Checks what bounds cannot say; raises errors.UserError."""
        # A licence is a name of a list; the others are places on the hub.
        is_licence = set(self.licence) <= _LETTERS | set(".+-")

        # Each line says which flag to blame, what must hold, and what is expected of the flag.
        fields.require_all(
            self,
            (
                "licence",
                is_licence,
                "a name of Hugging Face's list, in small letters: apache-2.0, mit, other, ...",
            ),
            (
                "dataset",
                not self.dataset or _is_name(self.dataset, range(1, 3)),
                "a name of letters, digits, ., _ and -, or USER/NAME of such",
            ),
            (
                "hub_repo",
                not self.hub_repo or _is_name(self.hub_repo, range(2, 3)),
                "USER/NAME of letters, digits, ., _ and -",
            ),
        )

    @property
    def asks_for_card(self) -> bool:
        """Whether one of the flags is given."""
        return bool(self.licence or self.dataset or self.hub_repo)
