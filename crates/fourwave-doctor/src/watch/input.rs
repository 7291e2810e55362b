//! What the person at the terminal does: keys, another size, and that they are gone.
//!
//! Not by crossterm: its reader never returns once the terminal is gone (0.29, mio and tty source
//! alike read end of file indefinitely), and waits for the rest of half an escape sequence whatever
//! else happens.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGWINCH;
use termina::event::{Event, KeyEvent, KeyEventKind};

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalEvent {
    Key(KeyEvent),
    /// The window has another size.
    Resized,
    /// Not within the time.
    Nothing,
    /// Nothing will come any more: no terminal, or not ours to read.
    Gone,
}

/// A terminal to read from, and one to write to: mostly the same.
pub(super) struct Input {
    from: OwnedFd,
    to: OwnedFd,
    resized: Arc<AtomicBool>,
    parser: termina::Parser,
    /// The parser may hold the beginning of a sequence.
    begun: bool,
}

impl Input {
    /// Standard input, or the controlling terminal where that is none; the window is standard
    /// output's.
    pub(super) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        let from = match stdin.is_terminal() {
            true => stdin.as_fd().try_clone_to_owned()?,
            false => File::open("/dev/tty")?.into(),
        };
        let resized = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGWINCH, Arc::clone(&resized))?;
        Ok(Self::new(from, io::stdout().as_fd().try_clone_to_owned()?, resized))
    }

    fn new(from: OwnedFd, to: OwnedFd, resized: Arc<AtomicBool>) -> Self {
        Self { from, to, resized, parser: termina::Parser::default(), begun: false }
    }

    /// The next thing, within a time; a signal ends the wait.
    pub(super) fn wait(&mut self, at_most: Duration) -> io::Result<TerminalEvent> {
        loop {
            if self.resized.swap(false, Ordering::Relaxed) {
                return Ok(TerminalEvent::Resized);
            }
            if let Some(key) = self.key() {
                return Ok(TerminalEvent::Key(key));
            }
            match self.ready(at_most)? {
                Ready::Gone => return Ok(TerminalEvent::Gone),
                Ready::Not => {
                    // What a key sends comes at once. Half of it would swallow the next keys.
                    if std::mem::take(&mut self.begun) {
                        self.parser = termina::Parser::default();
                    }
                    return Ok(TerminalEvent::Nothing);
                }
                Ready::Interrupted => return Ok(TerminalEvent::Nothing),
                Ready::Bytes => {}
            }
            let mut bytes = [0; 1024];
            match rustix::io::read(&self.from, &mut bytes) {
                Ok(0) => return Ok(TerminalEvent::Gone),
                // A job in the background that no shell waits for any more.
                Err(Errno::IO) => return Ok(TerminalEvent::Gone),
                Err(Errno::INTR | Errno::AGAIN) => return Ok(TerminalEvent::Nothing),
                Err(errno) => return Err(errno.into()),
                Ok(read) => {
                    self.parser.parse(&bytes[..read], read == bytes.len());
                    self.begun = true;
                }
            }
        }
    }

    /// The next key that was pressed and read.
    fn key(&mut self) -> Option<KeyEvent> {
        std::iter::from_fn(|| self.parser.pop()).find_map(|event| match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Some(key),
            _ => None,
        })
    }

    /// Whether one of the terminals has hung up.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.ready(Duration::ZERO), Ok(Ready::Gone))
    }

    fn ready(&self, at_most: Duration) -> io::Result<Ready> {
        let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let mut both =
            [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.to, PollFlags::empty())];
        // Times here are far below what does not fit.
        let at_most = Timespec::try_from(at_most).unwrap_or_default();
        match poll(&mut both, Some(&at_most)) {
            Err(Errno::INTR) => Ok(Ready::Interrupted),
            Err(errno) => Err(errno.into()),
            Ok(_) if both.iter().any(|fd| fd.revents().intersects(over)) => Ok(Ready::Gone),
            Ok(0) => Ok(Ready::Not),
            Ok(_) => Ok(Ready::Bytes),
        }
    }
}

enum Ready {
    Bytes,
    Not,
    /// By a signal.
    Interrupted,
    Gone,
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;
    use termina::event::KeyCode::{Char, Down, End, Enter, Escape, Home, PageDown, PageUp, Up};
    use termina::event::{KeyCode, Modifiers};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    /// An input, and the person.
    fn pair() -> (Input, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let to = ours.try_clone().unwrap();
        (Input::new(ours.into(), to.into(), Arc::default()), theirs)
    }

    fn keys(input: &mut Input) -> Vec<KeyCode> {
        std::iter::from_fn(|| match input.wait(SOON).unwrap() {
            TerminalEvent::Key(key) => Some(key.code),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn keys_are_those_that_the_help_names() {
        let (mut input, mut person) = pair();
        person.write_all(b"qspjk? \r\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1~").unwrap();
        let plain = ['q', 's', 'p', 'j', 'k', '?', ' '].map(Char).into_iter();
        let others = [Enter, Up, Down, Up, PageUp, PageDown, Home, End, Home];
        assert_eq!(keys(&mut input), plain.chain(others).collect::<Vec<_>>());
        person.write_all(b"\x1b").unwrap();
        assert_eq!(keys(&mut input), [Escape]);
        person.write_all(b"\x03").unwrap();
        let TerminalEvent::Key(key) = input.wait(SOON).unwrap() else { panic!() };
        assert_eq!((key.code, key.modifiers), (Char('c'), Modifiers::CONTROL));
    }

    #[test]
    fn half_a_sequence_swallows_no_key_that_comes_later() {
        for half in [&b"\x1b["[..], b"\x1b]", b"\x1bP", b"\x1b[200~", b"\xe2\x82"] {
            let (mut input, mut person) = pair();
            person.write_all(half).unwrap();
            assert_eq!(keys(&mut input), [], "{half:?}");
            person.write_all(b"q").unwrap();
            assert_eq!(keys(&mut input), [Char('q')], "{half:?}");
        }
    }

    #[test]
    fn one_who_is_gone_is_gone_for_good() {
        let (mut input, mut person) = pair();
        assert!(!input.is_gone());
        person.write_all(b"\x1b").unwrap();
        drop(person);
        for _ in 0..3 {
            assert_eq!(input.wait(SOON).unwrap(), TerminalEvent::Gone);
        }
        assert!(input.is_gone());
    }

    #[test]
    fn an_output_that_is_gone_is_enough() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (to, _) = UnixStream::pair().unwrap();
        let mut input = Input::new(ours.into(), to.into(), Arc::default());
        assert_eq!(input.wait(SOON).unwrap(), TerminalEvent::Gone);
    }

    #[test]
    fn another_size_is_told_once() {
        let (mut input, _person) = pair();
        input.resized.store(true, Ordering::Relaxed);
        assert_eq!(input.wait(SOON).unwrap(), TerminalEvent::Resized);
        assert_eq!(input.wait(SOON).unwrap(), TerminalEvent::Nothing);
    }

    proptest! {
        /// Terminals send what they like.
        #[test]
        fn any_bytes_can_come(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(&b"\x1b[]OP<?>;~Mu019"[..])],
                0..40,
            ),
        ) {
            let (mut input, mut person) = pair();
            person.write_all(&bytes).unwrap();
            while input.wait(Duration::ZERO).unwrap() != TerminalEvent::Nothing {}
        }
    }
}
