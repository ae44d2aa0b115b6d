// A stub of TensorFlow Lite Micro's interface, for programs on a computer (Linux, macOS).
//
// The package `tflite-micro` of PyPI has no C++ sources. This has the part of their interface that `classifier.h` uses,
// and runs the model in a child process: `interpret.py`, with the interpreter that Python has. If that is the
// package `tflite-micro`, the model runs on TensorFlow Lite Micro itself, in an arena of the given size.
#ifndef KGROW_STUB_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_
#define KGROW_STUB_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// A model does not say how long it is. The examples are of one model, which was exported with `--name kgrow`.
extern const unsigned int kgrow_model_data_size;

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena, size_t arena_size)
      : model_(model), resolver_(resolver), arena_(arena), arena_size_(arena_size) {}

  MicroInterpreter(const MicroInterpreter&) = delete;
  MicroInterpreter& operator=(const MicroInterpreter&) = delete;

  ~MicroInterpreter() {
    if (child_ <= 0) return;
    close(to_child_);
    close(from_child_);
    waitpid(child_, nullptr, 0);
  }

  TfLiteStatus AllocateTensors() {
    if (!resolver_.is_complete() || reinterpret_cast<uintptr_t>(arena_) % 16 != 0 || !start()) return kTfLiteError;
    const uint32_t sizes[] = {static_cast<uint32_t>(arena_size_), kgrow_model_data_size};
    uint32_t num_tensors = 0;
    if (!send(sizes, sizeof(sizes)) || !send(model_, kgrow_model_data_size)) return kTfLiteError;
    if (!receive(&num_tensors, sizeof(num_tensors))) return kTfLiteError;
    tensors_.resize(num_tensors);
    for (Tensor& tensor : tensors_) {
      if (!describe(&tensor)) return kTfLiteError;
    }
    return kTfLiteOk;
  }

  TfLiteStatus Invoke() {
    const TfLiteTensor* read = input(0);
    if (!send(read->data.raw, read->bytes)) return kTfLiteError;
    for (size_t index = 0; index < outputs_size(); ++index) {
      if (!receive(output(index)->data.raw, output(index)->bytes)) return kTfLiteError;
    }
    return kTfLiteOk;
  }

  TfLiteTensor* input(size_t index) { return &tensors_[index].tensor; }
  TfLiteTensor* output(size_t index) { return &tensors_[index + 1].tensor; }
  size_t outputs_size() const { return tensors_.size() - 1; }

 private:
  struct Tensor {
    TfLiteTensor tensor;
    TfLiteIntArray dims;
    std::vector<uint64_t> content;  // so that it is aligned for values of any type
  };

  bool start() {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) return false;
    std::signal(SIGPIPE, SIG_IGN);  // a child that has ended is an error of `send`
    child_ = fork();
    if (child_ == 0) {
      dup2(down[0], STDIN_FILENO);
      dup2(up[1], STDOUT_FILENO);
      for (int end : {down[0], down[1], up[0], up[1]}) close(end);
      const char* python = std::getenv("PYTHON") ? std::getenv("PYTHON") : "python3";
      const std::string here = __FILE__;
      const std::string program = here.substr(0, here.rfind("tensorflow/lite/micro")) + "interpret.py";
      execlp(python, python, program.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(down[0]);
    close(up[1]);
    to_child_ = down[1];
    from_child_ = up[0];
    return child_ > 0;
  }

  bool describe(Tensor* made) {
    int32_t told[4];  // type, number of dimensions, zero point, bytes
    if (!receive(told, sizeof(told)) || told[1] > 8) return false;
    made->dims.size = told[1];
    if (!receive(made->dims.data, told[1] * sizeof(int32_t))) return false;
    if (!receive(&made->tensor.params.scale, sizeof(float))) return false;
    made->content.resize(told[3] / sizeof(uint64_t) + 1);
    made->tensor.type = static_cast<TfLiteType>(told[0]);
    made->tensor.params.zero_point = told[2];
    made->tensor.bytes = told[3];
    made->tensor.dims = &made->dims;
    made->tensor.data.raw = reinterpret_cast<char*>(made->content.data());
    return true;
  }

  bool send(const void* data, size_t num_bytes) {
    const char* bytes = static_cast<const char*>(data);
    while (num_bytes > 0) {
      const ssize_t done = write(to_child_, bytes, num_bytes);
      if (done <= 0) return false;
      bytes += done;
      num_bytes -= done;
    }
    return true;
  }

  bool receive(void* data, size_t num_bytes) {
    char* bytes = static_cast<char*>(data);
    while (num_bytes > 0) {
      const ssize_t done = read(from_child_, bytes, num_bytes);
      if (done <= 0) return false;
      bytes += done;
      num_bytes -= done;
    }
    return true;
  }

  const Model* model_;
  const MicroOpResolver& resolver_;
  uint8_t* arena_;
  size_t arena_size_;
  pid_t child_ = -1;
  int to_child_ = -1, from_child_ = -1;
  std::vector<Tensor> tensors_;
};

}  // namespace tflite

#endif  // KGROW_STUB_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_
