//! stepup-axum
