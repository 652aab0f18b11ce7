//! The reference store: what the storage traits mean, in one file.
