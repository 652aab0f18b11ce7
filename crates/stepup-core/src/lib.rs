//! stepup-core
