//! Rows to records, column by column in the order in which a statement names them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use std::time::Duration;
use stepup_core::error::StoreError;
use stepup_core::secret::Mac;
use stepup_core::storage::Stored;
use stepup_core::time::Timestamp;

/// A row, read from left to right. What does not read is an error, never a default: a default might let somebody in.
pub(crate) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// Whether the next column is `NULL`. It stays the next.
    pub(crate) fn is_null(&self) -> Stored<bool> {
        let value = self.row.try_get_raw(self.next).map_err(|_| malformed())?;
        Ok(sqlx::ValueRef::is_null(&value))
    }

    /// Passes over `columns` columns.
    pub(crate) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    fn value<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Stored<T> {
        let value = self.row.try_get(self.next).map_err(|_| malformed())?;
        self.next += 1;
        Ok(value)
    }

    /// The next column, if it is not `NULL`.
    pub(crate) fn option<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Stored<Option<T>> {
        self.value()
    }

    pub(crate) fn text(&mut self) -> Stored<String> {
        self.value()
    }

    /// An id, or whatever else is made of text.
    pub(crate) fn id<T: From<String>>(&mut self) -> Stored<T> {
        self.text().map(T::from)
    }

    pub(crate) fn int(&mut self) -> Stored<i64> {
        self.value()
    }

    pub(crate) fn count(&mut self) -> Stored<u32> {
        u32::try_from(self.int()?).map_err(|_| malformed())
    }

    pub(crate) fn flag(&mut self) -> Stored<bool> {
        self.int().map(|flag| flag != 0)
    }

    pub(crate) fn time(&mut self) -> Stored<Timestamp> {
        self.int().map(Timestamp::from_ms)
    }

    pub(crate) fn option_time(&mut self) -> Stored<Option<Timestamp>> {
        Ok(self.option::<i64>()?.map(Timestamp::from_ms))
    }

    pub(crate) fn bytes(&mut self) -> Stored<Vec<u8>> {
        self.value()
    }

    pub(crate) fn mac(&mut self) -> Stored<Mac> {
        Mac::from_slice(self.value::<&[u8]>()?).ok_or_else(malformed)
    }

    pub(crate) fn option_mac(&mut self) -> Stored<Option<Mac>> {
        match self.option::<&[u8]>()? {
            Some(bytes) => Mac::from_slice(bytes).map(Some).ok_or_else(malformed),
            None => Ok(None),
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Stored<T> {
        serde_json::from_str(self.value()?).map_err(|_| malformed())
    }

    /// One of several words.
    pub(crate) fn word<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Stored<T> {
        parse(self.value()?).ok_or_else(malformed)
    }
}

pub(crate) fn malformed() -> StoreError {
    StoreError::Malformed("column")
}

/// `value` as it is stored.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Stored<String> {
    serde_json::to_string(value).map_err(|_| StoreError::Malformed("a value that is no JSON"))
}

/// `span` in milliseconds. Beyond a century it is cut, so that no sum in a statement overflows.
pub(crate) fn ms(span: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 3600 * 1000;
    i64::try_from(span.as_millis()).map_or(CENTURY, |ms| ms.min(CENTURY))
}
