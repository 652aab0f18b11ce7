//! stepup
