// What the sketch uses of Arduino, with standard input and output as the serial port.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

inline unsigned long millis() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<unsigned long>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}
inline void delay(unsigned long milliseconds) {
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

struct Port {
  void begin(unsigned long) {}
  int read() {
    const int byte = std::getchar();
    if (byte == EOF) std::exit(0);
    return byte;
  }
  size_t readBytes(char* buffer, size_t length) { return std::fread(buffer, 1, length, stdin); }
  void print(const char* text) { std::printf("%s", text); }
  void print(int value) { std::printf("%d", value); }
  void print(double value, int digits) { std::printf("%.*f", digits, value); }
  void println(const char* text) {
    std::printf("%s\r\n", text);
    std::fflush(stdout);
  }
  void println(int value) {
    std::printf("%d\r\n", value);
    std::fflush(stdout);
  }
  void println(unsigned long value) {
    std::printf("%lu\r\n", value);
    std::fflush(stdout);
  }
};
inline Port Serial;
