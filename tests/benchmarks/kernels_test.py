import importlib
import sys

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from sagan_tf import benchmarks
from sagan_tf.benchmarks import kernels


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (
            "sm90_xmma_dgrad_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128",
            "convolution",
        ),
        ("sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128", "product"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu>", "product"),
        ("cutlass_tensorop_bf16_s16816dgrad_optimized_bf16_128x128_nhwc", "convolution"),
        ("nvjet_sm90_tst_128x256_64x4_1x2_h_bz_coopA_NNT", "product"),
        ("ampere_bf16_s16816gemm_bf16_64x64_sliced1x2_ldg8_f2f_stages_64x6_nn", "product"),
        ("volta_scudnn_128x64_relu_interior_nn_v1", "convolution"),
        ("StridedSlice", "copy"),
        ("ampere_bf16_s1688cudnn_bf16_128x128_ldg8_relu_f2f_exp_small_nhwc_tn_v1", "convolution"),
        ("loop_convert_fusion_3", "element by element"),
        ("SwapDimension1And2InTensor3", "copy"),
        ("_MklNativeConv2DBackpropFilter", "convolution"),
        ("_FusedMatMul", "product"),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", "communication"),
        ("loop_multiply_fusion_12", "element by element"),
        ("input_reduce_fusion_3", "reduction"),
        ("MemcpyD2D", "copy"),
        ("Conv2DBackpropFilter", "convolution"),
        ("BiasAddGrad", "reduction"),
        ("ResourceApplyAdam", "optimizer"),
        ("Maximum", "element by element"),
        ("Sum", "reduction"),
    ],
)
def test_kernels_are_known_by_their_names(kernel, kind):
    assert kernels.kind_of(kernel) == kind


def event(plane, line, name, seconds):
    number = len(plane.event_metadata) + 1
    plane.event_metadata[number].name = name
    line.events.add(metadata_id=number, duration_ps=int(seconds * 1e12))


def test_kernels_of_a_gpu_are_those_of_its_streams():
    space = xplane_pb2.XSpace()
    gpu, host = space.planes.add(name="/device:GPU:0"), space.planes.add(name="/host:CPU")
    stream, steps = gpu.lines.add(name="Stream #7(Compute)"), gpu.lines.add(name="Steps")
    event(gpu, stream, "nvjet_sm90_tst_128x256", 0.25)
    event(gpu, steps, "step 1", 1)
    event(host, host.lines.add(name="thread"), "name:Conv2D", 0.5)
    assert list(kernels.read_kernels(space, True)) == [("nvjet_sm90_tst_128x256", 0.25)]
    assert list(kernels.read_kernels(space, False)) == [("Conv2D", 0.5)]


def test_without_the_profiler_s_module_kernels_are_not_seen(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow.tsl.profiler.protobuf", None)
    monkeypatch.delitem(sys.modules, "sagan_tf.benchmarks.kernels")
    monkeypatch.setattr(benchmarks, "kernels", kernels)  # Puts it back after the test.
    without = importlib.import_module("sagan_tf.benchmarks.kernels")
    assert without is not kernels

    def call():
        raise AssertionError("nothing would come of a call")

    assert without.kernel_classes(call, False) == {}
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("the kernels are unknown: TensorFlow ")
    assert without.shares({}) == ""
