// Classifies image files on a computer, with the same code as a microcontroller: main IMAGE ...
//
// Images are .pgm or .ppm files of 8 bits. The model was exported with `--micro --name kgrow`.
#include <cctype>
#include <cstdio>
#include <vector>

#include "classifier.h"
#include "model_data.h"

namespace {

alignas(16) uint8_t arena[kgrow_arena_size];

// Reads one number of the header; comments run to the end of their line. Returns -1 if there is none.
int number(std::FILE* file) {
  int character = std::fgetc(file);
  while (std::isspace(character) || character == '#') {
    if (character == '#') {
      while (character != '\n' && character != EOF) character = std::fgetc(file);
    }
    character = std::fgetc(file);
  }
  if (!std::isdigit(character)) return -1;
  int value = 0;
  for (; std::isdigit(character) && value < 1000000; character = std::fgetc(file)) value = 10 * value + character - '0';
  return value;
}

// Reads an image file; returns whether it is one.
bool read(const char* path, std::vector<uint8_t>* pixels, kgrow::Frame* frame) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) return false;
  const bool is_netpbm = std::fgetc(file) == 'P';
  const int kind = std::fgetc(file);
  const kgrow::PixelFormat format = kind == '6' ? kgrow::PixelFormat::kRgb : kgrow::PixelFormat::kGray;
  const int width = number(file), height = number(file), largest = number(file);
  bool is_read = is_netpbm && (kind == '5' || kind == '6') && width > 0 && height > 0 && largest == 255;
  if (is_read) {
    *frame = kgrow::frame_of(nullptr, width, height, format);
    pixels->resize(static_cast<size_t>(frame->bytes_per_row) * height);
    is_read = std::fread(pixels->data(), 1, pixels->size(), file) == pixels->size();
    frame->pixels = pixels->data();
  }
  std::fclose(file);
  return is_read;
}

}  // namespace

int main(int num_arguments, char** arguments) {
  tflite::MicroMutableOpResolver<kgrow_num_operations> resolver;
  kgrow_add_operations(resolver);
  const kgrow::Model model = {kgrow_model_data, kgrow_class_names, kgrow_num_classes, kgrow_lowest_pixel,
                              kgrow_highest_pixel};
  kgrow::Classifier classifier(model, resolver, arena, kgrow_arena_size);
  if (const char* problem = classifier.begin()) {
    std::fprintf(stderr, "%s\n", problem);
    return 2;
  }
  int code = 0;
  for (int index = 1; index < num_arguments; ++index) {
    std::vector<uint8_t> pixels;
    kgrow::Frame frame;
    kgrow::Answer answer;
    if (!read(arguments[index], &pixels, &frame)) {
      std::fprintf(stderr, "'%s' must be a .pgm or .ppm file of 8 bits\n", arguments[index]);
      code = 1;
    } else if (!classifier.classify(frame, &answer)) {
      std::fprintf(stderr, "the interpreter failed\n");
      return 2;
    } else {
      std::printf("%s: %s (%.1f %%), exit %d\n", arguments[index], answer.label, 100 * answer.probability,
                  answer.exit_index);
    }
  }
  return code;
}
