//! What tests of stepup stand on: a clock in hand, a store that fails on demand, and suites that prove a part from
//! outside.

pub mod clock;
pub mod faults;
pub mod suite;
