//! stepup-wire
