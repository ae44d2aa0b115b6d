// What the project uses of the camera's driver; frames come from standard input, after which the program ends.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

typedef int esp_err_t;
#define ESP_OK 0
enum pixformat_t { PIXFORMAT_RGB565, PIXFORMAT_GRAYSCALE };
enum framesize_t { FRAMESIZE_QQVGA, FRAMESIZE_QVGA };
enum camera_fb_location_t { CAMERA_FB_IN_PSRAM };
enum camera_grab_mode_t { CAMERA_GRAB_WHEN_EMPTY };
enum ledc_timer_t { LEDC_TIMER_0 };
enum ledc_channel_t { LEDC_CHANNEL_0 };

struct camera_config_t {
  int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl;
  int pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0, pin_vsync, pin_href, pin_pclk;
  int xclk_freq_hz;
  ledc_timer_t ledc_timer;
  ledc_channel_t ledc_channel;
  pixformat_t pixel_format;
  framesize_t frame_size;
  int jpeg_quality;
  size_t fb_count;
  camera_fb_location_t fb_location;
  camera_grab_mode_t grab_mode;
};
struct camera_fb_t {
  uint8_t* buf;
  size_t len, width, height;
  pixformat_t format;
};

inline camera_config_t used;

inline esp_err_t esp_camera_init(const camera_config_t* config) {
  used = *config;
  return ESP_OK;
}
inline camera_fb_t* esp_camera_fb_get() {
  static std::vector<uint8_t> pixels;
  static camera_fb_t frame;
  const size_t width = used.frame_size == FRAMESIZE_QQVGA ? 160 : 320, height = width / 4 * 3;
  pixels.resize(width * height * (used.pixel_format == PIXFORMAT_GRAYSCALE ? 1 : 2));
  if (std::fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) std::exit(0);
  frame = {pixels.data(), pixels.size(), width, height, used.pixel_format};
  return &frame;
}
inline void esp_camera_fb_return(camera_fb_t*) {}
