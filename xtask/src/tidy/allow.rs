//! The exceptions of `xtask/tidy-allow.toml`, each with its sentence. One that excuses nothing is
//! an error, so the list shrinks with the code.

use serde::Deserialize;

use super::Finding;

pub(super) const FILE: &str = "xtask/tidy-allow.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    allow: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    file: String,
    /// The function, call or path it is about; all of the file's when absent.
    item: Option<String>,
    /// The largest size it excuses; any when absent.
    max: Option<usize>,
    why: String,
}

impl Exception {
    fn excuses(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.file == finding.file
            && self.item.as_ref().is_none_or(|item| *item == finding.item)
            && self.max.is_none_or(|max| finding.size.is_none_or(|size| size <= max))
    }
}

/// Removes the findings that the list excuses and adds one for each exception that is of no use.
pub(super) fn apply(list: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let allow = match toml::from_str::<List>(list) {
        Ok(list) => list.allow,
        Err(e) => {
            let mut all = findings;
            all.push(Finding::new("allow-list", FILE, 1, e.to_string().trim().to_owned()));
            return all;
        }
    };
    let mut used = vec![false; allow.len()];
    let mut left = Vec::new();
    for finding in findings {
        match allow.iter().position(|exception| exception.excuses(&finding)) {
            Some(at) => used[at] = true,
            None => left.push(finding),
        }
    }
    let lines = list.lines().enumerate().filter(|(_, line)| line.trim() == "[[allow]]");
    for (((line, _), exception), used) in lines.zip(&allow).zip(used) {
        let Exception { rule, file, why, .. } = exception;
        if !used {
            let what = format!("`{rule}` in {file} needs no exception any more: remove it");
            left.push(Finding::new("allow-list", FILE, line + 1, what));
        }
        if why.split_whitespace().count() < 3 {
            let what = format!("`{rule}` in {file}: say why in a sentence");
            left.push(Finding::new("allow-list", FILE, line + 1, what));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[allow]]
        rule = "function-lines"
        file = "a.rs"
        item = "long"
        max = 90
        why = "one table, read as a table"
    "#;

    fn long(size: usize) -> Finding {
        Finding::new("function-lines", "a.rs", 7, "long".to_owned()).about("long").sized(size)
    }

    #[test]
    fn an_exception_excuses_up_to_its_size() {
        assert!(apply(LIST, vec![long(90)]).is_empty());
        let grown = apply(LIST, vec![long(91)]);
        assert_eq!(grown.len(), 2, "the finding, and the exception that no longer fits");
    }

    #[test]
    fn an_unused_exception_is_an_error_with_its_line() {
        let left = apply(LIST, vec![]);
        assert_eq!((left[0].rule, left[0].line), ("allow-list", 2));
    }

    #[test]
    fn another_file_or_item_is_not_excused() {
        let other = Finding::new("function-lines", "b.rs", 7, String::new()).about("long");
        assert!(apply(LIST, vec![long(80), other]).iter().any(|f| f.file == "b.rs"));
    }

    #[test]
    fn an_exception_needs_a_sentence_and_known_keys() {
        let terse = LIST.replace("one table, read as a table", "legacy");
        assert!(apply(&terse, vec![long(80)])[0].what.contains("say why"));
        let typo = LIST.replace("max", "maximum");
        assert_eq!(apply(&typo, vec![])[0].rule, "allow-list");
    }
}
