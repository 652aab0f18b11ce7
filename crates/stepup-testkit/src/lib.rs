//! stepup-testkit
