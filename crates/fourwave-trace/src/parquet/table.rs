//! One table: a directory with a directory for each day, and the files being written there.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use parquet::basic::{Compression, GzipLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

use super::column::{Field, Value, Waiting, schema};

/// Rows that a table keeps in memory, of all its days together; also the most in a row group.
const MAX_WAITING: usize = 64 * 1024;

/// Files of a table that are open at a time. A capture has a midnight now and then, not more.
const MAX_OPEN: usize = 8;

/// What `what` failed with, and what it was done to.
pub(super) fn failed(what: &str, path: &Path, error: impl Display) -> io::Error {
    io::Error::other(format!("cannot {what} {}: {error}", path.display()))
}

/// What the system said, where the library only passes it on.
fn in_words(error: ParquetError) -> String {
    match error {
        ParquetError::External(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// The UTC day of a time since the epoch of Unix: `2026-11-22`.
fn day_of(at: Duration) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH);
    time.date_naive().to_string()
}

/// A file that is being written under a name that no reader looks at.
struct Part {
    day: u64,
    hidden: PathBuf,
    shown: PathBuf,
    writer: SerializedFileWriter<File>,
    rows: usize,
    columns: Vec<Waiting>,
}

/// A table. What was written shows up only with [`finish`](Self::finish); without it, nothing of
/// it stays.
pub(super) struct Table {
    fields: Vec<Field>,
    dir: PathBuf,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    /// The one used last at the end.
    open: Vec<Part>,
    waiting: usize,
    /// Hidden name and final name of files that are complete.
    complete: Vec<(PathBuf, PathBuf)>,
    parts: u64,
}

impl Table {
    /// A table `name` in `dir`, which is made if it does not exist.
    pub(super) fn create(dir: &Path, name: &str, fields: Vec<Field>) -> io::Result<Self> {
        let dir = dir.join(name);
        fs::create_dir_all(&dir).map_err(|error| failed("make the directory", &dir, error))?;
        let bad = |error| failed("describe the table", &dir, error);
        // Of all that readers know, gzip is the one that every one of them does.
        let level = GzipLevel::try_new(3).map_err(bad)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::GZIP(level))
            .set_created_by(format!("fourwave version {}", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            schema: schema(name, &fields).map_err(bad)?,
            fields,
            dir,
            properties: Arc::new(properties),
            open: Vec::new(),
            waiting: 0,
            complete: Vec::new(),
            parts: 0,
        })
    }

    /// One more row: of the day of `at`, in files called after `stem`.
    pub(super) fn row(
        &mut self,
        stem: &str,
        at: Duration,
        values: impl Iterator<Item = Value>,
    ) -> io::Result<()> {
        self.at_hand(stem, at)?;
        if let Some(part) = self.open.last_mut() {
            for (waiting, value) in part.columns.iter_mut().zip(values) {
                waiting.push(value);
            }
            part.rows += 1;
            self.waiting += 1;
        }
        if self.waiting >= MAX_WAITING
            && let Some(largest) = self.open.iter_mut().max_by_key(|part| part.rows)
        {
            self.waiting -= largest.rows;
            largest.flush()?;
        }
        Ok(())
    }

    /// Puts the file for the day of `at` last in `open`.
    fn at_hand(&mut self, stem: &str, at: Duration) -> io::Result<()> {
        let day = at.as_secs() / 86_400;
        if self.open.last().is_some_and(|part| part.day == day) {
            return Ok(());
        }
        if let Some(index) = self.open.iter().position(|part| part.day == day) {
            self.open[index..].rotate_left(1);
            return Ok(());
        }
        if self.open.len() == MAX_OPEN {
            self.close_oldest()?;
        }
        let part = self.begin(stem, at)?;
        self.open.push(part);
        Ok(())
    }

    fn begin(&mut self, stem: &str, at: Duration) -> io::Result<Part> {
        let dir = self.dir.join(format!("day={}", day_of(at)));
        fs::create_dir_all(&dir).map_err(|error| failed("make the directory", &dir, error))?;
        let name = format!("part-{stem}-{:04}.parquet", self.parts);
        self.parts += 1;
        // Readers pass over names that begin with a dot, and those that do not end as expected.
        let hidden = dir.join(format!(".{name}.tmp"));
        let file = File::create_new(&hidden).map_err(|error| failed("make", &hidden, error))?;
        let writer =
            SerializedFileWriter::new(file, Arc::clone(&self.schema), Arc::clone(&self.properties));
        let writer = writer.map_err(|error| {
            // It was made just now and nobody knows it yet.
            let _ = fs::remove_file(&hidden);
            failed("write", &hidden, in_words(error))
        })?;
        let columns = self.fields.iter().copied().map(Waiting::new).collect();
        let shown = dir.join(name);
        Ok(Part { day: at.as_secs() / 86_400, hidden, shown, writer, rows: 0, columns })
    }

    fn close_oldest(&mut self) -> io::Result<()> {
        let mut part = self.open.remove(0);
        self.waiting -= part.rows;
        self.complete.push((part.hidden.clone(), part.shown.clone()));
        part.flush()?;
        part.writer.finish().map_err(|error| failed("write", &part.shown, in_words(error)))?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Writes what waits and gives the files the names under which they are found.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        while !self.open.is_empty() {
            self.close_oldest()?;
        }
        while let Some((hidden, shown)) = self.complete.last() {
            // The names are random; this is for the case that they are not.
            if shown.exists() {
                return Err(failed("write", shown, "the file exists"));
            }
            fs::rename(hidden, shown).map_err(|error| failed("write", shown, error))?;
            self.complete.pop();
        }
        Ok(())
    }
}

impl Part {
    /// Writes what waits as a row group.
    fn flush(&mut self) -> io::Result<()> {
        let written = (|| {
            if self.rows == 0 {
                return Ok(());
            }
            let mut group = self.writer.next_row_group()?;
            for waiting in &mut self.columns {
                if let Some(column) = group.next_column()? {
                    waiting.write(column)?;
                }
            }
            group.close().map(drop)
        })();
        self.rows = 0;
        written.map_err(|error| failed("write", &self.shown, in_words(error)))
    }
}

/// Without `finish`, or when that failed: no half of it stays.
impl Drop for Table {
    fn drop(&mut self) {
        let open = self.open.iter().map(|part| &part.hidden);
        for hidden in open.chain(self.complete.iter().map(|(hidden, _)| hidden)) {
            // What could not be removed is hidden from readers; there is nobody left to tell.
            let _ = fs::remove_file(hidden);
            if let Some(day) = hidden.parent() {
                // Only when it is empty.
                let _ = fs::remove_dir(day);
            }
        }
    }
}
