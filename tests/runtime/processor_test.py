import pytest

from sagan_tf.runtime import processor

# As Linux writes them: an Intel Xeon of 2023, an AMD EPYC of 2022 and one of 2021, an Arm server.
XEON = "processor\t: 0\nflags\t\t: fpu sse2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8\n\n"
EPYC = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16 avx512vl\n"
OLDER_EPYC = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (XEON, "amx_bf16"),
        (EPYC, "avx512_bf16"),
        (OLDER_EPYC, ""),
        (ARM, ""),
        (OLDER_EPYC + EPYC, ""),
        # Neither a part of a name nor another line counts.
        ("flags : avx512_bf16x\n", ""),
        ("bugs : avx512_bf16\n", ""),
        ("", ""),
    ],
)
def test_instruction_of_bfloat16(text, found):
    assert processor.bfloat16_instruction(text) == found


@pytest.mark.parametrize(
    ("variable", "found"), [(None, "avx512_bf16"), ("1", "avx512_bf16"), ("0", ""), ("false", "")]
)
def test_only_onednn_uses_the_instruction(tmp_path, monkeypatch, variable, found):
    (tmp_path / "cpuinfo").write_text(EPYC)
    monkeypatch.setattr(processor, "_CPUINFO", str(tmp_path / "cpuinfo"))
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if variable is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", variable)
    assert processor.native_bfloat16() == found


def test_where_nothing_is_known_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(processor, "_CPUINFO", str(tmp_path / "not there"))
    assert processor.native_bfloat16() == ""
