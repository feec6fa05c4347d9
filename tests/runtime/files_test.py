"""Locks, whole files and mapped arrays."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from sagan_tf import errors
from sagan_tf.runtime import files

# What a process of an older release does: the plain lock on the same file.
OLD_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
"""


def hold(path, pipe):
    """In a process of its own: takes the lock, says so, and waits for its end."""
    with files.locked(path, "refused"):
        pipe.send(os.getpid())
        pipe.recv()


def start_holder(path):
    """A process that holds the lock; forked, so that TensorFlow need not start again."""
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(target=hold, args=(path, theirs))
    holder.start()
    assert ours.poll(60)
    assert ours.recv() == holder.pid
    return holder


@pytest.mark.process
def test_lock_is_held_by_one_process_and_dies_with_it(tmp_path):
    path = str(tmp_path / "lock")
    assert files.lock_holder(path) is None
    holder = start_holder(path)
    assert files.lock_holder(path) == psutil.Process(holder.pid)
    with pytest.raises(errors.UserError, match="^somebody is there$"):
        files.locked(path, "somebody is there").__enter__()
    assert files.lock_holder(path).pid == holder.pid  # Whoever was refused left its name there.
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert files.lock_holder(path) is None  # Though its parent has not asked how it ended.
    holder.join()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == holder.pid
    assert files.lock_holder(path) is None
    with files.locked(path, "somebody is there"):
        assert files.lock_holder(path) == psutil.Process()
    assert files.lock_holder(path) is None
    with files.locked(path, "again"):
        pass
    assert os.listdir(tmp_path) == ["lock"]


def test_lock_waits_for_its_turn_where_nothing_is_to_be_said(tmp_path):
    path = str(tmp_path / "lock")
    taken = threading.Event()

    def take():
        with files.locked(path):
            taken.set()

    waiting = threading.Thread(target=take)
    with files.locked(path, "refused"):
        waiting.start()
        assert not taken.wait(0.3)
    waiting.join(30)
    assert taken.is_set()


@pytest.mark.process
def test_process_of_an_older_release_keeps_us_out(tmp_path):
    path = str(tmp_path / "lock")
    command = [sys.executable, "-c", OLD_HOLDER, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(errors.UserError, match="^somebody is there$"):
            files.locked(path, "somebody is there").__enter__()
        holder.kill()
        holder.wait()
        with (  # And we keep it out.
            files.locked(path, "somebody is there"),
            open(path, "a") as file,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 0}', '{"pid": 4194305, "started": 0}'],
)
def test_file_that_names_no_living_process_is_no_lock(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    assert files.lock_holder(str(tmp_path / "lock")) is None
    with files.locked(str(tmp_path / "lock"), "refused"):
        pass


def test_number_that_has_gone_to_another_process_is_no_lock(tmp_path):
    with files.locked(str(tmp_path / "lock"), "refused"):
        holder = json.loads((tmp_path / "lock").read_text())
        holder["started"] -= 3600.0
        (tmp_path / "lock").write_text(json.dumps(holder))
        assert files.lock_holder(str(tmp_path / "lock")) is None


def test_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    entered = []
    for path in (str(tmp_path / "lock"), "gs://bucket/run/lock"):
        with files.locked(path, "refused"):
            entered.append(path)
    assert entered == [str(tmp_path / "lock"), "gs://bucket/run/lock"]


def test_error_inside_a_lock_leaves_it_free_and_is_not_changed(tmp_path):
    path = str(tmp_path / "lock")
    with pytest.raises(OSError, match="unrelated"), files.locked(path, "refused"):
        raise OSError(errno.ENOLCK, "unrelated")
    assert files.lock_holder(path) is None
    with files.locked(path, "refused"):
        pass


def test_files_are_written_whole(tmp_path):
    files.write_whole(str(tmp_path / "a.txt"), "first\n")
    files.write_whole(str(tmp_path / "a.txt"), "naïve\n")
    files.write_bytes(str(tmp_path / "b.bin"), b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == b"na\xc3\xafve\n"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.bin"]


def test_file_is_what_it_was_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway():
        with files.replaced(str(path)) as written:
            assert written.endswith("a.txt")
            with open(written, "w") as file:
                file.write("half")
            assert path.read_text() == "old"
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_link_stays_a_link_and_an_empty_directory_is_replaced(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    files.write_whole(str(tmp_path / "link"), "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    (tmp_path / "empty").mkdir()
    with files.replaced(str(tmp_path / "empty")) as written:
        os.mkdir(written)
        files.write_whole(os.path.join(written, "inside"), "x")
    assert os.listdir(tmp_path / "empty") == ["inside"]
    with (
        pytest.raises(OSError, match="not empty"),
        files.replaced(str(tmp_path / "empty")) as written,
    ):
        os.mkdir(written)


def test_remote_files_are_replaced_too():
    """TensorFlow's file system in memory stands for a bucket."""
    files.write_whole("ram://run/a.txt", "one")
    files.write_whole("ram://run/a.txt", "two")
    assert files.read_lines("ram://run/a.txt") == ["two"]


def test_outputs_name_their_flag(tmp_path):
    (tmp_path / "file").write_text("")
    path = f"{tmp_path}/file/a.png"
    expected = f"^--out={path}: cannot be written to .* another place$"
    with pytest.raises(errors.UserError, match=expected):
        files.require_writable_output("out", path)
    with pytest.raises(errors.UserError, match=expected):
        files.write_output("out", path, content=b"x")
    path = f"{tmp_path}/new/folder/a.png"
    files.require_writable_output("out", path)
    assert os.listdir(tmp_path / "new" / "folder") == []
    files.write_output("out", path, content=b"x")
    assert (tmp_path / "new" / "folder" / "a.png").read_bytes() == b"x"


def test_directory_of_the_name_of_an_output_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match="there is a directory of this name"):
        files.require_writable_output("out", str(tmp_path))


def test_mapped_array_is_in_its_file_and_not_in_memory(tmp_path):
    path = str(tmp_path / "a.npy")
    array = files.new_array(path, (1 << 12, 1 << 12))  # 67 MB
    array[:] = 1.0
    full = resident_mb()
    files.forget(array[5:])  # A view will do.
    assert full - resident_mb() > 60
    assert array[77, 7] == 1.0
    array.flush()
    assert np.load(path, mmap_mode="r").sum() == 1 << 24


def test_array_in_memory_is_left_as_it_is():
    array = np.arange(6.0).reshape(2, 3)
    files.forget(array[1:])
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def resident_mb():
    return psutil.Process().memory_info().rss / 1e6
