"""The list of emoji is read as it is meant, and the real font gives whole pictures."""

import os

import numpy as np
import pytest
from PIL import Image, ImageFont, features

from sagan_tf import config, errors
from sagan_tf.data import emoji

DEFAULTS = config.EmojiConfig()
LIST = """\
# emoji-test.txt
# group: Smileys & Emotion

# subgroup: face-smiling
1F600                  ; fully-qualified     # \U0001f600 E1.0 grinning face
263A FE0F              ; fully-qualified     # \u263a\ufe0f E0.6 smiling face
263A                   ; unqualified         # \u263a E0.6 smiling face

# group: People & Body
# subgroup: person-role
1F468 200D 1F33E       ; fully-qualified     # E4.0 man farmer
1F468 1F3FB 200D 1F33E ; fully-qualified     # E4.0 man farmer: light skin tone
# subgroup: family
1F46A                  ; fully-qualified     # family
# group: Component
# subgroup: skin-tone
1F3FB                  ; component           # E1.0 light skin tone
# group: Animals & Nature
# subgroup: animal-bird
E50A                   ; fully-qualified     # E1.0 fox
# group: Flags
# subgroup: country-flag
1F1E7 1F1FB            ; fully-qualified     # E2.0 flag: Bouvet Island
1F1F3 1F1F4            ; fully-qualified     # E2.0 flag: Norway
"""
ANIMALS = """\
# subgroup: cat-face
1F63A                  ; fully-qualified     # \U0001f63a E0.6 grinning cat
# subgroup: animal-mammal
1F981                  ; fully-qualified     # \U0001f981 E1.0 lion
1F418                  ; fully-qualified     # \U0001f418 E0.6 elephant
# subgroup: food-fruit
1F34E                  ; fully-qualified     # \U0001f34e E0.6 red apple
# subgroup: food-sweet
1F369                  ; fully-qualified     # \U0001f369 E0.6 doughnut
"""


@pytest.fixture(name="font", scope="module")
def fixture_font():
    if not os.path.exists(DEFAULTS.font):
        pytest.skip("fonts-noto-color-emoji is not installed")
    if not features.check("raqm"):
        pytest.skip("Pillow has no Raqm layout")
    return emoji.open_font(DEFAULTS.font)


@pytest.fixture(name="options")
def fixture_options(tmp_path):
    """Those of the list above."""
    (tmp_path / "list.txt").write_text(LIST, encoding="utf-8")
    return config.EmojiConfig(out=str(tmp_path / "out"), list=str(tmp_path / "list.txt"))


def test_list_has_fully_qualified_emoji_and_their_subgroups():
    found = [(one.characters, one.subgroup) for one in emoji.parse_list(LIST.splitlines())]
    assert found == [
        ("\U0001f600", "face-smiling"),
        ("\u263a\ufe0f", "face-smiling"),
        ("\U0001f468\u200d\U0001f33e", "person-role"),
        ("\U0001f468\U0001f3fb\u200d\U0001f33e", "person-role"),
        ("\U0001f46a", "family"),
        ("\ue50a", "animal-bird"),
        ("\U0001f1e7\U0001f1fb", "country-flag"),
        ("\U0001f1f3\U0001f1f4", "country-flag"),
    ]


def test_names_of_the_list_are_read_without_the_version():
    names = [one.name for one in emoji.parse_list(LIST.splitlines())]
    assert names[:3] == ["grinning face", "smiling face", "man farmer"]
    assert names[4:7] == ["", "fox", "flag: Bouvet Island"]


def test_file_has_the_name_of_the_code_points():
    farmer, pale = list(emoji.parse_list(LIST.splitlines()))[2:4]
    assert farmer.file_name == "1f468-200d-1f33e.png"
    assert (farmer.has_skin_tone, pale.has_skin_tone) == (False, True)


@pytest.mark.parametrize("classes", [emoji.CLASSES, {**emoji.CLASSES, **emoji.ALIKE}])
def test_nothing_is_in_two_classes(classes):
    all_of_them = [wanted for all_wanted in classes.values() for wanted in all_wanted]
    assert len(classes) == 9
    assert len(all_of_them) == len(set(all_of_them))


def test_list_of_debian_has_all_that_look_alike():
    if not os.path.exists(DEFAULTS.list):
        pytest.skip("unicode-data is not installed")
    found = emoji.read_list(DEFAULTS.list)
    known = {one.subgroup for one in found} | {one.name for one in found}
    wanted = {one for all_wanted in emoji.ALIKE.values() for one in all_wanted}
    assert wanted <= known


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ("alike", {"animals": ["1f981.png"], "food": ["1f34e.png"]}),
        (
            "all",
            {
                "animals": ["1f418.png", "1f63a.png", "1f981.png"],
                "food": ["1f369.png"],
                "plants": ["1f34e.png"],
            },
        ),
    ],
)
def test_pictures_that_look_alike_or_all(font, tmp_path, capsys, pictures, expected):
    (tmp_path / "list.txt").write_text(ANIMALS, encoding="utf-8")
    options = config.EmojiConfig(
        out=str(tmp_path / "out"), list=str(tmp_path / "list.txt"), pictures=pictures
    )
    emoji.write(options)
    files = {
        name: sorted(os.listdir(os.path.join(options.out, name)))
        for name in os.listdir(options.out)
    }
    assert files == expected

    # What the list does not have is named.
    last = capsys.readouterr().out.splitlines()[-1]
    start = {"alike": "monkey face, dog face, wolf", "all": "animal-bird"}[pictures]
    assert last.startswith(f"not in {options.list}: {start}")


def test_pictures_lie_in_the_folders_of_their_classes(font, options, capsys):
    emoji.write(options)
    files = {
        name: sorted(os.listdir(os.path.join(options.out, name)))
        for name in os.listdir(options.out)
    }
    assert files == {
        "faces": ["1f600.png", "263a-fe0f.png"],
        "flags": ["1f1e7-1f1fb.png"],
        "people": ["1f468-200d-1f33e.png"],
    }

    # Norway's flag is Bouvet Island's, and the font lacks this fox.
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"emoji: 4 pictures of 3 classes in {options.out}"
    assert out[1] == "faces 2, flags 1, people 1"
    assert out[2].startswith("left out: 1 with the picture of another emoji, 1 that the font")
    assert out[3] == "without a picture: animals, food, hands, plants, signs, vehicles"


def test_picture_is_whole_and_in_the_middle_on_white(font):
    """A grinning face is a yellow disc: as far from left as from right, and the same tall."""
    picture = np.asarray(emoji.draw(emoji.Emoji("\U0001f600", ""), font)).astype(int)
    assert picture.shape == (144, 144, 3)
    assert (picture[:8] == 255).all()
    assert (picture[-8:] == 255).all()
    drawn = np.argwhere((picture < 250).any(-1))
    (top, left), (bottom, right) = drawn.min(0), drawn.max(0)
    assert abs(left - (143 - right)) <= 2
    assert abs(top - (143 - bottom)) <= 2
    red, _, blue = picture[72, 30]
    assert red > 200 > 100 > blue


@pytest.mark.parametrize(
    ("characters", "why"),
    [("\U0001f600\U0001f600", "two pictures"), ("\u4e00", "not in the font")],
)
def test_what_is_not_one_picture_is_left_out(font, characters, why):
    assert emoji.draw(emoji.Emoji(characters, ""), font) is None, why


def test_flag_of_two_letters_is_one_picture(font):
    """Germany's: black over red over gold."""
    picture = np.asarray(emoji.draw(emoji.Emoji("\U0001f1e9\U0001f1ea", ""), font)).astype(int)
    black, red, gold = (picture[row, 72] for row in (45, 72, 99))
    assert black.max() < 80
    assert red[0] > 180 > 80 > max(red[1:])
    assert min(gold[:2]) > 150 > 80 > gold[2]


def test_missing_list_names_the_package(tmp_path):
    with pytest.raises(errors.UserError) as error:
        emoji.read_list(str(tmp_path / "absent"))
    assert str(error.value) == (
        f"--list={tmp_path}/absent: No such file or directory; expected emoji-test.txt, as in "
        "Debian's package unicode-data"
    )


@pytest.mark.parametrize("content", [b"no list\n", b"\xff\xfe", b"XYZ ; fully-qualified # no\n"])
def test_another_file_than_the_list_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(errors.UserError, match=r"^--list=.*/x: .*; expected .* unicode-data$"):
        emoji.read_list(str(tmp_path / "x"))


@pytest.mark.parametrize("content", [None, b"no font"])
def test_missing_or_other_font_names_the_package(tmp_path, content, monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: True)
    if content is not None:
        (tmp_path / "x.ttf").write_bytes(content)
    with pytest.raises(errors.UserError, match=r"^--font=.*x.ttf: .* fonts-noto-color-emoji$"):
        emoji.open_font(str(tmp_path / "x.ttf"))


def test_font_without_colours_is_refused(monkeypatch):
    """It can be opened at any size, and would give black letters."""
    monkeypatch.setattr(features, "check", lambda name: True)
    import matplotlib

    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    assert ImageFont.truetype(path, emoji.FONT_SIZE)
    with pytest.raises(errors.UserError, match="fonts-noto-color-emoji"):
        emoji.open_font(path)


def test_pillow_without_raqm_names_the_package(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(errors.UserError, match="libfribidi0"):
        emoji.open_font("x.ttf")


def test_directory_with_files_is_refused(font, options):
    os.makedirs(options.out)
    Image.new("RGB", (1, 1)).save(os.path.join(options.out, "mine.png"))
    with pytest.raises(errors.UserError, match=r"^--out=.*: there are files already; expected"):
        emoji.write(options)
    assert os.listdir(options.out) == ["mine.png"]


@pytest.mark.parametrize("name", ["file", ""])
def test_what_is_no_directory_is_refused(font, options, tmp_path, name):
    (tmp_path / "file").write_text("kept")
    out = str(tmp_path / name) if name else ""
    refused = config.EmojiConfig(out=out, list=options.list)
    with pytest.raises(errors.UserError, match=f"^--out={out}: expected a new or an empty direc"):
        emoji.write(refused)
    assert (tmp_path / "file").read_text() == "kept"


def test_directory_that_cannot_be_made_is_one_line(font, options, tmp_path):
    (tmp_path / "file").write_text("")
    blocked = config.EmojiConfig(out=str(tmp_path / "file" / "out"), list=options.list)
    with pytest.raises(errors.UserError, match=r"^--out=.*: cannot be written to \(Not a direc"):
        emoji.write(blocked)
