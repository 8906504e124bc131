//! What leaves the engine, and when.
