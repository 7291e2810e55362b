//! Where stories go.

use std::cell::Cell;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;

use fourwave_device::reason;
use fourwave_gateway::terminal;
use fourwave_lens::Names;
use fourwave_lens::ladder::LadderOptions;
use fourwave_trace::html::{Page, PageOptions};
use fourwave_trace::json::Json;
use fourwave_trace::parquet::Tables;
use fourwave_trace::text::{Tell, Text, TextOptions};
use fourwave_trace::{Output, Sink};

use super::TraceArguments;

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
}

/// Standard output; a reader that stops early is no error.
struct Stdout {
    out: BufWriter<io::Stdout>,
    closed: Closed,
    /// Someone waits for each piece.
    eager: bool,
}

impl Stdout {
    fn unless_closed(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.closed.set(true);
                Ok(())
            }
            result => result,
        }
    }
}

impl Write for Stdout {
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

pub(super) struct Outputs {
    pub(super) outputs: Vec<Output>,
    pub(super) stdout: Closed,
}

/// Opens what is written. `eager`: packets come as they are captured.
pub(super) fn open(arguments: &TraceArguments, eager: bool) -> Result<Outputs, String> {
    spare_the_inputs(arguments)?;
    let others = arguments.html.is_some() || arguments.parquet.is_some();
    let stdout = Closed { closed: Rc::default(), others };
    let eager = eager || io::stdout().is_terminal();
    let out = Stdout { out: BufWriter::new(io::stdout()), closed: stdout.clone(), eager };
    let sink: Box<dyn Sink> = match arguments.json {
        true => Box::new(Json::new(out, Names::default())),
        false => Box::new(Text::new(out, text_options(arguments))),
    };
    let mut outputs = vec![Output { name: "the output".to_owned(), sink }];
    let failed = |path: &Path, error: &io::Error| {
        format!("{} cannot be written: {}", path.display(), reason(error))
    };
    if let Some(path) = &arguments.html {
        let options = PageOptions { title: title(arguments), ..PageOptions::default() };
        let page = Page::create(path, options).map_err(|error| failed(path, &error))?;
        outputs.push(Output { name: path.display().to_string(), sink: Box::new(page) });
    }
    if let Some(path) = &arguments.parquet {
        let tables = Tables::create(path).map_err(|error| failed(path, &error))?;
        outputs.push(Output { name: path.display().to_string(), sink: Box::new(tables) });
    }
    Ok(Outputs { outputs, stdout })
}

/// Nobody wants a page in the place of the capture that it is about.
fn spare_the_inputs(arguments: &TraceArguments) -> Result<(), String> {
    let Some(page) = arguments.html.as_deref().and_then(|path| path.canonicalize().ok()) else {
        return Ok(());
    };
    let taken = |file: &&std::path::PathBuf| file.canonicalize().is_ok_and(|file| file == page);
    match arguments.files.iter().find(taken) {
        Some(file) => Err(format!("{}: --html would overwrite the capture", file.display())),
        None => Ok(()),
    }
}

/// What a page is about.
fn title(arguments: &TraceArguments) -> String {
    let names = arguments.files.iter().map(|path| {
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
    });
    names.chain(arguments.iface.clone()).collect::<Vec<String>>().join(", ")
}

fn text_options(arguments: &TraceArguments) -> TextOptions {
    let tell = match arguments {
        TraceArguments { follow: true, .. } => Tell::Rows,
        TraceArguments { list: true, .. } => Tell::List,
        TraceArguments { ladders: true, .. } => Tell::Ladders,
        TraceArguments { conn, .. } if !conn.is_empty() => Tell::Ladders,
        TraceArguments { iface: Some(_), .. } => Tell::List,
        _ => Tell::Few,
    };
    let ladder = ladder_options(arguments);
    TextOptions { ladder, tell, command: command(arguments), overview: arguments.conn.is_empty() }
}

/// How a ladder looks on this terminal, or in a file.
fn ladder_options(arguments: &TraceArguments) -> LadderOptions {
    let mut options = if io::stdout().is_terminal() {
        terminal::ladder_options(io::stdout())
    } else {
        LadderOptions::default()
    };
    options.ascii |= arguments.ascii;
    if let Some(width) = arguments.width {
        options.width = width.into();
    }
    options
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
