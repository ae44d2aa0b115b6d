// The library, whose headers are those of the interface.
