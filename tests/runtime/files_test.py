import errno
import fcntl
import subprocess
import sys

import pytest

from sagan_tf import errors
from sagan_tf.runtime import files

HOLDER = """
import sys
from sagan_tf.runtime import files
with files.locked(sys.argv[1], "refused"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_is_held_by_one_process_and_dies_with_it(tmp_path):
    path = str(tmp_path / "lock")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(errors.UserError, match="^somebody is there$"):
        files.locked(path, "somebody is there").__enter__()
    holder.kill()
    holder.communicate()
    with files.locked(path, "somebody is there"):
        pass
    with files.locked(path, "again"):
        pass


def test_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    entered = []
    for path in (str(tmp_path / "lock"), "gs://bucket/run/lock"):
        with files.locked(path, "refused"):
            entered.append(path)
    assert entered == [str(tmp_path / "lock"), "gs://bucket/run/lock"]
