//! stepup-sqlx
