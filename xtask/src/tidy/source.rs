//! One Rust file as the rules see it: its tokens in a row, each with its line and whether it is
//! test code.
//!
//! Tokens, not an AST: what stands inside macros counts too, and comments and strings do not.

use std::path::Path;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One token; `::` is one, any other punctuation is a character.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// Where an opening bracket's partner is; the token itself for all others.
    pub(super) partner: usize,
    pub(super) test: bool,
}

/// One Rust file of the workspace.
pub(super) struct Source {
    /// Relative to the workspace's root, with `/`.
    pub(super) path: String,
    pub(super) tokens: Vec<Token>,
}

impl Source {
    /// Reads a file's text; an error is a line and what is wrong there.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, (usize, String)> {
        let stream: TokenStream = text
            .parse()
            .map_err(|e: proc_macro2::LexError| (e.span().start().line, e.to_string()))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut source = Self { path: path.to_owned(), tokens };
        if is_test_path(path) {
            source.all_test();
        }
        source.mark_tests();
        Ok(source)
    }

    /// Whether the tokens from `at` on are these.
    pub(super) fn matches(&self, at: usize, texts: &[&str]) -> bool {
        self.tokens.len() >= at + texts.len()
            && texts.iter().zip(&self.tokens[at..]).all(|(text, token)| token.text == *text)
    }

    /// Where `texts` stands in the file.
    pub(super) fn find<'a>(&'a self, texts: &'a [&str]) -> impl Iterator<Item = &'a Token> + 'a {
        (0..self.tokens.len()).filter(|at| self.matches(*at, texts)).map(|at| &self.tokens[at])
    }

    /// Marks the whole file as test code.
    pub(super) fn all_test(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.test = true);
    }

    /// The files (without `.rs`) of modules that are declared here, elsewhere, and only for tests.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let file = Path::new(&self.path);
        let dir = file.parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let home = match stem.as_str() {
            "mod" | "lib" | "main" => dir,
            _ => format!("{dir}/{stem}"),
        };
        (0..self.tokens.len())
            .filter(|at| self.matches(*at, &["mod"]) && self.tokens[*at].test)
            .filter(|at| self.matches(at + 2, &[";"]))
            .map(|at| format!("{home}/{}", self.tokens[at + 1].text))
            .collect()
    }

    fn mark_tests(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            let inner = self.matches(at, &["#", "!", "["]);
            if !inner && !self.matches(at, &["#", "["]) {
                at += 1;
                continue;
            }
            let open = at + if inner { 2 } else { 1 };
            let close = self.tokens[open].partner;
            if !self.says_test(open + 1, close) {
                at = open + 1;
                continue;
            }
            if inner {
                return self.all_test();
            }
            let end = self.item_end(close + 1);
            self.tokens[at..=end].iter_mut().for_each(|token| token.test = true);
            at = end + 1;
        }
    }

    /// Whether an attribute means "only under test": `cfg(test)`, `cfg(all(test, …))`, `…::test`.
    fn says_test(&self, from: usize, to: usize) -> bool {
        let has = |text: &str| self.tokens[from..to].iter().any(|token| token.text == text);
        if self.matches(from, &["cfg", "("]) {
            return has("test") && !has("not") && !has("any");
        }
        let path_end = (from..to).find(|at| self.tokens[*at].text == "(").unwrap_or(to);
        path_end > from && self.tokens[path_end - 1].text == "test"
    }

    /// The last token of what an attribute belongs to.
    fn item_end(&self, from: usize) -> usize {
        const ITEMS: [&str; 16] = [
            "fn",
            "impl",
            "struct",
            "enum",
            "trait",
            "mod",
            "use",
            "static",
            "const",
            "type",
            "unsafe",
            "async",
            "extern",
            "macro_rules",
            "let",
            "union",
        ];
        let last = self.tokens.len().saturating_sub(1);
        let mut at = from;
        while self.matches(at, &["#", "["]) {
            at = self.tokens[at + 1].partner + 1;
        }
        if self.matches(at, &["pub"]) {
            let restricted = self.matches(at + 1, &["("]);
            at = if restricted { self.tokens[at + 1].partner + 1 } else { at + 1 };
        }
        let item = self.tokens.get(at).is_some_and(|token| ITEMS.contains(&token.text.as_str()));
        while at < last {
            match self.tokens[at].text.as_str() {
                "{" => return self.tokens[at].partner,
                ";" => return at,
                "," if !item => return at,
                ")" | "]" | "}" => return at - 1,
                "(" | "[" => at = self.tokens[at].partner + 1,
                _ => at += 1,
            }
        }
        last
    }
}

/// Whether everything in a file is test code by its place.
fn is_test_path(path: &str) -> bool {
    let mut parts = path.split('/');
    let name = parts.next_back().unwrap_or_default();
    matches!(name, "tests.rs" | "build.rs")
        || parts.any(|p| ["tests", "benches", "examples"].contains(&p))
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let start = tokens.len();
                push(tokens, open, line);
                flatten(group.stream(), tokens);
                tokens[start].partner = tokens.len();
                push(tokens, close, group.span_close().start().line);
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                let double = punct.spacing() == Spacing::Joint
                    && trees
                        .next_if(|next| matches!(next, TokenTree::Punct(p) if p.as_char() == ':'))
                        .is_some();
                push(tokens, if double { "::" } else { ":" }, line);
            }
            TokenTree::Literal(_) => push(tokens, "literal", line),
            other => push(tokens, &other.to_string(), line),
        }
    }
}

fn push(tokens: &mut Vec<Token>, text: &str, line: usize) {
    tokens.push(Token { text: text.to_owned(), line, partner: tokens.len(), test: false });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_in(text: &str) -> Vec<String> {
        let source = Source::parse("crates/a/src/lib.rs", text).expect("it lexes");
        source.tokens.into_iter().filter(|t| t.test).map(|t| t.text).collect()
    }

    #[test]
    fn cfg_test_covers_its_item_and_no_more() {
        let marked = tests_in("#[cfg(test)] mod t { fn a<A, B>() {} } fn after() {}");
        assert!(marked.contains(&"a".to_owned()));
        assert!(!marked.contains(&"after".to_owned()));
        let field = tests_in("struct S { #[cfg(test)] pub(crate) seen: u8, pub kept: u8 }");
        assert!(field.contains(&"seen".to_owned()) && !field.contains(&"kept".to_owned()));
    }

    #[test]
    fn test_functions_are_tests_wherever_they_stand() {
        let marked =
            tests_in("#[tokio::test(flavor = \"x\")] async fn a<A, B>() { b() } fn c() {}");
        assert!(marked.contains(&"b".to_owned()) && !marked.contains(&"c".to_owned()));
    }

    #[test]
    fn what_is_also_built_without_tests_is_no_test() {
        assert!(tests_in("#[cfg(not(test))] fn a() {}").is_empty());
        assert!(tests_in("#[cfg(any(test, feature = \"x\"))] fn a() {}").is_empty());
        assert!(tests_in("#[cfg(all(test, unix))] fn a() {}").contains(&"a".to_owned()));
    }

    #[test]
    fn test_modules_in_other_files_are_found() {
        let text = "#[cfg(test)] mod tests; mod code;";
        let at_root = Source::parse("crates/a/src/lib.rs", text).expect("it lexes");
        assert_eq!(at_root.test_modules(), ["crates/a/src/tests"]);
        let below = Source::parse("crates/a/src/conn/ack.rs", text).expect("it lexes");
        assert_eq!(below.test_modules(), ["crates/a/src/conn/ack/tests"]);
    }

    #[test]
    fn what_does_not_lex_says_where() {
        let error = Source::parse("a.rs", "fn a() {\n  )\n}").err().expect("a stray bracket");
        assert_eq!(error.0, 2);
    }
}
