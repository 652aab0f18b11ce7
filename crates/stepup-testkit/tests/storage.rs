//! The reference store passes the storage suite.

use stepup_core::storage::memory::MemoryStore;

stepup_testkit::storage_suite!(async || (MemoryStore::new(), ()));
