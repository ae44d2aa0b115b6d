#pragma once
#include <cstdio>
#define ESP_LOGI(tag, text, ...) std::printf("I %s: " text "\n", tag, __VA_ARGS__)
#define ESP_LOGE(tag, ...) (std::printf("E %s: ", tag), std::printf(__VA_ARGS__), std::printf("\n"))
