//! `cargo xtask tidy`: style as a test. Each rule is a file beside this one; exceptions are in
//! `xtask/tidy-allow.toml`, each with its sentence.

mod allow;
mod code;
mod manifests;
mod paths;
mod rooms;
mod source;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;

use source::Source;

/// One place that breaks one rule.
#[derive(Debug)]
struct Finding {
    rule: &'static str,
    file: String,
    line: usize,
    what: String,
    /// What it is about, for an exception to name: a function, a call, a path.
    item: String,
    /// How large it is, for an exception to bound.
    size: Option<usize>,
}

impl Finding {
    fn new(rule: &'static str, file: &str, line: usize, what: String) -> Self {
        Self { rule, file: file.to_owned(), line, what, item: String::new(), size: None }
    }

    fn about(mut self, item: &str) -> Self {
        item.clone_into(&mut self.item);
        self
    }

    fn sized(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.what)
    }
}

/// Checks the workspace at `root`; the error lists every finding.
pub(crate) fn run(root: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort();
    let findings = check(&files);
    if findings.is_empty() {
        return Ok(format!("{} files in order", files.len()));
    }
    let mut list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    list.push(format!(
        "tidy: {} to mend (or to excuse, with a sentence, in {})",
        findings.len(),
        allow::FILE
    ));
    Err(list.join("\n"))
}

/// All rules over all files, `(path, text)`, less what the exceptions among them excuse.
fn check(files: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    let mut list = "";
    for (path, text) in files {
        text::check_any(path, text, &mut findings);
        if path.ends_with(".rs") {
            text::check_rust(path, text, &mut findings);
            match Source::parse(path, text) {
                Ok(source) => sources.push(source),
                Err((line, what)) => findings.push(Finding::new("lexes", path, line, what)),
            }
        } else if path.ends_with("Cargo.toml") {
            manifests::check(path, text, &mut findings);
        } else if path == allow::FILE {
            list = text;
        }
    }
    mark_test_modules(&mut sources);
    for source in &sources {
        code::check(source, &mut findings);
    }
    rooms::check(&sources, &mut findings);
    let mut findings = allow::apply(list, findings);
    findings.sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
    findings
}

/// Files of modules that are declared `#[cfg(test)]` elsewhere are test code as a whole.
fn mark_test_modules(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let belongs = |module: &String| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if modules.iter().any(belongs) {
            source.all_test();
        }
    }
}

/// Reads every text file below `dir`, except what is built or hidden.
fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, String)>) -> Result<(), String> {
    let fail = |e| format!("tidy: cannot read {}: {e}", dir.display());
    for entry in fs::read_dir(dir).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.starts_with('.') && ![".ci", ".cargo", ".github"].contains(&&*name);
        if hidden || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        // What is no text (a corpus, an image) no rule can read.
        let bytes =
            fs::read(&path).map_err(|e| format!("tidy: cannot read {}: {e}", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            let below = path.strip_prefix(root).unwrap_or(&path);
            files.push((below.to_string_lossy().replace('\\', "/"), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_finding_reads_file_line_rule_what() {
        let found = lines(&[("crates/fourwave-cli/src/a.rs", "fn a() {\n unsafe {}\n}")]);
        assert_eq!(
            found,
            ["crates/fourwave-cli/src/a.rs:2: unsafe: `unsafe` lives in fourwave-linux"]
        );
    }

    #[test]
    fn a_test_module_in_its_own_file_is_test_code() {
        let call = "fn f() { a.unwrap() }";
        let of = |declared: &str| {
            let found = lines(&[
                ("crates/fourwave-wire/src/tcp.rs", declared),
                ("crates/fourwave-wire/src/tcp/cases.rs", call),
            ]);
            found.len()
        };
        assert_eq!(of("#[cfg(test)] mod cases;"), 0);
        assert_eq!(of("mod cases;"), 1);
    }

    #[test]
    fn an_exception_silences_its_finding() {
        let list = "[[allow]]\nrule = \"unsafe\"\nfile = \"b.rs\"\nwhy = \"reads a C struct\"\n";
        assert!(lines(&[("b.rs", "unsafe fn a() {}"), (allow::FILE, list)]).is_empty());
        assert_eq!(lines(&[("b.rs", ""), (allow::FILE, list)]).len(), 1);
    }

    #[test]
    fn what_does_not_lex_is_a_finding() {
        assert_eq!(lines(&[("b.rs", "fn a() {\n\"")]).len(), 1);
    }
}
