#include "camera.h"

#include "esp_camera.h"
#include "sdkconfig.h"

namespace {

// Pins of the camera. For another board take those of its schematic.
camera_config_t pins() {
  camera_config_t config = {};
#if defined(CONFIG_KGROW_BOARD_ESP_EYE)
  config.pin_pwdn = -1;
  config.pin_reset = -1;
  config.pin_xclk = 4;
  config.pin_sccb_sda = 18;
  config.pin_sccb_scl = 23;
  config.pin_d7 = 36;
  config.pin_d6 = 37;
  config.pin_d5 = 38;
  config.pin_d4 = 39;
  config.pin_d3 = 35;
  config.pin_d2 = 14;
  config.pin_d1 = 13;
  config.pin_d0 = 34;
  config.pin_vsync = 5;
  config.pin_href = 27;
  config.pin_pclk = 25;
#elif defined(CONFIG_KGROW_BOARD_ESP32_S3_EYE)
  config.pin_pwdn = -1;
  config.pin_reset = -1;
  config.pin_xclk = 15;
  config.pin_sccb_sda = 4;
  config.pin_sccb_scl = 5;
  config.pin_d7 = 16;
  config.pin_d6 = 17;
  config.pin_d5 = 18;
  config.pin_d4 = 12;
  config.pin_d3 = 10;
  config.pin_d2 = 8;
  config.pin_d1 = 9;
  config.pin_d0 = 11;
  config.pin_vsync = 6;
  config.pin_href = 7;
  config.pin_pclk = 13;
#else  // AI Thinker ESP32-CAM
  config.pin_pwdn = 32;
  config.pin_reset = -1;
  config.pin_xclk = 0;
  config.pin_sccb_sda = 26;
  config.pin_sccb_scl = 27;
  config.pin_d7 = 35;
  config.pin_d6 = 34;
  config.pin_d5 = 39;
  config.pin_d4 = 36;
  config.pin_d3 = 21;
  config.pin_d2 = 19;
  config.pin_d1 = 18;
  config.pin_d0 = 5;
  config.pin_vsync = 25;
  config.pin_href = 23;
  config.pin_pclk = 22;
#endif
  return config;
}

}  // namespace

bool start_camera(int min_side, bool is_gray) {
  camera_config_t config = pins();
  config.xclk_freq_hz = 20000000;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = is_gray ? PIXFORMAT_GRAYSCALE : PIXFORMAT_RGB565;
  config.frame_size = min_side <= 120 ? FRAMESIZE_QQVGA : FRAMESIZE_QVGA;  // the driver loses pixels of larger ones
  config.fb_count = 1;
  config.fb_location = CAMERA_FB_IN_PSRAM;
  config.grab_mode = CAMERA_GRAB_WHEN_EMPTY;
  return esp_camera_init(&config) == ESP_OK;
}

CapturedFrame::CapturedFrame() : buffer_(esp_camera_fb_get()) {}

CapturedFrame::~CapturedFrame() {
  if (buffer_) esp_camera_fb_return(static_cast<camera_fb_t*>(buffer_));
}

kgrow::Frame CapturedFrame::frame() const {
  const camera_fb_t* buffer = static_cast<const camera_fb_t*>(buffer_);
  const kgrow::PixelFormat format =
      buffer->format == PIXFORMAT_GRAYSCALE ? kgrow::PixelFormat::kGray : kgrow::PixelFormat::kRgb565;
  return kgrow::frame_of(buffer->buf, static_cast<int>(buffer->width), static_cast<int>(buffer->height), format);
}
