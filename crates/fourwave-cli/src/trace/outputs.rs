//! The outputs of `trace`: text, JSON, HTML, Parquet.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use fourwave_lens::{ConnectionRecord, Event, Names};
use fourwave_linux::reason;
use fourwave_trace::html::{Page, PageOptions};
use fourwave_trace::json::Json;
use fourwave_trace::parquet::Tables;
use fourwave_trace::text::{Show, Text, TextOptions};
use fourwave_trace::{Numbering, Output, Overview, Sink};

use super::TraceArguments;
use crate::output::{self, Target};
use crate::stop;
use crate::terminal::{Screen, TextArguments};

/// Whether there is still someone who reads what is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Closed {
    closed: Rc<Cell<bool>>,
    /// There is more than standard output.
    others: bool,
}

impl Closed {
    /// Nothing that is written will be read.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get() && !self.others
    }

    /// Nothing may be written for hours: whoever reads may go meanwhile.
    pub(super) fn look(&self) {
        if stop::is_gone(io::stdout()) {
            self.closed.set(true);
        }
    }
}

/// An open stream; a reader that stops early is no error.
struct Stream<W: Write + AsFd> {
    out: BufWriter<W>,
    closed: Closed,
    /// Someone waits for each piece.
    eager: bool,
}

impl<W: Write + AsFd> Stream<W> {
    fn unless_closed(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            // EIO from a terminal that hung up.
            Err(error)
                if error.kind() == ErrorKind::BrokenPipe || stop::is_gone(self.out.get_ref()) =>
            {
                self.closed.closed.set(true);
                Ok(())
            }
            result => result,
        }
    }
}

impl<W: Write + AsFd> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.closed.closed.get() {
            let written = self.out.write_all(bytes);
            self.unless_closed(written)?;
            if self.eager {
                self.flush()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed.closed.get() {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.unless_closed(flushed)
    }
}

/// A page that gets its name when it is whole.
struct PageFile {
    page: Page<BufWriter<File>>,
    /// `None` once it has it.
    file: Option<output::Output>,
}

impl Sink for PageFile {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        self.page.record(record, numbering)
    }

    fn event(&mut self, event: &Event, numbering: &Numbering) -> io::Result<()> {
        self.page.event(event, numbering)
    }

    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()> {
        self.page.finish(overview, numbering)?;
        self.file.take().map_or(Ok(()), output::Output::finish)
    }
}

pub(super) struct Outputs {
    pub(super) outputs: Vec<Output>,
    pub(super) stdout: Closed,
}

/// Opens what is written. `eager`: packets come as they are captured.
pub(super) fn open(
    arguments: &TraceArguments,
    text: &TextArguments,
    eager: bool,
) -> Result<Outputs, String> {
    let paged = arguments.html == Some(Target::Stdout);
    let others = arguments.html.is_some() && !paged || arguments.parquet.is_some();
    let stdout = Closed { closed: Rc::default(), others };
    let mut outputs = vec![match paged {
        false => text_output(arguments, (io::stdout(), text.stdout()), stdout.clone(), eager),
        true => text_output(arguments, (io::stderr(), text.stderr()), Closed::default(), eager),
    }];
    if let Some(target) = &arguments.html {
        outputs.push(page(arguments, target, &stdout)?);
    }
    if let Some(path) = &arguments.parquet {
        let name = path.display().to_string();
        let tables = Tables::create(path)
            .map_err(|error| format!("{name} cannot be written: {}", reason(&error)))?;
        outputs.push(Output { name, sink: Box::new(tables) });
    }
    Ok(Outputs { outputs, stdout })
}

/// Text or JSON.
fn text_output(
    arguments: &TraceArguments,
    (out, screen): (impl Write + AsFd + IsTerminal + 'static, Screen),
    closed: Closed,
    eager: bool,
) -> Output {
    let eager = eager || out.is_terminal();
    let out = Stream { out: BufWriter::new(out), closed, eager };
    let sink: Box<dyn Sink> = match arguments.json {
        true => Box::new(Json::new(out, Names::default())),
        false => Box::new(Text::new(out, text_options(arguments, &screen))),
    };
    Output { name: "the output".to_owned(), sink }
}

fn page(arguments: &TraceArguments, target: &Target, stdout: &Closed) -> Result<Output, String> {
    let options = PageOptions { title: title(arguments), ..PageOptions::default() };
    let name = match target {
        Target::Stdout => "the output".to_owned(),
        target => target.to_string(),
    };
    let failed = |error: io::Error| target.unwritable(&error);
    let file = output::Output::create(target)?;
    let handle = BufWriter::new(file.handle().map_err(failed)?);
    let sink: Box<dyn Sink> = if *target == Target::Stdout {
        let out = Stream { out: handle, closed: stdout.clone(), eager: false };
        Box::new(Page::new(out, options).map_err(failed)?)
    } else {
        let page = Page::new(handle, options).map_err(failed)?;
        Box::new(PageFile { page, file: Some(file) })
    };
    Ok(Output { name, sink })
}

/// What a page is about.
fn title(arguments: &TraceArguments) -> String {
    let names = arguments.files.iter().map(|path| {
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
    });
    names.chain(arguments.iface.clone()).collect::<Vec<String>>().join(", ")
}

fn text_options(arguments: &TraceArguments, screen: &Screen) -> TextOptions {
    let show = match arguments {
        TraceArguments { follow: true, .. } => Show::Rows,
        TraceArguments { list: true, .. } => Show::List,
        TraceArguments { ladders: true, .. } => Show::Ladders,
        TraceArguments { conn, .. } if !conn.is_empty() => Show::Ladders,
        TraceArguments { iface: Some(_), .. } => Show::List,
        _ => Show::Few,
    };
    let ladder = screen.ladder();
    TextOptions { ladder, show, command: command(arguments), overview: arguments.conn.is_empty() }
}

/// How to ask again about the same files.
fn command(arguments: &TraceArguments) -> String {
    let files: Vec<String> =
        arguments.files.iter().map(|path| path.display().to_string()).collect();
    let plain = |name: &String| {
        name != "-" && name.chars().all(|c| c.is_alphanumeric() || "/._-+:@%,".contains(c))
    };
    match files.len() {
        1..=3 if files.iter().all(plain) => format!("fourwave trace {}", files.join(" ")),
        _ => "fourwave trace FILE…".to_owned(),
    }
}
