"""Pictures of emoji in class folders, drawn with Noto Color Emoji.

The Unicode Consortium's `emoji-test.txt` lists every emoji under a group and a subgroup. A class is
made of subgroups; of four classes whose pictures differ much, a part is taken, unless all are asked
for. The font has one size, 136x128 pixels; each picture is drawn as it is, in the middle of a white
square. Emoji with a skin tone are left out, because they repeat another picture in another colour.

Debian has both files, in `fonts-noto-color-emoji` (SIL Open Font License 1.1) and `unicode-data`
(Unicode's licence for data files).
"""

import contextlib
import dataclasses
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Optional

from PIL import Image, ImageDraw, ImageFont, features

from sagan_tf import config, errors, plurals

SIDE = 144  # Of a picture in pixels: the emoji are 128 high and wide, the margins 8.
FONT_SIZE = 109  # The only size that the font has.
CLASSES = {
    "animals": (
        "animal-mammal",
        "animal-bird",
        "animal-amphibian",
        "animal-reptile",
        "animal-marine",
        "animal-bug",
        "cat-face",
        "monkey-face",
    ),
    "faces": (
        "face-smiling",
        "face-affection",
        "face-tongue",
        "face-hand",
        "face-neutral-skeptical",
        "face-sleepy",
        "face-unwell",
        "face-hat",
        "face-glasses",
        "face-concerned",
        "face-negative",
    ),
    "flags": ("flag", "country-flag", "subdivision-flag"),
    "food": ("food-prepared", "food-asian", "food-marine", "food-sweet", "drink"),
    "hands": (
        "hand-fingers-open",
        "hand-fingers-partial",
        "hand-single-finger",
        "hand-fingers-closed",
        "hands",
        "hand-prop",
    ),
    "people": ("person", "person-gesture", "person-role"),
    "plants": ("plant-flower", "plant-other", "food-fruit", "food-vegetable"),
    "signs": (
        "transport-sign",
        "warning",
        "arrow",
        "religion",
        "zodiac",
        "av-symbol",
        "keycap",
        "alphanum",
    ),
    "vehicles": ("transport-ground", "transport-water", "transport-air"),
}
# Of these classes, subgroups and single emoji whose pictures look alike: heads of animals from the
# front, each once, fruit and vegetables, flowers and leaves, and vehicles with a cabin on a road or
# on rails.
ALIKE = {
    "animals": (
        "monkey face",
        "dog face",
        "wolf",
        "fox",
        "raccoon",
        "cat face",
        "lion",
        "tiger face",
        "cow face",
        "pig face",
        "mouse face",
        "hamster",
        "rabbit face",
        "bear",
        "polar bear",
        "koala",
        "panda",
        "frog",
    ),
    "food": ("food-fruit", "food-vegetable"),
    "plants": ("plant-flower", "plant-other"),
    "vehicles": (
        "locomotive",
        "railway car",
        "high-speed train",
        "bullet train",
        "train",
        "light rail",
        "station",
        "tram",
        "monorail",
        "mountain railway",
        "tram car",
        "bus",
        "oncoming bus",
        "trolleybus",
        "minibus",
        "ambulance",
        "fire engine",
        "police car",
        "oncoming police car",
        "taxi",
        "oncoming taxi",
        "automobile",
        "oncoming automobile",
        "sport utility vehicle",
        "pickup truck",
        "delivery truck",
        "articulated lorry",
        "tractor",
        "racing car",
        "auto rickshaw",
    ),
}
# What the list says of an emoji behind "#": the version that has had it first, and its name.
_NAME = re.compile(r"E\d+\.\d+ (.*)")
# Why an emoji is left out.
_SAME = "same"
_UNKNOWN = "unknown"
_FACE = "\N{GRINNING FACE}"
_SKIN_TONES = frozenset(range(0x1F3FB, 0x1F3FF + 1))


@dataclasses.dataclass(frozen=True)
class Emoji:
    """One emoji of the list.

    Attributes:
      characters: its code points, as a text.
      subgroup: the heading that the list has it under, as in "animal-bird".
      name: as in "lion".
    """

    characters: str
    subgroup: str
    name: str = ""

    @property
    def file_name(self) -> str:
        """The code points, as in "1f468-200d-1f33e.png"."""
        return "-".join(f"{ord(character):x}" for character in self.characters) + ".png"

    @property
    def has_skin_tone(self) -> bool:
        """Whether it is another emoji in one of the five skin tones."""
        return not _SKIN_TONES.isdisjoint(map(ord, self.characters))


def parse_list(lines: Iterable[str]) -> Iterator[Emoji]:
    """The fully qualified emoji of `emoji-test.txt`, in its order."""
    subgroup = ""
    for line in lines:
        # A heading.
        if line.startswith("# subgroup:"):
            subgroup = line.partition(":")[2].strip()

        # Code points; status # the emoji, its version and its name
        facts, _, about = line.partition("#")
        points, _, status = facts.partition(";")
        if status.strip() == "fully-qualified":
            characters = [chr(int(point, 16)) for point in points.split()]
            name = _NAME.search(about)
            yield Emoji("".join(characters), subgroup, name=name[1] if name else "")


def read_list(path: str) -> list[Emoji]:
    """The fully qualified emoji of a file.

    Raises:
      errors.UserError: the file is not there, or lists none.
    """
    # Read it.
    remedy = "expected emoji-test.txt, as in Debian's package unicode-data"
    try:
        with open(path, encoding="utf-8") as file:
            found = list(parse_list(file))
    except (OSError, ValueError, OverflowError) as error:
        raise errors.UserError(f"--list={path}: {_reason(error)}; {remedy}") from None

    # See whether it is such a list.
    if not found:
        raise errors.UserError(f"--list={path}: it has no fully-qualified emoji; {remedy}")
    return found


def open_font(path: str) -> ImageFont.FreeTypeFont:
    """The font, with the layout that joins several characters into one emoji.

    Raises:
      errors.UserError: the file is not there or has no pictures of this size, or Pillow has no
        such layout.
    """
    # Flags and many people are several characters.
    if not features.check("raqm"):
        raise errors.UserError(
            "Pillow has no Raqm layout, which joins the two letters of a flag; "
            "it needs Debian's package libfribidi0"
        )

    # Open it.
    remedy = "expected NotoColorEmoji.ttf, as in Debian's package fonts-noto-color-emoji"
    try:
        font = ImageFont.truetype(path, FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    except (OSError, ValueError) as error:
        raise errors.UserError(f"--font={path}: {_reason(error)}; {remedy}") from None

    # Look at a face: another font's has no colour, or is not there.
    face = draw(Emoji(_FACE, ""), font)
    if face is None or not _is_coloured(face):
        raise errors.UserError(f"--font={path}: it has no face in colour; {remedy}")
    return font


def _is_coloured(picture: Image.Image) -> bool:
    """Whether one of its pixels is neither black nor white nor grey."""
    _, (_, most_saturated), _ = picture.convert("HSV").getextrema()
    return most_saturated > 0


def _reason(error: Exception) -> str:
    """What went wrong, without the path."""
    return getattr(error, "strerror", None) or str(error)


def draw(emoji: Emoji, font: ImageFont.FreeTypeFont) -> Optional[Image.Image]:
    """The picture of an emoji.

    Args:
      emoji: the emoji.
      font: as `open_font` gives it.
    Returns:
      RGB, `SIDE` pixels high and wide, on white; None where the font has no picture of it, or only
      pictures of its parts.
    """
    # One picture is as wide as any other.
    width = font.getlength(emoji.characters)
    if width != font.getlength(_FACE):
        return None

    # Draw it in the middle; a character that the font does not have leaves nothing.
    picture = Image.new("RGBA", (SIDE, SIDE))
    left, top, right, bottom = font.getbbox(emoji.characters)
    corner = ((SIDE - left - right) // 2, (SIDE - top - bottom) // 2)
    pen = ImageDraw.Draw(picture)
    pen.text(corner, emoji.characters, font=font, embedded_color=True)
    if picture.getbbox() is None:
        return None

    # Put it on white.
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def write(options: config.EmojiConfig) -> None:
    """Draws the emoji of nine classes into class folders, and says how many.

    Of several emoji with the same picture, as the flags of France and of its islands, the first is
    taken.

    Args:
      options: which pictures, the font, the list and the directory, which must be new or empty.
    Raises:
      errors.UserError: a file or the directory cannot be used.
    """
    # Open the font and the list.
    font = open_font(options.font)
    classes = {**CLASSES, **ALIKE} if options.pictures == "alike" else CLASSES
    listed = read_list(options.list)
    wanted = _by_class(listed, classes)

    # Draw each class.
    counts: Counter = Counter()
    seen: set[str] = set()
    with _writing(options.out):
        for name, emoji in wanted.items():
            folder = os.path.join(options.out, name)
            for one in emoji:
                counts[_save(one, font, folder=folder, seen=seen) or name] += 1

    # Say what is there.
    taken = {name: counts[name] for name in wanted if counts[name]}
    what = plurals.counted(sum(taken.values()), "picture")
    print(f"emoji: {what} of {plurals.counted(len(taken), 'class', 'classes')} in {options.out}")
    print(", ".join(f"{name} {count}" for name, count in taken.items()))
    print(
        f"left out: {counts[_SAME]} with the picture of another emoji, "
        f"{counts[_UNKNOWN]} that the font does not have"
    )
    without = [name for name in wanted if name not in taken]
    if without:
        print(f"without a picture: {', '.join(without)}")

    # Say what the list does not have: names and groups differ between its versions.
    known = {name for one in listed for name in (one.subgroup, one.name)}
    missing = [name for names in classes.values() for name in names if name not in known]
    if missing:
        print(f"not in {options.list}: {', '.join(missing)}")


def _by_class(
    emoji: Iterable[Emoji], classes: Mapping[str, Iterable[str]]
) -> dict[str, list[Emoji]]:
    """The emoji of each class, without those of a skin tone.

    Args:
      emoji: all.
      classes: subgroups and names of the emoji of each class.
    """
    class_of = {wanted: name for name, all_wanted in classes.items() for wanted in all_wanted}
    found: dict[str, list[Emoji]] = {name: [] for name in classes}
    for one in emoji:
        name = class_of.get(one.subgroup) or class_of.get(one.name)
        if name and not one.has_skin_tone:
            found[name].append(one)
    return found


def _save(emoji: Emoji, font: ImageFont.FreeTypeFont, *, folder: str, seen: set[str]) -> str:
    """Writes the picture of an emoji, unless there is none or it is there already.

    Args:
      emoji: the emoji.
      font: as `open_font` gives it.
      folder: of its class.
      seen: digests of all pictures so far; gets this one's.
    Returns:
      Why it was left out; "" where it was written.
    """
    # Draw it.
    picture = draw(emoji, font)
    if picture is None:
        return _UNKNOWN

    # Each picture once.
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    if digest in seen:
        return _SAME
    seen.add(digest)

    # A class has a folder where it has a picture.
    os.makedirs(folder, exist_ok=True)
    picture.save(os.path.join(folder, emoji.file_name))
    return ""


@contextlib.contextmanager
def _writing(out: str) -> Iterator[None]:
    """Refuses a directory that holds something; an error of writing becomes one line."""
    try:
        # Pictures of another font or list would be mixed with these.
        if not out or os.path.isfile(out):
            raise errors.UserError(f"--out={out}: expected a new or an empty directory")
        os.makedirs(out, exist_ok=True)
        if os.listdir(out):
            raise errors.UserError(
                f"--out={out}: there are files already; expected a new or an empty directory"
            )
        yield
    except OSError as error:
        raise errors.UserError(
            f"--out={out}: cannot be written to ({_reason(error)}); free space, or choose another "
            "place"
        ) from None
