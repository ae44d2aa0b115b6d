// A camera's frame, and how it becomes the input of a model: as kgrow's run.py does it, and as training did.
//
// Plain C++14 without TensorFlow, so that a computer can compile and test it.
#ifndef KGROW_EXAMPLES_FRAME_H_
#define KGROW_EXAMPLES_FRAME_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kgrow {

// kRgb565 has two bytes a pixel, the high one first, as the ESP32 camera driver gives them.
enum class PixelFormat { kGray, kRgb, kRgb565 };

struct Frame {
  const uint8_t* pixels;
  int width;
  int height;
  PixelFormat format;
  int bytes_per_row;

  // The value of one channel, from 0 to 255.
  float at(int row, int column, int channel) const {
    const uint8_t* line = pixels + static_cast<size_t>(row) * bytes_per_row;
    if (format == PixelFormat::kGray) return line[column];
    if (format == PixelFormat::kRgb) return line[3 * column + channel];
    const int high = line[2 * column], low = line[2 * column + 1];
    const int red = high >> 3, green = (high & 7) << 3 | low >> 5, blue = low & 31;
    // The highest bits fill the lowest ones, so that white becomes 255.
    return channel == 1 ? green << 2 | green >> 4 : channel == 0 ? red << 3 | red >> 2 : blue << 3 | blue >> 2;
  }
};

inline int bytes_per_pixel(PixelFormat format) {
  return format == PixelFormat::kGray ? 1 : format == PixelFormat::kRgb ? 3 : 2;
}

inline Frame frame_of(const uint8_t* pixels, int width, int height, PixelFormat format) {
  return {pixels, width, height, format, width * bytes_per_pixel(format)};
}

// The middle of a frame, as large as possible with the proportions of `width` to `height`. Training squeezes whole
// images into the model's size, so crop only if the images that it was trained with had been cropped too.
inline Frame cropped(const Frame& frame, int width, int height) {
  Frame middle = frame;
  if (static_cast<long>(frame.width) * height > static_cast<long>(frame.height) * width) {
    middle.width = frame.height * width / height;
  } else {
    middle.height = frame.width * height / width;
  }
  const int left = (frame.width - middle.width) / 2, top = (frame.height - middle.height) / 2;
  middle.pixels += static_cast<size_t>(top) * frame.bytes_per_row + left * bytes_per_pixel(frame.format);
  return middle;
}

// How much each new pixel along one side takes of the old ones: bilinear, and antialiased where the image shrinks.
class Triangles {
 public:
  void prepare(int old_length, int new_length) {
    if (old_length == old_length_ && new_length == new_length_) return;
    old_length_ = old_length;
    new_length_ = new_length;
    const double scale = static_cast<double>(old_length) / new_length;
    const double support = scale > 1 ? scale : 1;
    taps_ = 2 * static_cast<int>(std::ceil(support)) + 1;
    first_.assign(new_length, 0);
    weights_.assign(static_cast<size_t>(new_length) * taps_, 0);
    for (int index = 0; index < new_length; ++index) {
      const double center = (index + 0.5) * scale;
      const int start = static_cast<int>(std::floor(center - support));
      first_[index] = start > 0 ? start : 0;
      double sum = 0;
      for (int tap = 0; tap < taps_; ++tap) sum += share(first_[index] + tap, center, support);
      for (int tap = 0; tap < taps_; ++tap) {
        weights_[index * taps_ + tap] = static_cast<float>(share(first_[index] + tap, center, support) / sum);
      }
    }
  }

  int first(int index) const { return first_[index]; }
  int last(int index) const { return first_[index] + taps_ < old_length_ ? first_[index] + taps_ : old_length_; }
  float weight(int index, int old) const { return weights_[index * taps_ + old - first_[index]]; }

 private:
  double share(int old, double center, double support) const {
    const double part = 1 - std::fabs(old + 0.5 - center) / support;
    return old < old_length_ && part > 0 ? part : 0;
  }

  int old_length_ = 0, new_length_ = 0, taps_ = 0;
  std::vector<int> first_;
  std::vector<float> weights_;
};

// What a model reads.
struct InputShape {
  int height;
  int width;
  int channels;  // 1 or 3
  float lowest;  // what black and white are: 0 and 255 for most models
  float highest;

  bool is_eight_bits() const { return lowest == 0 && highest == 255; }
};

// Resizes frames to the size of a model. It holds two rows of floats, and no copy of the frame.
class Preprocessor {
 public:
  explicit Preprocessor(const InputShape& shape) : shape_(shape) {}

  // Calls `put(index, value)` for each value of the input, in its order: rows of pixels of channels.
  template <typename Put>
  void read(const Frame& frame, Put put) {
    columns_.prepare(frame.width, shape_.width);
    rows_.prepare(frame.height, shape_.height);
    const int channels = frame.format == PixelFormat::kGray ? 1 : 3, length = shape_.width * channels;
    line_.resize(length);
    int index = 0;
    for (int row = 0; row < shape_.height; ++row) {
      sum_.assign(length, 0);
      for (int old = rows_.first(row); old < rows_.last(row); ++old) {
        const float weight = rows_.weight(row, old);
        if (weight == 0) continue;
        shrink(frame, old, channels);
        for (int i = 0; i < length; ++i) sum_[i] += weight * line_[i];
      }
      for (int i = 0; i < length; ++i) sum_[i] = scaled(rounded(sum_[i]));
      for (int column = 0; column < shape_.width; ++column) {
        for (int channel = 0; channel < shape_.channels; ++channel) {
          put(index++, value_of(&sum_[column * channels], channels, channel));
        }
      }
    }
  }

 private:
  // Resizes one row of the frame into `line_`.
  void shrink(const Frame& frame, int row, int channels) {
    for (int column = 0; column < shape_.width; ++column) {
      for (int channel = 0; channel < channels; ++channel) {
        float sum = 0;
        for (int old = columns_.first(column); old < columns_.last(column); ++old) {
          sum += columns_.weight(column, old) * frame.at(row, old, channel);
        }
        line_[column * channels + channel] = rounded(sum);
      }
    }
  }

  // Training resizes bytes to bytes, first along rows and then along columns.
  float rounded(float value) const { return shape_.is_eight_bits() ? std::floor(value + 0.5f) : value; }

  float scaled(float value) const {
    return shape_.is_eight_bits() ? value : shape_.lowest + (shape_.highest - shape_.lowest) / 255 * value;
  }

  // Gray becomes three equal channels; color becomes gray as in ITU-R BT.601.
  float value_of(const float* pixel, int channels, int channel) const {
    if (channels == shape_.channels) return pixel[channel];
    return channels == 1 ? pixel[0] : 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
  }

  InputShape shape_;
  Triangles columns_, rows_;
  std::vector<float> line_, sum_;
};

// The nearest byte, ties to the even one.
inline uint8_t byte_of(float value) {
  const long nearest = std::lrint(value);
  return static_cast<uint8_t>(nearest < 0 ? 0 : nearest > 255 ? 255 : nearest);
}

}  // namespace kgrow

#endif  // KGROW_EXAMPLES_FRAME_H_
