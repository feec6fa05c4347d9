import json

import pytest

from sagan_tf import errors
from sagan_tf.data import class_names

NAMES = ("n1", "n2", "n3", "n4", "n21")
TITLES = ("tench, Tinca tinca", "crane", "crane, derrick", "great white shark", "great grey owl")
FIVE = class_names.Classes(NAMES, TITLES)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("3", [3]),
        ("1-3", [1, 2, 3]),
        ("4,0,4", [4, 0]),
        ("tench", [0]),
        ("Tinca_Tinca", [0]),
        ("n21", [4]),
        ("n2", [1]),
        ("great w", [3]),
        ("derrick, 0", [2, 0]),
        ("GREAT  GREY owl", [4]),
    ],
)
def test_classes_are_found_by_number_name_id_or_beginning(asked, found):
    assert FIVE.find(asked) == found


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("5", "--classes=5: expected numbers from 0 to 4"),
        ("3-1", "--classes=3-1: expected numbers from 0 to 4"),
        (
            "crane",
            "--classes=crane matches 2 classes: 1 n2 crane; 2 n3 crane, derrick; give "
            "more of the name, the synset id or the number",
        ),
        ("great", "--classes=great matches 2 classes: 3 n4 great white shark; 4 n21"),
        ("tehcn", "--classes=tehcn: no such class; did you mean 0 n1 tench, Tinca tinca?"),
        ("shark", "--classes=shark: no such class; did you mean 3 n4 great white shark"),
        ("zzz", "--classes=zzz: no such class; expected a number, a name or a synset id"),
        ("9" * 5000, "--classes=999"),
        (" , ", "--classes= , : expected numbers, names or synset ids"),
    ],
)
def test_others_are_one_line_with_what_may_be_meant(asked, message):
    with pytest.raises(errors.UserError) as error:
        FIVE.find(asked)
    assert str(error.value).startswith(message)


def test_of_a_thousand_nameless_classes_imagenet_is_meant():
    found = class_names.make(None, None, count=1000)
    assert found.names[207] == "n02099601"
    assert found.text(207) == "golden retriever"
    assert found.find("n01440764,goldfish") == [0, 1]
    with pytest.raises(errors.UserError, match="517 n03126707 crane"):
        found.find("crane")


def test_nameless_classes_go_by_number():
    ten = class_names.make(None, None, count=10)
    assert (ten.text(3), ten.full_text(3)) == ("class 3", "3")
    with pytest.raises(
        errors.UserError, match="this model has no class names; expected numbers from 0 to 9$"
    ):
        ten.find("three")


def test_text_is_the_first_title_or_the_name():
    assert (FIVE.text(0), FIVE.full_text(0)) == ("tench", "0 n1 tench, Tinca tinca")
    assert class_names.make(["ant", "bee"], None, count=2).text(1) == "bee"


def test_names_that_are_numbers_are_told_from_labels():
    """Folders 0, 1, 10, 2 in the order of their names: 2 is the label of the folder 10."""
    four = class_names.make(["0", "1", "10", "2"], None, count=4)
    assert four.find("2") == [2]
    assert [four.text(label) for label in range(4)] == [
        "class 0",
        "class 1",
        'class 2 ("10")',
        'class 3 ("2")',
    ]


def test_file_of_a_run_comes_back(tmp_path):
    class_names.write(str(tmp_path), NAMES, titles=TITLES)
    assert class_names.read(str(tmp_path), 5) == FIVE
    class_names.write(str(tmp_path), ["ant", "bee"], titles=None)
    assert class_names.read(str(tmp_path), 2) == class_names.Classes(("ant", "bee"), ("", ""))


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"names": ["a"], "titles": None}),
        json.dumps({"names": ["a", "b"], "titles": ["a"]}),
        json.dumps({"names": [1, 2], "titles": None}),
    ],
)
def test_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(errors.UserError, match="classes.json: expected names and titles of 2"):
        class_names.read(str(tmp_path), 2)
