//! The HTML page: one file that needs nothing else.
//!
//! What is known of each connection goes into the file while its record comes: JSON in blocks of a
//! few dozen connections, gzip, base64. The browser unpacks a block when one of its connections is
//! opened. Only the index (what a list and a search need) is kept until the end. Nothing in the
//! page fetches anything, and its Content-Security-Policy forbids it; only the page's own scripts
//! may run, by their hashes. What captures and callers say reaches the page through askama's
//! escaping or as base64, and scripts write it as text.

mod blocks;
mod detail;
mod index;
mod metrics;
mod overview;

use std::io::{self, Write};

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fourwave_lens::{ConnectionRecord, Names};
use sha2::{Digest, Sha256};

use crate::overview::Overview;
use crate::sink::{Numbering, Sink};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str =
    concat!(include_str!("draw.js"), include_str!("sender.js"), include_str!("page.js"));
const THEME: &str = include_str!("theme.js");

/// Settings of a [`Page`].
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// Connections in the page; further ones are counted, and the page says so. 10,000.
    pub limit: u64,
    /// What the page is about, in its title: the files. May be empty.
    pub title: String,
    /// What the ends are called.
    pub names: Names,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self { limit: 10_000, title: String::new(), names: Names::default() }
    }
}

/// Writes the page while records come.
///
/// Memory: some 200 bytes for each connection in the page, and one block of details.
#[derive(Debug)]
pub struct Page<W: Write> {
    out: W,
    options: PageOptions,
    blocks: blocks::Blocks,
    index: Vec<index::Entry>,
    left_out: u64,
}

#[derive(Template)]
#[template(path = "head.html")]
struct Head<'a> {
    title: &'a str,
    policy: String,
    style: &'static str,
    theme: &'static str,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Body {
    view: overview::View,
    index: String,
    script: &'static str,
}

impl<W: Write> Page<W> {
    /// A page into `out`, which gets its beginning at once and should be buffered.
    ///
    /// # Errors
    /// What is written cannot be written.
    pub fn new(mut out: W, options: PageOptions) -> io::Result<Self> {
        let policy = format!(
            "default-src 'none'; script-src {} {}; style-src {}; img-src data:; \
             base-uri 'none'; form-action 'none'",
            source_hash(SCRIPT),
            source_hash(THEME),
            source_hash(STYLE),
        );
        let head = Head { title: &options.title, policy, style: STYLE, theme: THEME };
        write_template(&head, &mut out)?;
        let blocks = blocks::Blocks::default();
        Ok(Self { out, options, blocks, index: Vec::new(), left_out: 0 })
    }

    /// Gives back what the page was written into.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Sink for Page<W> {
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()> {
        if self.index.len() as u64 >= self.options.limit {
            self.left_out += 1;
            return Ok(());
        }
        let block = self.blocks.number();
        self.index.push(index::Entry::of(record, block, &self.options.names));
        let detail = detail::Detail::of(record, numbering, &self.options.names);
        self.blocks.add(record.conn, &detail, &mut self.out)
    }

    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()> {
        self.blocks.finish(&mut self.out)?;
        let view = overview::View::of(overview, numbering, self.left_out);
        let index = index::Index::of(overview, &self.index);
        let body =
            Body { view, index: blocks::pack(&serde_json::to_vec(&index)?)?, script: SCRIPT };
        write_template(&body, &mut self.out)?;
        self.out.flush()
    }
}

fn write_template(template: &impl Template, out: &mut impl Write) -> io::Result<()> {
    Template::write_into(template, out)
}

/// The source of a Content-Security-Policy that allows exactly this text.
fn source_hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
