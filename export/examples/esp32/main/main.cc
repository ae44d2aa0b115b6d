// Logs what the camera sees: label, probability, exit and milliseconds of every frame.
#include "camera.h"
#include "classifier.h"
#include "esp_heap_caps.h"
#include "esp_log.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "model_data.h"

namespace {

const char* const TAG = "classifier";

// The arena, in the chip's own memory if there is room, which is several times faster than the PSRAM beside it.
uint8_t* allocate_arena() {
  for (uint32_t memory : {MALLOC_CAP_INTERNAL, MALLOC_CAP_SPIRAM}) {
    if (void* arena = heap_caps_aligned_alloc(16, kgrow_arena_size, memory | MALLOC_CAP_8BIT)) {
      return static_cast<uint8_t*>(arena);
    }
  }
  return nullptr;
}

}  // namespace

// --8<-- [start:main]
extern "C" void app_main() {
  static tflite::MicroMutableOpResolver<kgrow_num_operations> resolver;
  kgrow_add_operations(resolver);
  uint8_t* arena = allocate_arena();
  if (!arena) {
    ESP_LOGE(TAG, "there are no %d bytes for the arena", kgrow_arena_size);
    return;
  }
  const kgrow::Model model = {kgrow_model_data, kgrow_class_names, kgrow_num_classes, kgrow_lowest_pixel,
                              kgrow_highest_pixel};
  static kgrow::Classifier classifier(model, resolver, arena, kgrow_arena_size);
  if (const char* problem = classifier.begin()) {
    ESP_LOGE(TAG, "%s", problem);
    return;
  }
  const int height = classifier.height(), width = classifier.width();
  if (!start_camera(height > width ? height : width, classifier.channels() == 1)) {
    ESP_LOGE(TAG, "the camera does not start");
    return;
  }
  while (true) {
    const CapturedFrame captured;
    kgrow::Answer answer;
    const int64_t started = esp_timer_get_time();
    if (captured.is_valid() && classifier.classify(captured.frame(), &answer)) {
      const int milliseconds = static_cast<int>((esp_timer_get_time() - started) / 1000);
      ESP_LOGI(TAG, "%s %.2f exit %d %d ms", answer.label, answer.probability, answer.exit_index, milliseconds);
    }
    vTaskDelay(1);  // lets the watchdog see that other tasks run
  }
}
// --8<-- [end:main]
