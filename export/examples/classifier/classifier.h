// Classifies frames with a model that kgrow exported for TensorFlow Lite Micro, with early exits or without.
#ifndef KGROW_EXAMPLES_CLASSIFIER_H_
#define KGROW_EXAMPLES_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "frame.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace kgrow {

// What model_data.h defines of a model.
struct Model {
  const unsigned char* data;
  const char* const* class_names;
  int num_classes;
  float lowest_pixel;
  float highest_pixel;
};

struct Answer {
  int index;
  const char* label;
  float probability;
  int exit_index;  // the classifier inside the network after which it stopped; -1 without early exits
};

class Classifier {
 public:
  // The arena must be aligned to 16 bytes. It, the resolver and the model must live as long as the classifier.
  Classifier(const Model& model, const tflite::MicroOpResolver& resolver, uint8_t* arena, size_t arena_size)
      : model_(model), interpreter_(tflite::GetModel(model.data), resolver, arena, arena_size) {}

  // Returns null, or what is wrong with the model or the arena.
  const char* begin() {
    if (interpreter_.AllocateTensors() != kTfLiteOk) return "the arena is too small, or an operation is missing";
    const TfLiteTensor* input = interpreter_.input(0);
    if (input->dims->size != 4) return "the input must be one image";
    if (input->type != kTfLiteUInt8 && input->type != kTfLiteFloat32) return "the input must be uint8 or float32";
    if (channels() != 1 && channels() != 3) return "images must be gray or RGB";
    const TfLiteTensor* output = interpreter_.output(0);
    if (output->dims->data[output->dims->size - 1] != model_.num_classes) return "the model has other classes";
    const InputShape shape = {height(), width(), channels(), model_.lowest_pixel, model_.highest_pixel};
    preprocessor_.reset(new Preprocessor(shape));
    return nullptr;
  }

  int height() { return interpreter_.input(0)->dims->data[1]; }
  int width() { return interpreter_.input(0)->dims->data[2]; }
  int channels() { return interpreter_.input(0)->dims->data[3]; }

  // Returns whether there is an answer. The frame may have any size.
  bool classify(const Frame& frame, Answer* answer) {
    TfLiteTensor* input = interpreter_.input(0);
    if (input->type == kTfLiteUInt8) {
      uint8_t* bytes = input->data.uint8;
      preprocessor_->read(frame, [bytes](int index, float value) { bytes[index] = byte_of(value); });
    } else {
      float* floats = input->data.f;
      preprocessor_->read(frame, [floats](int index, float value) { floats[index] = value; });
    }
    if (interpreter_.Invoke() != kTfLiteOk) return false;
    int best = 0;
    for (int index = 1; index < model_.num_classes; ++index) {
      if (probability(index) > probability(best)) best = index;
    }
    *answer = {best, model_.class_names[best], probability(best), exit_index()};
    return true;
  }

  // The probability of a class in the last frame.
  float probability(int index) {
    const TfLiteTensor* output = interpreter_.output(0);
    if (output->type == kTfLiteFloat32) return output->data.f[index];
    const int value = output->type == kTfLiteInt8 ? output->data.int8[index] : output->data.uint8[index];
    return (value - output->params.zero_point) * output->params.scale;
  }

 private:
  // With early exits the second output is the number of the exit; without, it is the logits if there is one.
  int exit_index() {
    if (interpreter_.outputs_size() < 2 || interpreter_.output(1)->type != kTfLiteInt32) return -1;
    return static_cast<int>(interpreter_.output(1)->data.i32[0]);
  }

  Model model_;
  tflite::MicroInterpreter interpreter_;
  std::unique_ptr<Preprocessor> preprocessor_;
};

}  // namespace kgrow

#endif  // KGROW_EXAMPLES_CLASSIFIER_H_
