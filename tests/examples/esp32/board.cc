// Runs the project as a board does, until there are no more frames.
extern "C" void app_main();

int main() { app_main(); }
