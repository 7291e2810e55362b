//! A page in Markdown, cut into its blocks of code and what is around them.

use std::fmt;

/// How a block came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) needs: Vec<String>,
    /// Times, ports, process ids and widths do not count.
    pub(crate) aside: bool,
}

/// A block of code, indented or fenced.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its first line in the page, from 0.
    pub(crate) first: usize,
    /// How many lines it takes there.
    count: usize,
    indent: &'static str,
    /// Without the indent.
    pub(crate) lines: Vec<String>,
    /// None where nothing is to be run.
    pub(crate) shown: Option<Shown>,
    /// A comment says where it is from.
    pub(crate) is_marked: bool,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    lines: Vec<String>,
    pub(crate) blocks: Vec<Block>,
}

impl Page {
    /// # Errors
    /// A comment that cannot be understood, or without a block behind it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut blocks = Vec::new();
        let mut mark: Option<(usize, Option<Shown>)> = None;
        let mut at = 0;
        while at < lines.len() {
            let line = &lines[at];
            if line.starts_with("<!-- show") {
                let end = (at..lines.len()).find(|at| lines[*at].ends_with("-->"));
                let end = end.ok_or(format!("line {}: the comment does not end", at + 1))?;
                let parts: Vec<&str> = lines[at..=end].iter().map(|line| line.trim()).collect();
                let comment = parts.join(" ");
                let read = comment_of(&comment).ok_or(format!("line {}: {comment}", at + 1))?;
                if let Some((at, _)) = mark.replace((at, read)) {
                    return Err(without_block(at));
                }
                at = end + 1;
                continue;
            }
            let fenced = line.starts_with("```");
            if fenced || line.starts_with("    ") && (at == 0 || lines[at - 1].is_empty()) {
                let (first, count, next) = extent(&lines, at, fenced);
                let (indent, cut) = if fenced { ("", 0) } else { ("    ", 4) };
                let own = lines[first..first + count].iter();
                let own = own.map(|line| line.get(cut..).unwrap_or_default().to_owned()).collect();
                let is_marked = mark.is_some();
                let shown = mark.take().and_then(|(_, shown)| shown);
                blocks.push(Block { first, count, indent, lines: own, shown, is_marked });
                at = next;
                continue;
            }
            if let Some((at, _)) = mark.as_ref().filter(|_| !line.is_empty()) {
                return Err(without_block(*at));
            }
            at += 1;
        }
        match mark {
            Some((at, _)) => Err(without_block(at)),
            None => Ok(Self { lines, blocks }),
        }
    }
}

fn without_block(at: usize) -> String {
    format!("line {}: no block behind the comment", at + 1)
}

/// First line and number of lines of the block that begins here, and where the page goes on.
fn extent(lines: &[String], at: usize, fenced: bool) -> (usize, usize, usize) {
    if fenced {
        let end = (at + 1..lines.len()).find(|at| lines[*at].starts_with("```"));
        let end = end.unwrap_or(lines.len());
        return (at + 1, end - at - 1, end + 1);
    }
    let inside = |line: &&String| line.is_empty() || line.starts_with("    ");
    let mut count = lines[at..].iter().take_while(inside).count();
    while count > 0 && lines[at + count - 1].is_empty() {
        count -= 1;
    }
    (at, count, at + count)
}

/// What a comment says; none where nothing is to be run.
fn comment_of(comment: &str) -> Option<Option<Shown>> {
    let body = comment.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    if body.starts_with("shown, not run again: ") {
        return Some(None);
    }
    let (head, command) = body.strip_prefix("shows")?.split_once(": ")?;
    let mut shown = Shown { command: command.to_owned(), needs: Vec::new(), aside: false };
    for part in head.split(", ").filter(|part| !part.is_empty()) {
        match part.strip_prefix("needs ") {
            Some(needs) => shown.needs.extend(needs.split(' ').map(str::to_owned)),
            None if part == "times aside" => shown.aside = true,
            None => return None,
        }
    }
    Some(Some(shown))
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        for block in &self.blocks {
            for line in &self.lines[at..block.first] {
                writeln!(f, "{line}")?;
            }
            for line in &block.lines {
                writeln!(f, "{}", format!("{}{line}", block.indent).trim_end())?;
            }
            at = block.first + block.count;
        }
        self.lines[at..].iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Whether two outputs are the same; `aside`: but for what differs in each run.
pub(crate) fn same(shown: &[String], printed: &[String], aside: bool) -> bool {
    comparable(shown, aside) == comparable(printed, aside)
}

/// The first lines that differ.
pub(crate) fn difference(shown: &[String], printed: &[String], aside: bool) -> String {
    let (a, b) = (comparable(shown, aside), comparable(printed, aside));
    let at = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at)).unwrap_or(0);
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or("nothing".to_owned());
    format!("  line {} shown   {}\n  line {0} printed {}", at + 1, line(shown), line(printed))
}

fn comparable(lines: &[String], aside: bool) -> Vec<String> {
    lines.iter().map(|line| if aside { aside_of(line) } else { line.trim_end().into() }).collect()
}

/// A line without what differs in each run: times, ports, process ids, and the widths that follow
/// from them.
fn aside_of(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1).map_or("", String::as_str);
        at += 1;
        match () {
            () if is_number(word) && is_unit(next) => {
                at += 1;
                let bracket = if word.starts_with('(') { "(" } else { "" };
                let behind = next.trim_start_matches(char::is_alphabetic);
                // 1 min 14 s is one time.
                let last = out.pop_if(|last| last.ends_with("TIME")).unwrap_or_default();
                let bracket = if last.starts_with('(') { "(" } else { bracket };
                out.push(format!("{bracket}TIME{behind}"));
            }
            () if word.trim_start_matches('(') == "pid" && !next.is_empty() => {
                at += 1;
                let behind = next.trim_start_matches(|c: char| c.is_ascii_digit());
                out.push(format!("{word} PID{behind}"));
            }
            () => out.push(word.clone()),
        }
    }
    out.join(" ")
}

fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches('(');
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.') || word == "SECONDS"
}

fn is_unit(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';', ')', '.']);
    ["ns", "µs", "ms", "s", "min", "h"].contains(&word)
}

/// A word in which lines of a drawing, carets, decimal numbers, and high ports look alike.
fn word(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if !(matches!(c, '─' | '^') && out.ends_with(c)) {
            out.push(c);
        }
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let bare = out.trim_matches(['(', ')', ',', ';']);
    if bare.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part)) {
        return out.replace(bare, "SECONDS");
    }
    match out.rsplit_once(':') {
        Some((host, port)) if digits(port) && port.len() == 5 => format!("{host}:PORT"),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
text

<!-- shows: fourwave knobs -->

    one
      two

    three

<!-- shows, needs ip namespaces, times aside:
     a | b -->
```console
$ a | b
x
```
<!-- shown, not run again: cargo xtask bench, 2026-01-01 -->

    table

    fourwave x
";

    #[test]
    fn a_page_is_cut_and_put_together_again() {
        let mut page = Page::parse(PAGE).unwrap();
        assert_eq!(page.to_string(), PAGE);
        let marked: Vec<bool> = page.blocks.iter().map(|block| block.is_marked).collect();
        assert_eq!(marked, [true, true, true]);
        assert_eq!(page.blocks[0].lines, ["one", "  two", "", "three"]);
        let shown = page.blocks[1].shown.clone().unwrap();
        assert_eq!(shown.command.split_whitespace().collect::<Vec<_>>(), ["a", "|", "b"]);
        assert_eq!((shown.needs.len(), shown.aside), (2, true));
        assert_eq!(page.blocks[2].shown, None);
        page.blocks[0].lines = vec!["new".to_owned()];
        let written = PAGE.replace("    one\n      two\n\n    three\n", "    new\n");
        assert_eq!(page.to_string(), written);
    }

    #[test]
    fn a_comment_without_a_block_or_sense_is_an_error() {
        assert!(Page::parse("<!-- shows: a -->\ntext\n").unwrap_err().contains("line 1"));
        assert!(Page::parse("<!-- shows: a -->\n").unwrap_err().contains("line 1"));
        assert!(Page::parse("<!-- shows, perhaps: a -->\n\n    a\n").is_err());
        assert!(Page::parse("<!-- shows: a\n").unwrap_err().contains("does not end"));
    }

    #[test]
    fn times_ports_pids_and_widths_may_differ_and_nothing_else() {
        let one = |line: &str| vec![line.to_owned()];
        let same = |a: &str, b: &str| super::same(&one(a), &one(b), true);
        for (a, b) in [
            ("── connection 1 ──── 0.002 s ──", "─ connection 1 ─ 1.02 s ─"),
            ("at least 1 min 14 s, the oldest", "at least 12 ms, the oldest"),
            ("(60 s from 0.25)", "(1 min from 1.25)"),
            ("python3 (pid 7) holds", "python3 (pid 23537) holds"),
            ("10.4.0.1:50478  x", "10.4.0.1:41111   x"),
            ("early: 0.05223 > . 2:2(0)", "early: 0.07 > . 2:2(0)"),
            ("   ^^^^^", " ^^^"),
        ] {
            assert!(same(a, b), "{} {}", aside_of(a), aside_of(b));
            assert!(!super::same(&one(a), &one(b), false), "{a} {b}");
        }
        for (a, b) in [
            ("seq=1 len=34", "seq=1 len=35"),
            ("at 10.4.0.1:80", "at 10.4.0.1:81"),
            ("12 segments, 5 ms", "11 segments, 5 ms"),
            ("(window update)", ""),
            ("5 ms", "5"),
        ] {
            assert!(!same(a, b), "{} {}", aside_of(a), aside_of(b));
        }
    }
}
