// A stub of TensorFlow Lite's schema: a model is its bytes. See ../micro/micro_interpreter.h.
#ifndef KGROW_STUB_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_
#define KGROW_STUB_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_

namespace tflite {

struct Model {
  char first_byte;
};

inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }

}  // namespace tflite

#endif  // KGROW_STUB_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_
