//! What this machine knows of itself.
