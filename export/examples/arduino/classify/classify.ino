// Classifies images that come over the serial port; send.py sends them.
//
// The computer sends '?', and the board says what it reads: "ready 32x32x3". It sends '!' and the bytes of an image of
// that size, and the board says what is in it: "cat 0.93 0 12", the label, its probability, the exit and milliseconds.
//
// Beside this file belong classifier.h and frame.h of ../../classifier, and the model's model_data.h and model_data.cpp.
#include <Chirale_TensorFlowLite.h>

#include "classifier.h"
#include "model_data.h"

const unsigned long BAUD = 115200;  // a port over USB ignores it

alignas(16) uint8_t arena[kgrow_arena_size];
tflite::MicroMutableOpResolver<kgrow_num_operations> resolver;
kgrow::Classifier* classifier = nullptr;
uint8_t* pixels = nullptr;
size_t num_bytes = 0;

// --8<-- [start:setup]
void setup() {
  Serial.begin(BAUD);
  kgrow_add_operations(resolver);
  const kgrow::Model model = {kgrow_model_data, kgrow_class_names, kgrow_num_classes, kgrow_lowest_pixel,
                              kgrow_highest_pixel};
  classifier = new kgrow::Classifier(model, resolver, arena, kgrow_arena_size);
  const char* problem = classifier->begin();
  while (problem) {  // for whoever opens the port later
    Serial.println(problem);
    delay(1000);
  }
  num_bytes = static_cast<size_t>(classifier->width()) * classifier->height() * classifier->channels();
  pixels = new uint8_t[num_bytes];
}
// --8<-- [end:setup]

void say_ready() {
  Serial.print("ready ");
  Serial.print(classifier->width());
  Serial.print("x");
  Serial.print(classifier->height());
  Serial.print("x");
  Serial.println(classifier->channels());
}

// --8<-- [start:answer]
void answer_image() {
  if (Serial.readBytes(reinterpret_cast<char*>(pixels), num_bytes) != num_bytes) {
    Serial.println("error: the image has too few bytes");
    return;
  }
  const kgrow::PixelFormat format = classifier->channels() == 1 ? kgrow::PixelFormat::kGray : kgrow::PixelFormat::kRgb;
  const kgrow::Frame frame = kgrow::frame_of(pixels, classifier->width(), classifier->height(), format);
  kgrow::Answer answer;
  const unsigned long started = millis();
  if (!classifier->classify(frame, &answer)) {
    Serial.println("error: the interpreter failed");
    return;
  }
  const unsigned long elapsed = millis() - started;
  Serial.print(answer.label);
  Serial.print(" ");
  Serial.print(answer.probability, 2);
  Serial.print(" ");
  Serial.print(answer.exit_index);
  Serial.print(" ");
  Serial.println(elapsed);
}
// --8<-- [end:answer]

void loop() {
  const int request = Serial.read();
  if (request == '?') say_ready();
  if (request == '!') answer_image();
}
