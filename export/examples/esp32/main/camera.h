// The camera of an AI Thinker ESP32-CAM, an ESP-EYE or an ESP32-S3-EYE.
#pragma once

#include "frame.h"

// Starts the camera. Returns whether there is one.
//   min_side: Longer side of what the model reads; frames of 160x120 or 320x240 pixels are chosen by it.
//   is_gray: Whether the frames are gray, or of 16 bit colors.
bool start_camera(int min_side, bool is_gray);

// The next frame, which stays as it is until it is released.
class CapturedFrame {
 public:
  CapturedFrame();
  ~CapturedFrame();
  CapturedFrame(const CapturedFrame&) = delete;
  CapturedFrame& operator=(const CapturedFrame&) = delete;

  bool is_valid() const { return buffer_ != nullptr; }
  kgrow::Frame frame() const;

 private:
  void* buffer_;
};
