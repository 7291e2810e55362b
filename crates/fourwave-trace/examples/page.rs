//! Writes the HTML page of captures: `cargo run --example page -- page.html a.pcap b.pcapng`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;

use fourwave_capture::Reader;
use fourwave_trace::html::{Page, PageOptions};
use fourwave_trace::{Analysis, Options, Output};

fn write(page: &str, files: &[String]) -> Result<(), String> {
    let options = PageOptions { title: files.join(", "), ..PageOptions::default() };
    let file = File::create(page).map(BufWriter::new);
    let sink =
        file.and_then(|file| Page::new(file, options)).map_err(|e| format!("{page}: {e}"))?;
    let outputs = vec![Output { name: page.to_owned(), sink: Box::new(sink) }];
    let mut analysis = Analysis::new(Options::default(), outputs);
    for file in files {
        let mut reader = Reader::open(Path::new(file)).map_err(|e| format!("{file}: {e}"))?;
        analysis.begin(file);
        while let Some(packet) = reader.next() {
            analysis.packet(&packet).map_err(|e| e.to_string())?;
        }
        let damaged = reader.damaged().map(str::to_owned);
        analysis.end(file, reader.tally().clone(), damaged);
    }
    analysis.finish().map(drop).map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(page) = arguments.next() else {
        eprintln!("page: which file is written? page PAGE.html CAPTURE…");
        return ExitCode::from(2);
    };
    match write(&page, &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("page: {problem}");
            ExitCode::from(2)
        }
    }
}
