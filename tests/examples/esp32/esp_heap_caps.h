#pragma once
#include <cstdint>
#include <cstdlib>
#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)
#define MALLOC_CAP_INTERNAL (1 << 11)
inline void* heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t memory) {
  const size_t whole = (size + alignment - 1) / alignment * alignment;
  return memory & MALLOC_CAP_INTERNAL ? nullptr : std::aligned_alloc(alignment, whole);  // as if there were no room
}
