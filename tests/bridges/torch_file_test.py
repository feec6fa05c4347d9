"""PyTorch's files: numbers that PyTorch wrote, programs written here by hand, and hostile ones."""

import dataclasses
import io
import pickle
import pickletools
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.bridges import pickle_machine, torch_file
from tests.conftest import TESTDATA

WEIGHTS = TESTDATA / "weights"
MAGIC = 0x1950A86A20F9469CFC6C


@dataclasses.dataclass
class Raw:
    """Operations of a pickle as they are."""

    content: bytes


@dataclasses.dataclass
class Call:
    """A call in a pickle, of a name that need not be there."""

    module: str
    name: str
    arguments: object = ()


@dataclasses.dataclass
class Storage:
    """A reference to numbers of a file."""

    kind: str
    key: str
    count: object


def operations(value) -> bytes:
    """The operations of a pickle that make a value, in protocol 2."""
    if isinstance(value, Raw):
        return value.content
    if isinstance(value, Call):
        named = f"c{value.module}\n{value.name}\n".encode()
        return named + operations(value.arguments) + b"R"
    if isinstance(value, Storage):
        parts = ("storage", Raw(f"ctorch\n{value.kind}\n".encode()), value.key, "cpu", value.count)
        return operations(parts) + b"Q"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(operations, value)) + b"t"
    if isinstance(value, list):
        return b"(" + b"".join(map(operations, value)) + b"l"
    if isinstance(value, dict):
        return b"(" + b"".join(operations(part) for pair in value.items() for part in pair) + b"d"
    return pickle.dumps(value, 2)[2:-1]


def program(value) -> bytes:
    return b"\x80\x02" + operations(value) + b"."


def tensor(kind, count, *, shape, strides, offset=0, key="0"):
    hooks = Call("collections", "OrderedDict")
    storage = Storage(kind, key, count)
    arguments = (storage, offset, shape, strides, False, hooks)
    return Call("torch._utils", "_rebuild_tensor_v2", arguments)


def write_zip(path, value, storages=(), order=b"little", **options) -> str:
    """A file in the zip format; `storages` are the bytes of "0", "1", ..."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("x/data.pkl", program(value))
        archive.writestr("x/byteorder", order)
        for key, content in enumerate(storages):
            archive.writestr(f"x/data/{key}", content)
    return str(path)


def write_old(path, value, storages=()) -> str:
    """A file in the old format; `storages` are counts and bytes of "0", "1", ..."""
    keys = [str(key) for key in range(len(storages))]
    system = {"protocol_version": 1001, "little_endian": True}
    parts = [program(part) for part in (MAGIC, 1001, system, value, keys)]
    parts += [struct.pack("<q", count) + content for count, content in storages]
    path.write_bytes(b"".join(parts))
    return str(path)


def refusal(path) -> str:
    """The line that reading a file ends with, without the file's name."""
    with pytest.raises(errors.UserError) as caught:
        torch_file.read(str(path))
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 400
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_reads_what_pytorch_wrote(name):
    """Both files were written by PyTorch, the expected arrays by `tensor.numpy()`."""
    read = torch_file.read(str(WEIGHTS / name))
    expected = np.load(WEIGHTS / "tiny_expected.npz")
    assert list(read) == ["meta", "state_dict", "optimizer"]
    assert list(read["state_dict"]) == expected.files
    for key, array in read["state_dict"].items():
        assert array.dtype == expected[key].dtype
        np.testing.assert_array_equal(array, expected[key], err_msg=key, strict=True)


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_keeps_numbers_and_unknown_objects_beside_the_tensors(name):
    read = torch_file.read(str(WEIGHTS / name))
    assert read["meta"]["iter"] == 826000
    score = read["meta"]["hook_msgs"]["best_score_fid"]
    assert (score, score.dtype) == (12.8295, np.float64)
    assert read["optimizer"]["generator"]["param_groups"][0]["betas"] == (0.9, 0.999)
    record = read["meta"]["odd"]
    assert isinstance(record, pickle_machine.Record)
    assert (record.name, record.state) == ("__main__.LeCamEMA", {"decay": 0.9})


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("DoubleStorage", np.float64),
        ("FloatStorage", np.float32),
        ("HalfStorage", np.float16),
        ("LongStorage", np.int64),
        ("IntStorage", np.int32),
        ("ShortStorage", np.int16),
        ("CharStorage", np.int8),
        ("ByteStorage", np.uint8),
        ("BoolStorage", np.bool_),
        ("ComplexFloatStorage", np.complex64),
        ("ComplexDoubleStorage", np.complex128),
    ],
)
def test_types_of_numbers_stay_in_both_formats_and_byte_orders(tmp_path, kind, dtype):
    numbers = np.array([0, 1, 1, 0, 1, 0]).astype(dtype) * np.array(1, dtype)
    value = {"w": tensor(kind, 6, shape=(2, 3), strides=(3, 1))}
    little = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
    big = numbers.astype(numbers.dtype.newbyteorder(">")).tobytes()
    for path in (
        write_zip(tmp_path / "little.pth", value, [little]),
        write_zip(tmp_path / "big.pth", value, [big], order=b"big"),
        write_old(tmp_path / "old.pth", value, [(6, little)]),
    ):
        read = torch_file.read(path)["w"]
        np.testing.assert_array_equal(read, numbers.reshape(2, 3), strict=True)


def test_bfloat16_becomes_float32(tmp_path):
    """1, 1.5, -2 and 3.140625 by the format's definition: the upper 16 bits of a float32."""
    bits = np.array([0x3F80, 0x3FC0, 0xC000, 0x4049], "<u2")
    value = tensor("BFloat16Storage", 4, shape=(4,), strides=(1,))
    read = torch_file.read(write_zip(tmp_path / "a.pth", value, [bits.tobytes()]))
    np.testing.assert_array_equal(read, np.float32([1, 1.5, -2, 3.140625]), strict=True)


def test_views_have_offset_and_strides_and_share_their_storage(tmp_path):
    numbers = np.arange(24, dtype="<f4")
    value = {
        "turned": tensor("FloatStorage", 24, shape=(4, 6), strides=(1, 4)),
        "part": tensor("FloatStorage", 24, shape=(3, 2), strides=(6, 2), offset=7),
        "scalar": tensor("FloatStorage", 24, shape=(), strides=(), offset=23),
        "repeated": tensor("FloatStorage", 24, shape=(2, 3), strides=(0, 1)),
        "empty": tensor("FloatStorage", 24, shape=(0, 3), strides=(3, 1)),
    }
    read = torch_file.read(write_zip(tmp_path / "a.pth", value, [numbers.tobytes()]))
    np.testing.assert_array_equal(read["turned"], numbers.reshape(6, 4).T)
    np.testing.assert_array_equal(read["part"], [[7, 9], [13, 15], [19, 21]])
    np.testing.assert_array_equal(read["scalar"], np.array(23, np.float32), strict=True)
    np.testing.assert_array_equal(read["repeated"], [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(read["empty"], np.zeros((0, 3), np.float32), strict=True)
    assert np.shares_memory(read["turned"], read["part"])


def test_reads_the_other_names_that_tensors_need(tmp_path):
    plain = tensor("IntStorage", 2, shape=(2,), strides=(1,))
    hooks = Call("collections", "OrderedDict")
    parameter = Call("torch._utils", "_rebuild_parameter", (plain, True, hooks))
    number_type = operations(Call("numpy", "dtype", ("i4", False, True)))
    number_type += operations((3, ">", None, None, None, -1, -1, 0)) + b"b"
    scalar = (Raw(number_type), Call("_codecs", "encode", ("\0\0\1\2", "latin1")))
    state_dict = operations(hooks) + operations({"_metadata": hooks}) + b"b"
    value = {
        "parameter": parameter,
        "size": Call("torch", "Size", ((2, 3),)),
        "device": Call("torch", "device", ("cuda", 0)),
        "scalar": Call("numpy.core.multiarray", "scalar", scalar),
        "state_dict": Raw(state_dict),
        "text": "\u00e9",
        "nothing": None,
        "number": 1.5,
    }
    read = torch_file.read(write_zip(tmp_path / "a.pth", value, [struct.pack("<2i", 5, -6)]))
    np.testing.assert_array_equal(read.pop("parameter"), np.int32([5, -6]), strict=True)
    assert read == {
        "size": (2, 3),
        "device": "cuda:0",
        "scalar": 0x102,
        "state_dict": {},
        "text": "\u00e9",
        "nothing": None,
        "number": 1.5,
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_every_protocol_of_python(tmp_path, protocol):
    """Python's own pickler wrote it: text, numbers and containers of all lengths."""
    value = {"a": [1, -2, 3.5, True, None, 10**20], "b": ("x" * 300, (), (1,), {}), 3: [[]]}
    value["again"] = value["b"]
    content = b"".join(pickle.dumps(part, protocol) for part in (MAGIC, 1001, {}, value, []))
    (tmp_path / "a.pth").write_bytes(content)
    assert torch_file.read(str(tmp_path / "a.pth")) == value


# Written files.


def test_written_state_is_read_again(tmp_path):
    random = np.random.default_rng(0)
    state = {
        "meta": {
            "iter": 7,
            "note": "\u00e9",
            "scores": [1.5, (None, True)],
            "score": np.float32(2),
        },
        "state_dict": {
            "matrix": random.normal(size=(3, 4)).astype(np.float32),
            "turned": random.normal(size=(3, 4)).T,
            "swapped": np.arange(3, dtype=">i4"),
            "scalar": np.array(7, np.int64),
            "empty": np.zeros((0, 5), np.float16),
            "mask": np.array([[True], [False]]),
        },
    }
    torch_file.write(str(tmp_path / "a.pth"), state)
    read = torch_file.read(str(tmp_path / "a.pth"))
    assert read["meta"] == {
        "iter": 7,
        "note": "\u00e9",
        "scores": [1.5, (None, True)],
        "score": 2.0,
    }
    assert read["state_dict"].keys() == state["state_dict"].keys()
    for key, array in state["state_dict"].items():
        native = array.astype(array.dtype.newbyteorder("="))
        np.testing.assert_array_equal(read["state_dict"][key], native, strict=True)


def test_written_file_has_the_parts_of_pytorchs(tmp_path):
    """The same arrays as in PyTorch's file: the same names, and storages of the same bytes."""
    arrays = dict(np.load(WEIGHTS / "tiny_expected.npz"))
    del arrays["generator_ema.view"]  # PyTorch wrote its numbers in another order.
    torch_file.write(str(tmp_path / "a.pth"), arrays)
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as ours,
        zipfile.ZipFile(WEIGHTS / "tiny_zip.pth") as theirs,
    ):
        for part in ("version", "byteorder", *(f"data/{i}" for i in range(len(arrays)))):
            assert ours.read(f"archive/{part}") == theirs.read(f"tiny_zip/{part}")
        named = [
            argument
            for operation, argument, _ in pickletools.genops(ours.read("archive/data.pkl"))
            if operation.name == "GLOBAL"
        ]
    assert set(named) == {
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "torch LongStorage",
        "collections OrderedDict",
    }


def test_written_pickle_has_only_operations_that_pytorch_reads_safely(tmp_path):
    """Those of `torch/_weights_only_unpickler.py`, as of PyTorch 2.14."""
    names = "PROTO STOP GLOBAL REDUCE BINPERSID MARK NONE NEWFALSE NEWTRUE BININT BININT1 BININT2"
    names += " LONG1 BINFLOAT BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND"
    names += " APPENDS EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET"
    state = {
        "w": np.zeros((2, 3)),
        "a": [1, -2, 2**40, 1.5, None, True, "x", (), [], {}, {3: (4,)}],
    }
    torch_file.write(str(tmp_path / "a.pth"), state)
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        content = archive.read("archive/data.pkl")
    found = {operation.name for operation, _, _ in pickletools.genops(content)}
    assert found <= set(names.split())


def test_same_state_gives_the_same_bytes(tmp_path):
    for name in ("a.pth", "b.pth"):
        torch_file.write(str(tmp_path / name), {"w": np.arange(3)})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ({"net": {"w": np.zeros(2, np.uint32)}}, "w has the type uint32, which is not written"),
        ({"w": np.array(["text"])}, "w has the type <U4, which is not written"),
        ({"meta": [1, {2}]}, r"meta\[1\] is a set, which a .pth file cannot have"),
        ({"meta": {(1, 2): 3}}, r"meta has the key \(1, 2\); give text or a whole number"),
    ],
)
def test_refuses_to_write_what_pytorch_cannot_have(tmp_path, state, line):
    path = tmp_path / "a.pth"
    path.write_bytes(b"as before")
    with pytest.raises(errors.UserError, match=f"^{line}"):
        torch_file.write(str(path), state)
    assert path.read_bytes() == b"as before"


# Hostile files.


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("copyreg", "_reconstructor"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("sagan_tf.bridges.torch_file", "write"),
    ],
)
def test_refuses_every_other_call_and_runs_nothing(tmp_path, module, name):
    value = {"state_dict": {}, "meta": Call(module, name, (f"touch {tmp_path}/it_ran",))}
    for path in (write_zip(tmp_path / "a.pth", value), write_old(tmp_path / "b.pth", value)):
        assert refusal(path) == (
            f"its pickle calls {module}.{name}; nothing of it was run; save the state dict alone, "
            "or take the file from its publisher"
        )
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # The name by text from the stack, as protocol 4 does; the name alone.
        (b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R", "its pickle calls os.system;"),
        (b"cos\nsystem\n", "its pickle names os.system;"),
        # An object that is made of values, and the operations of protocol 0.
        (b"csubprocess\nPopen\nX\x02\0\0\0ls\x85\x81", "its pickle makes a subprocess.Popen"),
        (b"(X\x02\0\0\0lsios\nsystem\n", "its pickle has the operation INST;"),
        (b"(cos\nsystem\nX\x02\0\0\0lso", "its pickle has the operation OBJ;"),
        (b"\x82\x01", "its pickle has the operation EXT1;"),
        # A call of the result of a call, of text and of a record; a state for a tensor.
        (b"ccollections\nOrderedDict\n)R)R", "its pickle calls dict;"),
        (b"X\x09\0\0\0os.system)R", "its pickle calls str;"),
        (b"cos\nsystem\n)\x81)R", "its pickle calls Record;"),
        (b"X\x01\0\0\0a}b", "it sets the state of a str;"),
        # Lines and escapes in a name stay out of the message.
        (b"\x8c\x03o\ns\x8c\x05\x1b[31m\x93)R", r"its pickle calls o\ns.\x1b[31m;"),
        # A name of the table that is no function.
        (b"ctorch\nFloatStorage\n)R", "its pickle calls torch.FloatStorage;"),
        # Persistent ids of something else.
        (b"X\x01\0\0\0aQ", "it refers to something that is no storage of a tensor"),
        (operations(("module", 1, "a", "b", "c")) + b"Q", "it holds a whole network, and so code;"),
        # The hash of a tuple of tuples would take for ever.
        (b"}" + b")" + b"q\0h\0\x86" * 60 + b"K\1s", "a dictionary in it has a"),
    ],
)
def test_refuses_other_ways_to_a_call(tmp_path, content, line):
    assert refusal(write_zip(tmp_path / "a.pth", Raw(content))).startswith(line)


def test_record_keeps_a_hostile_state_as_data(tmp_path):
    state = {"__class__": "x", "__setstate__": "y", "build": "z"}
    made = b"cposix\nsystem\n)\x81" + operations(state) + b"b"
    record = torch_file.read(write_zip(tmp_path / "a.pth", Raw(made)))
    assert type(record) is pickle_machine.Record
    assert (record.name, record.state) == ("posix.system", state)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"count": 1 << 40}, "its storages are said to have 4,398,046,511,104 bytes, but the file"),
        ({"count": 7}, "storage 0 is missing or has another size than its pickle says"),
        ({"key": "5"}, "storage 5 is missing or has another size than its pickle says"),
        ({"count": -6}, "damaged, or not a PyTorch file (a storage without a key or a count)"),
        ({"kind": "QInt8Storage"}, "numbers of the type torch.QInt8Storage are not read;"),
        ({"offset": 1}, "a tensor ends at number 7 of its storage, which has 6;"),
        (
            {"offset": -1},
            "damaged, or not a PyTorch file (a tensor without a storage or an offset)",
        ),
        ({"shape": (2, 4)}, "a tensor ends at number 7 of its storage, which has 6;"),
        ({"shape": (1 << 62, 1 << 62)}, "a tensor ends at number"),
        ({"shape": (-2, 3)}, "a tensor's shape or stride is no count;"),
        ({"strides": (3, -1)}, "a tensor's shape or stride is no count;"),
        ({"strides": (1 << 62, 1)}, "a tensor ends at number"),
        ({"strides": (3,)}, "damaged, or not a PyTorch file (a tensor's shape and strides differ"),
        ({"shape": (1 << 30, 1 << 30), "strides": (0, 0)}, "a tensor is larger than the file;"),
        ({"shape": (0, 1 << 60), "strides": (1, 1)}, "a tensor is larger than the file;"),
        ({"shape": (1,) * 33, "strides": (1,) * 33}, "damaged, or not a PyTorch file (a tensor's"),
    ],
)
def test_refuses_sizes_that_lie_before_memory_is_taken(tmp_path, fields, line):
    fields = {"kind": "FloatStorage", "count": 6, "shape": (2, 3), "strides": (3, 1), **fields}
    value = {"w": tensor(fields.pop("kind"), fields.pop("count"), **fields)}
    path = write_zip(tmp_path / "a.pth", value, [bytes(24)])
    tracemalloc.start()
    assert refusal(path).startswith(line)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # Lengths that lie: a memo's place, text, a number.
        (b"Nr\xff\xff\xff\xff\x85", None),
        (b"\x8d" + struct.pack("<Q", 1 << 40), "damaged"),
        (b"\x8b" + struct.pack("<i", 1 << 30), "damaged"),
        (b"\x8a\x20" + b"\x7f" * 32, "damaged, or not a PyTorch file (a number of more than 128"),
        # Deep, but not called by anything that follows it down.
        (b"]" * 20_000 + b"a" * 19_999, None),
        (b")" + b"\x85" * 20_000, None),
        (b"cx\ny\n)\x81" * 10_000 + b"b" * 9_999, None),
        # Too many operations.
        pytest.param(
            b"N" * 1_000_100, "its pickle has over 1,000,000 operations;", marks=pytest.mark.slow
        ),
        # The same long text, encoded again and again.
        (
            operations("x" * 300) + b"q\0" + b"c_codecs\nencode\nh\0\x85R",
            "damaged, or not a PyTorch file (bytes that are not those of a number)",
        ),
    ],
)
def test_pickles_that_ask_for_too_much(tmp_path, content, line):
    path = write_zip(tmp_path / "a.pth", Raw(content))
    tracemalloc.start()
    if line is None:
        torch_file.read(path)
    else:
        assert refusal(path).startswith(line)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


# Damaged files, and files of something else.


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_names_a_file_that_is_cut_off(tmp_path, name):
    whole = (WEIGHTS / name).read_bytes()
    path = tmp_path / "a.pth"
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        assert refusal(path).endswith(("fetch it again", "name a .pth file"))


def test_names_damaged_numbers_of_the_zip_format(tmp_path):
    content = bytearray((WEIGHTS / "tiny_zip.pth").read_bytes())
    with zipfile.ZipFile(WEIGHTS / "tiny_zip.pth") as archive:
        numbers = archive.read("tiny_zip/data/1")
    content[content.index(numbers)] ^= 1
    (tmp_path / "a.pth").write_bytes(content)
    assert "Bad CRC-32" in refusal(tmp_path / "a.pth")


def test_refuses_zip_files_that_grow(tmp_path):
    # Compressed.
    value = tensor("ByteStorage", 1 << 20, shape=(1 << 20,), strides=(1,))
    path = write_zip(tmp_path / "a.pth", value, [bytes(1 << 20)], compression=zipfile.ZIP_DEFLATED)
    assert refusal(path).startswith("is a compressed or encrypted zip file")

    # An entry that says it is larger than the file.
    path = write_zip(tmp_path / "b.pth", value, [bytes(10)])
    content = bytearray((tmp_path / "b.pth").read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = struct.pack("<2I", 1 << 30, 1 << 30)
    (tmp_path / "b.pth").write_bytes(content)
    assert refusal(path).startswith("its entries are said to have 1,073,741,")


def test_old_format_compares_its_counts(tmp_path):
    value = tensor("FloatStorage", 6, shape=(6,), strides=(1,))
    path = write_old(tmp_path / "a.pth", value, [(1 << 40, bytes(24))])
    assert refusal(path).startswith(
        "storage 0 has 1,099,511,627,776 numbers, but its pickle says 6"
    )
    path = write_old(tmp_path / "b.pth", value, [])
    assert "its list of storages is not that of its tensors" in refusal(path)


def write_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())


def write_torchscript(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x/data.pkl", "x/constants.pkl", "x/code/net.py"):
            archive.writestr(name, b" " * 100)


def write_other_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", b"<x/>")


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (lambda path: None, "there is no such file; name a .pth file of PyTorch"),
        (lambda path: path.mkdir(), "is no file; name a .pth file of PyTorch"),
        (lambda path: path.write_bytes(b""), "is empty; fetch it again"),
        (lambda path: path.write_text("<html>404</html>\n" * 50), "damaged, or not a PyTorch file"),
        (
            lambda path: path.write_bytes(pickle.dumps({"a": 1})),
            "is a pickle, but not one of torch",
        ),
        (lambda path: np.savez(path.open("wb"), a=1), "is a zip file, but not one of PyTorch"),
        (write_other_zip, "is a zip file, but not one of PyTorch; name a .pth file"),
        (write_torchscript, "is a TorchScript program; save its state dict with torch.save"),
        (write_tar, "is a tar file, as PyTorch before 0.1.10 wrote; load and save it"),
    ],
)
def test_names_what_is_no_pytorch_file(tmp_path, write, line):
    write(tmp_path / "a.pth")
    assert refusal(tmp_path / "a.pth").startswith(line)
