"""Runs a model for a C++ program that is compiled with the stub of TensorFlow Lite Micro's interface.

It reads the arena's size, the model and then images from standard input, and writes the shapes of the tensors and then
the outputs to standard output. `tflite-micro` runs the model if it is installed, else another interpreter;
INTERPRETER names one.
"""

import os
import sys

import numpy as np

TYPES = {"float32": 1, "int32": 2, "uint8": 3, "int8": 9}  # as TensorFlow Lite numbers them
MICRO, OTHERS = "tflite_micro", ("ai_edge_litert", "tflite_runtime")


class Micro:
    """TensorFlow Lite Micro, in an arena of a given size."""

    def __init__(self, model, arena_size):
        from tflite_micro.python.tflite_micro import runtime

        self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_size)
        num_outputs = len(runtime.convert_bytearray_to_object(model).subgraphs[0].outputs)
        self.inputs = [self.interpreter.get_input_details(0)]
        self.outputs = [self.interpreter.get_output_details(index) for index in range(num_outputs)]

    def run(self, image):
        self.interpreter.set_input(image, 0)
        self.interpreter.invoke()
        return [self.interpreter.get_output(index) for index in range(len(self.outputs))]


class Other:
    """An interpreter that takes the memory it needs."""

    def __init__(self, package, model):
        interpreter = __import__(f"{package}.interpreter", fromlist=["Interpreter"]).Interpreter
        self.interpreter = interpreter(model_content=model)
        self.interpreter.allocate_tensors()
        self.inputs, self.outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()

    def run(self, image):
        self.interpreter.set_tensor(self.inputs[0]["index"], image)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(details["index"]) for details in self.outputs]


def opened(model, arena_size):
    """Returns the model in the first interpreter that is installed."""
    wanted = os.environ.get("INTERPRETER")
    for name in [wanted] if wanted else (MICRO, *OTHERS):
        try:
            return Micro(model, arena_size) if name == MICRO else Other(name, model)
        except ImportError:
            continue
    sys.exit("An interpreter must be installed: `pip install --pre tflite-micro` or `pip install ai-edge-litert`.")


def described(details):
    """Returns type, shape and quantization of a tensor as the C++ program reads them."""
    shape, dtype = np.asarray(details["shape"], np.int32), np.dtype(details["dtype"])
    quantization = details["quantization_parameters"]
    is_quantized = len(quantization["scales"]) == 1
    zero_point = int(quantization["zero_points"][0]) if is_quantized else 0
    scale = float(quantization["scales"][0]) if is_quantized else 0.0
    numbers = [TYPES[dtype.name], len(shape), zero_point, int(np.prod(shape)) * dtype.itemsize]
    return np.array(numbers, np.int32).tobytes() + shape.tobytes() + np.float32(scale).tobytes()


def main():
    """Answers until there are no more images."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    arena_size, model_size = np.frombuffer(source.read(8), np.uint32)
    model = opened(source.read(int(model_size)), int(arena_size))
    tensors = [model.inputs[0], *model.outputs]
    target.write(np.uint32(len(tensors)).tobytes() + b"".join(map(described, tensors)))
    target.flush()
    shape, dtype = tuple(model.inputs[0]["shape"]), np.dtype(model.inputs[0]["dtype"])
    num_bytes = int(np.prod(shape)) * dtype.itemsize
    while len(content := source.read(num_bytes)) == num_bytes:
        for output in model.run(np.frombuffer(content, dtype).reshape(shape)):
            target.write(np.ascontiguousarray(output).tobytes())
        target.flush()


if __name__ == "__main__":
    main()
