// Writes a model's input of a frame: pixels FORMAT FRAME_HEIGHT FRAME_WIDTH HEIGHT WIDTH CHANNELS LOWEST HIGHEST [crop]
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "frame.h"

int main(int num_arguments, char** arguments) {
  const int height = std::atoi(arguments[2]), width = std::atoi(arguments[3]);
  const kgrow::PixelFormat format = static_cast<kgrow::PixelFormat>(std::atoi(arguments[1]));
  kgrow::Frame frame = kgrow::frame_of(nullptr, width, height, format);
  std::vector<uint8_t> pixels(static_cast<size_t>(frame.bytes_per_row) * height);
  if (std::fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) return 1;
  frame.pixels = pixels.data();
  const kgrow::InputShape shape = {std::atoi(arguments[4]), std::atoi(arguments[5]), std::atoi(arguments[6]),
                                   std::strtof(arguments[7], nullptr), std::strtof(arguments[8], nullptr)};
  if (num_arguments > 9) frame = kgrow::cropped(frame, shape.width, shape.height);
  kgrow::Preprocessor preprocessor(shape);
  std::vector<float> input(static_cast<size_t>(shape.height) * shape.width * shape.channels);
  preprocessor.read(frame, [&input](int index, float value) { input[index] = value; });
  std::fwrite(input.data(), sizeof(float), input.size(), stdout);
}
