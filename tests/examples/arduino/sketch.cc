// Runs the sketch as a board does.
#include <Arduino.h>

#include "classify.ino"

int main() {
  setup();
  while (true) loop();
}
