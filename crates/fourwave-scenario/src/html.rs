//! A performance as one page: no script, nothing fetched.

use std::fmt::Write;

use fourwave_lens::ladder;

use crate::part::Part;
use crate::performance::Performance;
use crate::text::{self, TextOptions};

const STYLE: &str = include_str!("page.css");

/// The page: light or dark as the reader's system is, readable on a narrow screen, every ladder a
/// region that the keyboard reaches and scrolls.
pub fn render(performance: &Performance) -> String {
    let scenario = performance.scenario;
    let (name, title) = (escape(scenario.name), escape(scenario.title));
    let heading = escape(&capitalised(scenario.title));
    let about = escape(scenario.about);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{name}: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"command\"><code>fourwave scenario {name}</code></p>\n\
         <h1>{heading}</h1>\n<p class=\"about\">{about}</p>\n</header>\n"
    );
    outcome(performance, &mut page);
    for part in &performance.parts {
        match part {
            Part::Watched { title, .. } => ladders(part, title, &mut page),
            Part::Table { heads, rows } => table(heads, rows, &mut page),
        }
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn outcome(performance: &Performance, page: &mut String) {
    page.push_str("<section aria-labelledby=\"outcome\">\n<h2 id=\"outcome\">Outcome</h2>\n");
    if let Some(failure) = &performance.failure {
        push(page, format_args!("<p class=\"failure\">Failed: {}</p>\n", escape_all(failure)));
    }
    page.push_str("<ul>\n");
    for sentence in &performance.outcome {
        push(page, format_args!("<li>{}</li>\n", escape(sentence)));
    }
    page.push_str("</ul>\n</section>\n");
}

/// Each ladder twice, wide and narrow; the style shows the one that fits.
fn ladders(part: &Part, title: &str, page: &mut String) {
    page.push_str("<section>\n");
    if !title.is_empty() {
        push(page, format_args!("<h2>{}</h2>\n", escape(title)));
    }
    let drawn = |width| {
        let options = TextOptions { width, ascii: false, color: true };
        text::ladders(part, &options)
    };
    let (wide, narrow) = (drawn(100), drawn(ladder::MIN_WIDTH));
    for (record, (wide, narrow)) in part.records().iter().zip(wide.iter().zip(&narrow)) {
        for (class, text) in [("wide", wide), ("narrow", narrow)] {
            push(
                page,
                format_args!(
                    "<pre class=\"{class}\" tabindex=\"0\" role=\"region\" aria-label=\"Ladder of \
                     connection {}\">{}</pre>\n",
                    record.conn,
                    colored(text)
                ),
            );
        }
    }
    page.push_str("</section>\n");
}

fn table(heads: &[&str], rows: &[Vec<String>], page: &mut String) {
    page.push_str(
        "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Results\">\n<table>\n\
         <thead><tr>",
    );
    for (at, head) in heads.iter().enumerate() {
        let class = if text::is_numeric(rows, at) { " class=\"number\"" } else { "" };
        push(page, format_args!("<th scope=\"col\"{class}>{}</th>", escape(head)));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            match at {
                0 => push(page, format_args!("<th scope=\"row\">{cell}</th>")),
                _ if text::is_numeric(rows, at) => {
                    push(page, format_args!("<td class=\"number\">{cell}</td>"));
                }
                _ => push(page, format_args!("<td>{cell}</td>")),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _never = page.write_fmt(text);
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn escape_all(text: &dyn std::fmt::Display) -> String {
    escape(&text.to_string())
}

/// A ladder's ANSI styles as spans.
fn colored(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut pieces = text.split("\x1b[");
    out.push_str(&escape(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let Some((code, rest)) = piece.split_once('m') else { continue };
        match code {
            "0" => out.push_str("</span>"),
            code => push(&mut out, format_args!("<span class=\"s{code}\">")),
        }
        out.push_str(&escape(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_others_is_escaped() {
        assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        assert_eq!(colored("\x1b[31m<RST>\x1b[0m ."), "<span class=\"s31\">&lt;RST&gt;</span> .");
    }
}
