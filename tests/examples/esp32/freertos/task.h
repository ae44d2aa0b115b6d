#pragma once
inline void vTaskDelay(int) {}
