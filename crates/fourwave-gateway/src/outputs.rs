//! The files that a run writes: opened before the program starts, taken back when it does not.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputTo {
    /// Standard output, which is the program's too.
    Stdout,
    /// Standard error, which is the program's too.
    Stderr,
    /// A file: emptied when the program starts, and written while it runs.
    File(PathBuf),
}

impl fmt::Display for OutputTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Files opened for writing. Until [`keep`](Self::keep), dropping this removes those that did
/// not exist before; until [`begin`](Self::begin) the others are as they were.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    opened: Vec<Opened>,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    created: bool,
}

impl Outputs {
    /// Opens an output. A file's content stays until [`begin`](Self::begin).
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub(crate) fn open(&mut self, to: &OutputTo) -> io::Result<File> {
        // Handles of our own: standard output is exchanged for /dev/null once the program has it.
        let path = match to {
            OutputTo::Stdout => return io::stdout().as_fd().try_clone_to_owned().map(File::from),
            OutputTo::Stderr => return io::stderr().as_fd().try_clone_to_owned().map(File::from),
            OutputTo::File(path) => path,
        };
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, created) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path)?, false)
            }
            Err(error) => return Err(error),
        };
        let handle = file.try_clone()?;
        self.opened.push(Opened { path: path.to_owned(), file, created });
        Ok(handle)
    }

    /// Empties the files: what is written from now on is this run's.
    ///
    /// # Errors
    /// A file cannot be emptied.
    pub(crate) fn begin(&self) -> io::Result<()> {
        for Opened { file, .. } in &self.opened {
            // Pipes and terminals have no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
        }
        Ok(())
    }

    /// The program runs: the files are its record and stay.
    pub(crate) fn keep(mut self) {
        self.opened.clear();
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        for Opened { path, created, .. } in &self.opened {
            if *created {
                // Nothing was promised about a file of a program that never ran.
                let _left = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;

    #[test]
    fn files_of_a_run_that_never_started_are_as_before() {
        let directory =
            std::env::temp_dir().join(format!("fourwave-outputs-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let (old, new) = (directory.join("old"), directory.join("new"));
        fs::write(&old, "before").unwrap();
        let mut outputs = Outputs::default();
        let file = |path: &Path| OutputTo::File(path.to_owned());
        outputs.open(&file(&old)).unwrap();
        outputs.open(&file(&new)).unwrap();
        assert!(outputs.open(&file(&directory.join("none/file"))).is_err());
        drop(outputs);
        assert_eq!(fs::read_to_string(&old).unwrap(), "before");
        assert!(!new.exists());

        let mut outputs = Outputs::default();
        let mut file = outputs.open(&file(&old)).unwrap();
        outputs.begin().unwrap();
        outputs.keep();
        file.write_all(b"now").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "now");
        fs::remove_dir_all(&directory).unwrap();
    }
}
