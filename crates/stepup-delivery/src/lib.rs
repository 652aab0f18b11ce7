//! stepup-delivery
