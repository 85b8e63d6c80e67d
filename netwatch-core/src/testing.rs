//! Fakes, recorders and a virtual world, for tests of your own.
