//! Suites: one list of sentences that every implementation of a port has to make true.

pub mod adapter;
pub mod storage;
