//! What tests of stepup stand on: suites that prove a part from outside.

pub mod faults;
pub mod suite;
