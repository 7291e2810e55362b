//! Text in lines of so many columns.

/// Lines of at most `width` columns, each with what it is indented by; the second column of a
/// table, behind two spaces or more, stays a column.
pub(crate) fn laid_out(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| match columns(line) <= width {
        true => line.to_owned() + "\n",
        false => {
            let (lead, text) = halves(line);
            hanging(lead, text, width)
        }
    });
    lines.collect()
}

/// `text` behind `lead`, its further lines below its first; where that leaves no room, indented by
/// four. A word that is longer than a line stays whole.
pub(crate) fn hanging(lead: &str, text: &str, width: usize) -> String {
    /// Less makes a column of single words.
    const LEAST: usize = 20;
    let begun = columns(lead);
    let hang = if begun + LEAST <= width { begun } else { 4.min(begun) };
    let mut out = lead.to_owned();
    let (mut at, mut is_new) = (begun, true);
    for word in text.split_whitespace() {
        let length = columns(word);
        let fits = at + usize::from(!is_new) + length <= width;
        if !fits && at > hang {
            out.truncate(out.trim_end().len());
            out.push_str(&format!("\n{:hang$}", ""));
            (at, is_new) = (hang, true);
        }
        if !is_new {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        (at, is_new) = (at + length, false);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// An indented line's head with the gap behind it, and the rest; of others the indentation.
fn halves(line: &str) -> (&str, &str) {
    let indent = line.len() - line.trim_start().len();
    let gap = line[indent..].find("  ").filter(|_| indent > 0).map(|gap| indent + gap);
    let rest = gap.map_or(&line[indent..], |gap| line[gap..].trim_start());
    line.split_at(line.len() - rest.len())
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_cut_at_spaces() {
        assert_eq!(laid_out("one two three\n\nfour", 8), "one two\nthree\n\nfour\n");
        assert_eq!(laid_out("  one two three", 9), "  one two\n  three\n");
        assert_eq!(laid_out("a https://example.org/ b", 8), "a\nhttps://example.org/\nb\n");
    }

    #[test]
    fn a_tables_second_column_stays_one() {
        let line = "  drop:fin[:N]   lose the first N FINs of each connection";
        let wanted = "  drop:fin[:N]   lose the first N\n                 FINs of each\n";
        assert!(laid_out(line, 37).starts_with(wanted), "{}", laid_out(line, 37));
        // Where it would be a column of single words it goes below.
        let wanted = "  drop:fin[:N]   lose the\n    first N FINs of each\n    connection\n";
        assert_eq!(laid_out(line, 26), wanted);
        assert_eq!(laid_out("  fits   as it is", 17), "  fits   as it is\n");
        let wanted = "  a-head-of-many-columns\n    text\n";
        assert_eq!(hanging("  a-head-of-many-columns  ", "text", 26), wanted);
    }
}
