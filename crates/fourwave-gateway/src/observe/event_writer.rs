//! Writes what the lens tells, on a thread of its own: a terminal may stand still.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use fourwave_lens::ladder::LadderOptions;
use fourwave_lens::{Event, Names, follow, json, ladder};
use fourwave_linux::reason;

use super::Drawn;
use crate::notice::say;

/// Events that wait to be written; beyond, packets wait.
const BACKLOG: usize = 8192;

/// The thread that writes.
pub(super) struct EventWriter {
    sender: SyncSender<Event>,
    thread: JoinHandle<()>,
}

impl EventWriter {
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(
        ladder: Option<Drawn>,
        follow: Option<Drawn>,
        events: Option<File>,
        names: &Names,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(BACKLOG);
        let sheet = |drawn: Drawn| Sheet {
            out: BufWriter::new(drawn.out),
            look: LadderOptions { names: names.clone(), ..drawn.look },
        };
        let mut outputs = Outputs {
            ladder: ladder.map(sheet),
            follow: follow.map(sheet),
            events: events.map(BufWriter::new),
            names: names.clone(),
            line: String::new(),
        };
        let thread = std::thread::Builder::new()
            .name("fourwave-lens".to_owned())
            .spawn(move || outputs.write_all(&receiver))?;
        Ok(Self { sender, thread })
    }

    pub(super) fn sender(&self) -> SyncSender<Event> {
        self.sender.clone()
    }

    /// Waits until all is written. The other senders must be gone.
    pub(super) async fn finish(self) {
        drop(self.sender);
        // Either fails only by a panic of the thread, which was printed.
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

struct Outputs {
    ladder: Option<Sheet>,
    follow: Option<Sheet>,
    events: Option<BufWriter<File>>,
    names: Names,
    line: String,
}

/// A stream for people.
struct Sheet {
    out: BufWriter<Box<dyn Write + Send>>,
    look: LadderOptions,
}

impl Outputs {
    fn write_all(&mut self, events: &Receiver<Event>) {
        loop {
            let event = match events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    // Nothing more for now: what there is should be seen.
                    self.flush();
                    match events.recv() {
                        Ok(event) => event,
                        Err(_) => break,
                    }
                }
            };
            self.write(&event);
        }
        self.flush();
    }

    fn write(&mut self, event: &Event) {
        if let Some(file) = &mut self.events {
            self.line.clear();
            json::write(event, &self.names, &mut self.line);
            let written = file.write_all(self.line.as_bytes());
            give_up("the events file", &mut self.events, written);
        }
        if let Some(Sheet { out, look }) = &mut self.follow {
            let written = out.write_all(follow::line(event, look).as_bytes());
            give_up("what --follow draws", &mut self.follow, written);
        }
        if let (Some(Sheet { out, look }), Event::Ended(record)) = (&mut self.ladder, event) {
            // They may go to one terminal.
            if let Some(Sheet { out, .. }) = &mut self.follow {
                let flushed = out.flush();
                give_up("what --follow draws", &mut self.follow, flushed);
            }
            let text = ladder::render(record, look) + "\n";
            let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            give_up("the ladder", &mut self.ladder, written);
        }
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.events {
            let flushed = file.flush();
            give_up("the events file", &mut self.events, flushed);
        }
        if let Some(Sheet { out, .. }) = &mut self.follow {
            let flushed = out.flush();
            give_up("what --follow draws", &mut self.follow, flushed);
        }
    }
}

/// After a failure an output is written no more; the program runs on.
fn give_up<T>(what: &str, output: &mut Option<T>, result: io::Result<()>) {
    if let Err(error) = result {
        // A reader that has enough is no error.
        if error.kind() != io::ErrorKind::BrokenPipe {
            say(&format!("{what} could not be written and ends here: {}", reason(&error)));
        }
        *output = None;
    }
}
