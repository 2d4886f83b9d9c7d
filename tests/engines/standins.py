"""Stand-ins for what needs a GPU: a device whose memory is the host's, and a TensorRT that runs ONNX Runtime on it.

They keep the signatures and the order of calls of the real ones, so that what passes here is what is called there.
"""

from __future__ import annotations

import ctypes
import io
import json
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from engines.backends.cuda_device import Launch, torch_dtype
from engines.base import Array


class HostDevice:
    """`engines.backends.cuda_device.Device` on the host; counts captures and replays."""

    name, capability, driver, stream = "a stand-in", "8.9", "580.1", 1234

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0
        self.followed = 0

    def buffer(self, shape: Any, dtype: Any) -> Any:
        return torch.zeros(shape, dtype=torch_dtype(dtype))

    pinned = buffer

    def active(self) -> Any:
        return nullcontext()

    def follow(self) -> None:
        self.followed += 1

    def capture(self, launch: Launch) -> Launch:
        self.captures += 1
        launch()

        def replay() -> None:
            self.replays += 1
            launch()

        return replay

    def synchronize(self) -> None:
        pass


class _Context:
    """An execution context: reads and writes raw addresses, as the real one does."""

    def __init__(self, engine: _Plan) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.profile = -1
        self.memory: tuple[int, int] | None = None

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert stream == HostDevice.stream
        self.profile = index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.get_tensor_profile_shape(name, self.profile)
        self.shapes[name] = tuple(shape)
        return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self.engine.device_memory_size_v2
        self.memory = (memory, size)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        (batch,) = {shape[0] for shape in self.shapes.values()}
        return tuple(batch if size < 0 else size for size in self.engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == HostDevice.stream
        assert self.memory is not None or not self.engine.shares
        if self.engine.library.refuses:
            return False
        session = self.engine.session
        inputs = {}
        for value in session.get_inputs():
            count = int(np.prod(self.shapes[value.name]))
            memory = (ctypes.c_float * count).from_address(self.addresses[value.name])
            inputs[value.name] = np.ctypeslib.as_array(memory).reshape(self.shapes[value.name]).copy()
        names = [value.name for value in session.get_outputs()]
        for name, result in zip(names, session.run(names, inputs), strict=True):
            ctypes.memmove(self.addresses[name], np.ascontiguousarray(result).ctypes.data, result.nbytes)
        return True


class _Plan:
    """A deserialized engine."""

    def __init__(self, library: TensorRt, plan: bytes) -> None:
        header, graph = plan.split(b"\n", 1)
        self.shares = False
        self.library, self.header = library, json.loads(header)
        self.load(graph)

    def load(self, graph: bytes) -> None:
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.values = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.names = {value.name: value for value in self.values}

    @property
    def num_io_tensors(self) -> int:
        return len(self.values)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self.header["profiles"]))

    def get_tensor_name(self, index: int) -> str:
        return self.values[index].name

    def get_tensor_mode(self, name: str) -> Any:
        given = name in {value.name for value in self.session.get_inputs()}
        return self.library.TensorIOMode.INPUT if given else self.library.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self.names[name].shape)

    def get_tensor_dtype(self, name: str) -> str:
        return self.names[name].type

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        if not self.header["profiles"]:
            return [list(self.get_tensor_shape(name))] * 3
        return self.header["profiles"][index][name]

    @property
    def device_memory_size_v2(self) -> int:
        return 1000

    def create_execution_context(self, strategy: int) -> _Context | None:
        assert strategy == self.library.ExecutionContextAllocationStrategy.USER_MANAGED
        self.shares = True
        self.library.contexts += 1
        context = None if self.library.contexts > self.library.most_contexts else _Context(self)
        self.library.made.append(context)
        return context


class TensorRt:
    """The module `tensorrt`. Engines are the ONNX graph itself, with the version, so that others refuse them."""

    __name__ = "tensorrt"
    NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
    TensorIOMode = IntEnum("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})
    BuilderFlag = IntEnum("BuilderFlag", {"TF32": 6})
    ExecutionContextAllocationStrategy = IntEnum(
        "ExecutionContextAllocationStrategy", {"STATIC": 0, "ON_PROFILE_CHANGE": 1, "USER_MANAGED": 2}
    )

    class IProgressMonitor:
        pass

    class ILogger:
        Severity = IntEnum("Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4})

    def __init__(self, version: str = "10.16.0") -> None:
        self.__version__ = version
        self.builds: list[SimpleNamespace] = []
        self.contexts = 0
        self.most_contexts = 1000  # that it has memory for
        self.made: list[_Context | None] = []
        self.fails = False
        self.refuses = False  # to start

    @staticmethod
    def nptype(kind: str) -> type:
        return {"tensor(float)": np.float32, "tensor(float16)": np.float16}[kind]

    def Builder(self, logger: Any) -> Any:
        return SimpleNamespace(
            create_network=self._network,
            create_builder_config=self._config,
            create_optimization_profile=self._profile,
            build_serialized_network=lambda network, config: self._build(logger, network, config),
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        def parse(graph: bytes) -> bool:
            network.graph = graph
            model = onnx.load_from_string(graph)
            refused = [node for node in model.graph.node if node.op_type == "Unique"]
            parser.errors = [
                SimpleNamespace(desc=lambda: "unsupported", node_name=lambda: "odd", node_operator=lambda: "Unique")
                for _ in refused
            ]
            parser.num_errors = len(refused)
            network.inputs = [
                SimpleNamespace(
                    name=value.name,
                    shape=[d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim],
                )
                for value in model.graph.input
            ]
            network.num_inputs = len(network.inputs)
            return not refused

        parser: Any = SimpleNamespace(
            parse=parse, num_errors=0, errors=[], get_error=lambda index: parser.errors[index]
        )
        return parser

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: self._deserialize(logger, plan))

    def _network(self, flags: int) -> SimpleNamespace:
        network = SimpleNamespace(flags=flags, graph=b"", inputs=[], num_inputs=0)
        network.get_input = lambda index: network.inputs[index]
        return network

    def _config(self) -> SimpleNamespace:
        config = SimpleNamespace(profiles=[], flags=[self.BuilderFlag.TF32], timing=None, progress_monitor=None)
        config.clear_flag = config.flags.remove
        config.get_timing_cache = lambda: config.timing
        config.add_optimization_profile = config.profiles.append
        config.set_flag = config.flags.append
        config.create_timing_cache = lambda data: SimpleNamespace(serialize=lambda: b"timed " + data[:40])
        config.set_timing_cache = lambda cache, ignore_mismatch: vars(config).update(timing=cache) is None
        return config

    def _profile(self) -> dict[str, Any]:
        class Profile(dict[str, Any]):
            def set_shape(self, name: str, low: Any, usual: Any, high: Any) -> None:
                self[name] = [list(low), list(usual), list(high)]

        return Profile()

    def _build(self, logger: Any, network: Any, config: Any) -> bytes | None:
        self.builds.append(SimpleNamespace(network=network, config=config))
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 1)
        monitor.phase_start("Timing", "Building engine", 9)
        assert monitor.step_complete("Timing", 0)
        monitor.phase_finish("Timing")
        assert monitor.step_complete("Building engine", 0)
        monitor.phase_finish("Building engine")
        if self.fails:
            logger.log(self.ILogger.Severity.ERROR, "no kernel for this layer")
            return None
        header = {"version": self.__version__, "profiles": config.profiles}
        return json.dumps(header).encode() + b"\n" + network.graph

    def _deserialize(self, logger: Any, plan: bytes) -> _Plan | None:
        made = _Plan(self, plan)
        if made.header["version"] != self.__version__:
            logger.log(self.ILogger.Severity.ERROR, "made by another version")
            return None
        return made


class TensorRtRtx(TensorRt):
    """The module `tensorrt_rtx`: compiles kernels when a context runs first, and can keep them."""

    __name__ = "tensorrt_rtx"
    ComputeCapability = IntEnum("ComputeCapability", {"SM75": 75, "SM89": 89, "SM120": 120})
    DynamicShapesKernelSpecializationStrategy = IntEnum(
        "DynamicShapesKernelSpecializationStrategy", {"LAZY": 0, "EAGER": 1, "NONE": 2}
    )
    CudaGraphStrategy = IntEnum("CudaGraphStrategy", {"DISABLED": 0, "WHOLE_GRAPH_CAPTURE": 1})

    def __init__(self) -> None:
        super().__init__("1.7.1")
        self.configs: list[SimpleNamespace] = []
        self.kernels = b""  # what was given back to it
        self.capturable = True
        self.records = True  # CUDA graphs, by itself: from version 1.2 on

    def _config(self) -> SimpleNamespace:
        config = super()._config()
        config.capabilities = {}
        config.set_compute_capability = lambda value, index: config.capabilities.update({index: value}) or True
        return config

    def _deserialize(self, logger: Any, plan: bytes) -> _Plan | None:
        made: Any = super()._deserialize(logger, plan)

        def create_runtime_config() -> Any:
            def deserialize(blob: bytes) -> bool:
                self.kernels = blob
                return blob.startswith(b"kernels")

            kernels = SimpleNamespace(serialize=lambda: b"kernels of " + plan[:9], deserialize=deserialize)
            config = SimpleNamespace(create_runtime_cache=lambda: kernels, cache=None)
            config.dynamic_shapes_kernel_specialization_strategy = 0
            if self.records:
                config.cuda_graph_strategy = 0
            self.configs.append(config)
            config.set_runtime_cache = lambda cache: vars(config).update(cache=cache) is None
            return config

        def create_execution_context(config: Any) -> Any:
            assert config.cache is not None
            context: Any = _Context(made)
            context.is_stream_capturable = lambda stream: self.capturable
            return context

        made.create_runtime_config = create_runtime_config
        made.create_execution_context = create_execution_context
        return made


class Torch2Trt:
    """The module `torch2trt`, with the signature of its one function; its engines are those of the stand-in above."""

    __version__ = "0.5.0"

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def torch2trt(  # noqa: PLR0917 (its own signature)
        self,
        module: Any,
        inputs: Mapping[str, Array],
        input_names: Any = None,
        output_names: Any = None,
        log_level: Any = 1,
        fp16_mode: Any = False,
        max_workspace_size: Any = 1 << 25,
        strict_type_constraints: Any = False,
        keep_network: Any = True,
        int8_mode: Any = False,
        int8_calib_dataset: Any = None,
        int8_calib_algorithm: Any = None,
        use_onnx: Any = False,
        default_device_type: Any = 0,
        dla_core: Any = 0,
        gpu_fallback: Any = True,
        device_types: Any = None,
        min_shapes: Any = None,
        max_shapes: Any = None,
        opt_shapes: Any = None,
        onnx_opset: Any = None,
        max_batch_size: Any = None,
        avg_timing_iterations: Any = None,
        **kwargs: Any,
    ) -> Any:
        assert not kwargs
        self.calls.append({"fp16_mode": fp16_mode, "max_workspace_size": max_workspace_size})
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            free = {name: {0: "batch"} for name in (*input_names, *output_names)}
            torch.onnx.export(
                module,
                tuple(inputs),
                file,  # type: ignore[arg-type]
                input_names=input_names,
                output_names=output_names,
                dynamic_axes=free,
                opset_version=18,
                dynamo=False,
            )
        shapes = zip(input_names, min_shapes, opt_shapes, max_shapes, strict=True)
        profile = {name: [list(size) for size in sizes] for name, *sizes in shapes}
        header = {"version": "10.16.0", "profiles": [profile]}
        plan = json.dumps(header).encode() + b"\n" + file.getvalue()
        return SimpleNamespace(engine=SimpleNamespace(serialize=lambda: plan))
