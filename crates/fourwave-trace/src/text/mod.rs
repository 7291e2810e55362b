//! Records and the overview for a person at a terminal.
//!
//! | question | file |
//! | --- | --- |
//! | what is reported, and when | here |
//! | one connection | `conn.rs` |
//! | the whole capture | `overview.rs` |
//! | columns, bars | `table.rs` |

mod conn;
mod overview;
mod table;

use std::io::{self, Write};

use fourwave_lens::ladder::{LadderOptions, MIN_WIDTH};
use fourwave_lens::paint::{Line, Style, to_ascii, wrap};
use fourwave_lens::{ConnectionRecord, Event, follow};

use crate::overview::Overview;
use crate::sink::{Numbering, Sink};

/// So many connections are drawn unasked; of more the overview is reported.
const FEW: u64 = 3;

/// What is reported each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// The ladders of up to three connections; of more nothing beside the overview.
    Few,
    /// A line.
    List,
    /// Its ladder.
    Ladders,
    /// Each row as it comes.
    Rows,
}

/// How text is written.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Columns, signs and colours.
    pub ladder: LadderOptions,
    /// What is reported each connection.
    pub show: Show,
    /// How this command begins, for what to type next: `fourwave trace a.pcap`.
    pub command: String,
    /// The overview at the end, although single connections were reported.
    pub overview: bool,
}

/// Writes text.
#[derive(Debug)]
pub struct Text<W> {
    out: W,
    options: TextOptions,
    /// The first records, as long as there are few.
    few: Vec<ConnectionRecord>,
    reported: u64,
}

impl<W: Write> Text<W> {
    /// Text that goes to `out`.
    pub fn new(out: W, mut options: TextOptions) -> Self {
        options.ladder.width = options.ladder.width.max(MIN_WIDTH);
        Self { out, options, few: Vec::new(), reported: 0 }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.options.ladder.ascii {
            return self.out.write_all(to_ascii(text).as_bytes());
        }
        self.out.write_all(text.as_bytes())
    }
}

impl<W: Write> Sink for Text<W> {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        self.reported += 1;
        match self.options.show {
            Show::Few if self.reported <= FEW => self.few.push(record.clone()),
            Show::Few => self.few.clear(),
            Show::List => self.write(&conn::line(record, &self.options))?,
            Show::Ladders => {
                let text = conn::render(record, &self.options, numbering);
                self.write(&text)?;
                self.write("\n")?;
            }
            Show::Rows => {}
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, _: &Numbering) -> io::Result<()> {
        if self.options.show == Show::Rows {
            let line = follow::line(event, &self.options.ladder);
            self.out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()> {
        let few = std::mem::take(&mut self.few);
        let options = &self.options;
        let mut text = String::new();
        if self.reported > 0 && matches!(options.show, Show::List | Show::Rows) {
            text.push('\n');
        }
        overview::files(overview, options, &mut text);
        for record in &few {
            text.push('\n');
            text.push_str(&conn::render(record, options, numbering));
        }
        if few.is_empty() && options.overview {
            overview::render(overview, options, numbering, &mut text);
        } else {
            overview::left_out(overview, options, &mut text);
        }
        self.write(&text)?;
        self.out.flush()
    }
}

/// One line in one style.
fn styled(style: Style, text: &str, options: &TextOptions, out: &mut String) {
    let mut line = Line::new(options.ladder.color);
    line.put(style, text);
    line.finish(out);
}

/// A text wrapped behind `at` columns; `head` stands before its first line.
fn paragraph(head: (Style, &str), at: usize, text: &str, options: &TextOptions, out: &mut String) {
    let (style, mut head) = head;
    for piece in wrap(text, options.ladder.width - at) {
        let mut line = Line::new(options.ladder.color);
        line.put(style, head).to(at).put(Style::Plain, &piece);
        line.finish(out);
        head = "";
    }
}

/// A text with a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    let mut letters = text.chars();
    let text: String = match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => return String::new(),
    };
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}
